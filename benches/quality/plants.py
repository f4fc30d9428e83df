"""Kinds of credentials to plant, made from what their issuers document and not from the rules of layersift.

Each kind is a list of keys and values, as one would set them in an environment. All values are random; checksums are
computed here, so that a mistake in the program is not repeated in what measures it. Prefixes are split where a scanner
of source code would take this file for a leak.
"""

import base64
import binascii
import hashlib
import json
import os
import random
import string
import struct
import subprocess
import uuid
import zlib

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALNUM = UPPER + LOWER + DIGITS
HEX = DIGITS + "abcdef"
URLSAFE = ALNUM + "-_"
B64 = ALNUM + "+/"


class Maker:
    """Random texts from one seed. Every text holds each of upper case, lower case and digits that its alphabet has."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self, alphabet, length):
        while True:
            text = "".join(self.random.choice(alphabet) for _ in range(length))
            classes = [c for c in (UPPER, LOWER, DIGITS) if set(c) & set(alphabet)]
            if length < 12 or all(set(c) & set(text) for c in classes):
                return text

    def bytes(self, length):
        return bytes(self.random.randrange(256) for _ in range(length))

    def hex(self, length):
        return self.text(HEX, length)

    def alnum(self, length):
        return self.text(ALNUM, length)

    def url(self, length):
        return self.alnum(1) + self.text(URLSAFE, length - 2) + self.alnum(1)

    def b64(self, length):
        return base64.b64encode(self.bytes(length)).decode()

    def b64url(self, length):
        return base64.urlsafe_b64encode(self.bytes(length)).decode().rstrip("=")

    def uuid(self):
        return str(uuid.UUID(bytes=self.bytes(16), version=4))

    def word(self):
        return self.random.choice(["harbour", "ledger", "orchid", "granite", "falcon", "meadow", "copper", "tundra"])

    def password(self):
        return self.text(ALNUM, 12) + self.random.choice("!%*+-._") + self.text(ALNUM, 5)


def base62(number, length):
    digits = DIGITS + UPPER + LOWER
    text = ""
    while number:
        number, rest = divmod(number, 62)
        text = digits[rest] + text
    return text.rjust(length, "0")


def with_crc62(prefix, body):
    return prefix + body + base62(zlib.crc32(body.encode()), 6)


def aws_id(m, prefix):
    """The account number is in the eight characters behind the prefix."""
    account = m.random.randrange(10**11, 10**12)
    number = (account << 7 | 1 << 47) & (1 << 48) - 1 | m.random.randrange(128)
    text = base64.b32encode(number.to_bytes(6, "big") + m.bytes(4)).decode()[:16]
    return prefix + text


def b64json(m, value):
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def jwt(m):
    head = b64json(m, {"alg": "HS256", "typ": "JWT"})
    body = b64json(m, {"sub": m.hex(24), "iss": "https://id.acme.io", "iat": 1700000000, "exp": 4102444800})
    return f"{head}.{body}.{m.b64url(32)}"


def macaroon(m):
    """Location, identifier, an empty caveat and a signature, as the Python index makes them."""
    location = b"pypi" + b".org"
    out = bytearray(b"\x02\x01" + bytes([len(location)]) + location)
    ident = m.uuid().encode()
    out += b"\x02" + bytes([len(ident)]) + ident + b"\x00"
    caveat = b'[0,4102444800,1700000000]'
    out += b"\x02" + bytes([len(caveat)]) + caveat + b"\x00\x00\x06\x20" + m.bytes(32)
    return "pypi" + "-" + base64.urlsafe_b64encode(bytes(out)).decode().rstrip("=")


def bech32(hrp, payload):
    charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    bits, count, words = 0, 0, []
    for byte in payload:
        bits, count = bits << 8 | byte, count + 8
        while count >= 5:
            count -= 5
            words.append(bits >> count & 31)
    if count:
        words.append(bits << 5 - count & 31)

    def polymod(values):
        check = 1
        for value in values:
            top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
            for i, gen in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= gen if top >> i & 1 else 0
        return check

    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    check = polymod(expanded + words + [0] * 6) ^ 1
    words += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return (hrp + "1" + "".join(charset[w] for w in words)).upper()


def openssl(*args):
    return subprocess.run(["openssl", *args], check=True, capture_output=True).stdout.decode()


_KEYS = {}


def pem(m, form):
    """A real key, made anew on each run: the only values that the seed does not decide."""
    if form not in _KEYS:
        if form == "rsa":
            _KEYS[form] = openssl("genrsa", "-traditional", "2048")
        elif form == "pkcs8":
            _KEYS[form] = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        else:
            _KEYS[form] = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")
    return _KEYS[form]


def service_account(m):
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "acme-" + m.word(),
            "private_key_id": m.hex(40),
            "private_key": pem(m, "pkcs8"),
            "client_email": f"ci@acme-{m.word()}.iam.gserviceaccount.com",
            "client_id": "1" + m.text(DIGITS, 20),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
        },
        indent=2,
    )


def grafana(m):
    body = m.alnum(32)
    return f"glsa_{body}_{struct.pack('<I', zlib.crc32(('glsa_' + body).encode())).hex()}"


# Name, family (families of section "HMAC and cloud" are `core`), and what makes it.
KINDS = [
    ("aws-pair", "core", lambda m: [("AWS_ACCESS_KEY_ID", aws_id(m, "AK" + "IA")), ("AWS_SECRET_ACCESS_KEY", m.text(B64, 40))]),
    ("aws-session", "core", lambda m: [("AWS_ACCESS_KEY_ID", aws_id(m, "AS" + "IA")), ("AWS_SECRET_ACCESS_KEY", m.text(B64, 40)), ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2Vj" + m.b64(270))]),
    ("gcs-hmac", "core", lambda m: [("GCS_ACCESS_KEY", "GOOG1E" + m.text(UPPER + "234567", 55)), ("GCS_SECRET", m.text(B64, 40))]),
    ("azure-storage", "core", lambda m: [("AZURE_STORAGE_CONNECTION_STRING", f"DefaultEndpointsProtocol=https;AccountName=acme{m.text(LOWER, 6)};AccountKey={m.b64(64)};EndpointSuffix=core.windows.net")]),
    ("azure-storage-key", "core", lambda m: [("AZURE_STORAGE_ACCOUNT", "acme" + m.text(LOWER, 6)), ("AZURE_STORAGE_KEY", m.b64(64))]),
    ("azure-cosmos", "core", lambda m: [("COSMOS_CONNECTION_STRING", f"AccountEndpoint=https://acme-{m.word()}.documents.azure.com:443/;AccountKey={m.b64(64)};")]),
    ("azure-sas", "core", lambda m: [("BLOB_SAS_URL", f"https://acme{m.text(LOWER, 5)}.blob.core.windows.net/backup?sv=2022-11-02&ss=b&srt=co&sp=rwdlacx&se=2039-01-01T00:00:00Z&st=2024-01-01T00:00:00Z&spr=https&sig={m.b64(32).replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}")]),
    ("azure-servicebus", "core", lambda m: [("SERVICEBUS_CONNECTION", f"Endpoint=sb://acme-{m.word()}.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={m.b64(32)}")]),
    ("minio", "core", lambda m: [("MINIO_ROOT_USER", "ops" + m.alnum(5)), ("MINIO_ROOT_PASSWORD", m.alnum(28))]),
    ("wasabi", "core", lambda m: [("WASABI_ENDPOINT", "https://s3.wasabisys.com"), ("WASABI_ACCESS_KEY_ID", m.text(UPPER + DIGITS, 20)), ("WASABI_SECRET_ACCESS_KEY", m.alnum(40))]),
    ("backblaze", "core", lambda m: [("B2_APPLICATION_KEY_ID", "00" + m.hex(23)), ("B2_APPLICATION_KEY", "K00" + m.text(DIGITS, 1) + m.text(B64, 27))]),
    ("do-spaces", "core", lambda m: [("SPACES_ACCESS_KEY_ID", "DO00" + m.text(UPPER + DIGITS, 16)), ("SPACES_SECRET_ACCESS_KEY", m.text(B64, 43))]),
    ("r2", "core", lambda m: [("R2_ACCESS_KEY_ID", m.hex(32)), ("R2_SECRET_ACCESS_KEY", m.hex(64))]),
    ("yandex-s3", "core", lambda m: [("YC_STORAGE_ACCESS_KEY", "YCA" + "JE" + m.url(20)), ("YC_STORAGE_SECRET_KEY", "YC" + m.url(38))]),
    ("alibaba", "core", lambda m: [("ALIBABA_CLOUD_ACCESS_KEY_ID", "LT" + "AI5t" + m.alnum(18)), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", m.alnum(30))]),
    ("tencent", "core", lambda m: [("TENCENTCLOUD_SECRET_ID", "AK" + "ID" + m.alnum(32)), ("TENCENTCLOUD_SECRET_KEY", m.alnum(32))]),
    ("ibm-cos", "core", lambda m: [("COS_HMAC_ACCESS_KEY_ID", m.hex(32)), ("COS_HMAC_SECRET_ACCESS_KEY", m.hex(48))]),
    ("scaleway", "core", lambda m: [("SCW_ACCESS_KEY", "SC" + "W" + m.text(UPPER + DIGITS, 17)), ("SCW_SECRET_KEY", m.uuid())]),
    ("django", "core", lambda m: [("DJANGO_SECRET_KEY", m.text(LOWER + DIGITS + "!@^&*(-_=+)", 50))]),
    ("rails", "core", lambda m: [("SECRET_KEY_BASE", m.hex(128))]),
    ("laravel", "core", lambda m: [("APP_KEY", "base64:" + m.b64(32))]),
    ("symfony", "core", lambda m: [("APP_ENV", "prod"), ("APP_SECRET", m.hex(32))]),
    ("flask", "core", lambda m: [("FLASK_SECRET_KEY", m.hex(64))]),
    ("webhook-stripe", "core", lambda m: [("STRIPE_WEBHOOK_SECRET", "whs" + "ec_" + m.alnum(32))]),
    ("webhook-svix", "core", lambda m: [("SVIX_WEBHOOK_SECRET", "whs" + "ec_" + m.b64(24))]),
    ("jwt-hs256-key", "core", lambda m: [("JWT_SECRET", m.b64(48))]),
    ("jwt-hex-key", "core", lambda m: [("JWT_SECRET_KEY", m.hex(64))]),
    ("jwt-token", "core", lambda m: [("SERVICE_TOKEN", jwt(m))]),
    ("twilio-auth", "core", lambda m: [("TWILIO_ACCOUNT_SID", "A" + "C" + m.hex(32)), ("TWILIO_AUTH_TOKEN", m.hex(32))]),
    ("twilio-key", "core", lambda m: [("TWILIO_API_KEY_SID", "S" + "K" + m.hex(32)), ("TWILIO_API_KEY_SECRET", m.alnum(32))]),
    ("github-classic", "core", lambda m: [("GITHUB_TOKEN", with_crc62("gh" + "p_", m.alnum(30)))]),
    ("github-oauth", "core", lambda m: [("GH_TOKEN", with_crc62("gh" + "o_", m.alnum(30)))]),
    ("gitlab-pat", "core", lambda m: [("GITLAB_TOKEN", "gl" + "pat-" + m.url(20))]),
    ("gitlab-runner", "core", lambda m: [("RUNNER_TOKEN", "gl" + "rt-" + m.url(20))]),
    ("slack-bot", "core", lambda m: [("SLACK_BOT_TOKEN", f"xo" + f"xb-{m.text('123456789', 12)}-{m.text('123456789', 12)}-{m.alnum(24)}")]),
    ("slack-webhook", "core", lambda m: [("SLACK_WEBHOOK_URL", "https://hooks.slack" + f".com/services/T{m.text(UPPER + DIGITS, 10)}/B{m.text(UPPER + DIGITS, 10)}/{m.alnum(24)}")]),
    ("stripe-live", "core", lambda m: [("STRIPE_SECRET_KEY", "sk_" + "live_" + m.alnum(99))]),
    ("stripe-restricted", "core", lambda m: [("STRIPE_API_KEY", "rk_" + "live_" + m.alnum(24))]),
    ("npm", "core", lambda m: [("NPM_TOKEN", with_crc62("np" + "m_", m.alnum(30)))]),
    ("pypi", "core", lambda m: [("TWINE_PASSWORD", macaroon(m))]),
    ("google-api-key", "more", lambda m: [("GOOGLE_API_KEY", "AI" + "za" + m.url(35))]),
    ("google-oauth", "more", lambda m: [("GOOGLE_CLIENT_SECRET", "GOC" + "SPX-" + m.url(28))]),
    ("sendgrid", "more", lambda m: [("SENDGRID_API_KEY", "S" + f"G.{m.url(22)}.{m.url(43)}")]),
    ("mailgun", "more", lambda m: [("MAILGUN_API_KEY", "key" + "-" + m.hex(32))]),
    ("mailchimp", "more", lambda m: [("MAILCHIMP_API_KEY", m.hex(32) + "-us14")]),
    ("openai", "more", lambda m: [("OPENAI_API_KEY", "sk" + f"-proj-{m.url(74)}T3Blbk" + f"FJ{m.url(74)}")]),
    ("anthropic", "more", lambda m: [("ANTHROPIC_API_KEY", "sk" + "-ant-api03-" + m.url(93) + "AA")]),
    ("huggingface", "more", lambda m: [("HF_TOKEN", "h" + "f_" + m.text(UPPER + LOWER, 34))]),
    ("digitalocean", "more", lambda m: [("DIGITALOCEAN_TOKEN", "do" + "p_v1_" + m.hex(64))]),
    ("databricks", "more", lambda m: [("DATABRICKS_TOKEN", "da" + "pi" + m.hex(32))]),
    ("datadog", "more", lambda m: [("DD_API_KEY", m.hex(32)), ("DD_APP_KEY", m.hex(40))]),
    ("newrelic", "more", lambda m: [("NEW_RELIC_API_KEY", "NR" + "AK-" + m.text(UPPER + DIGITS, 27))]),
    ("grafana", "more", lambda m: [("GRAFANA_TOKEN", grafana(m))]),
    ("vault", "more", lambda m: [("VAULT_TOKEN", "hv" + "s." + m.url(94))]),
    ("terraform-cloud", "more", lambda m: [("TFC_TOKEN", f"{m.alnum(14)}.atlas" + f"v1.{m.url(67)}")]),
    ("telegram", "more", lambda m: [("TELEGRAM_BOT_TOKEN", f"{m.text('123456789', 10)}:AA" + m.url(33))]),
    ("discord-webhook", "more", lambda m: [("DISCORD_WEBHOOK", f"https://discord.com/api/webhooks/{m.text('123456789', 19)}/{m.url(68)}")]),
    ("shopify", "more", lambda m: [("SHOPIFY_ACCESS_TOKEN", "shp" + "at_" + m.hex(32))]),
    ("linear", "more", lambda m: [("LINEAR_API_KEY", "lin" + "_api_" + m.alnum(40))]),
    ("notion", "more", lambda m: [("NOTION_TOKEN", "nt" + "n_" + m.text(DIGITS, 11) + m.alnum(35))]),
    ("airtable", "more", lambda m: [("AIRTABLE_TOKEN", f"pat{m.alnum(14)}.{m.hex(64)}")]),
    ("figma", "more", lambda m: [("FIGMA_TOKEN", "fi" + "gd_" + m.url(40))]),
    ("postman", "more", lambda m: [("POSTMAN_API_KEY", "PM" + f"AK-{m.hex(24)}-{m.hex(34)}")]),
    ("doppler", "more", lambda m: [("DOPPLER_TOKEN", "dp" + ".pt." + m.alnum(43))]),
    ("pulumi", "more", lambda m: [("PULUMI_ACCESS_TOKEN", "pu" + "l-" + m.hex(40))]),
    ("docker-hub", "more", lambda m: [("DOCKER_PASSWORD", "dck" + "r_pat_" + m.url(27))]),
    ("rubygems", "more", lambda m: [("GEM_HOST_API_KEY", "ruby" + "gems_" + m.hex(48))]),
    ("nuget", "more", lambda m: [("NUGET_API_KEY", "oy" + "2" + m.text(LOWER + "234567", 43))]),
    ("okta", "more", lambda m: [("OKTA_API_TOKEN", "00" + m.url(40))]),
    ("snyk", "more", lambda m: [("SNYK_TOKEN", m.uuid())]),
    ("circleci", "more", lambda m: [("CIRCLECI_TOKEN", "CCI" + f"PAT_{m.alnum(22)}_{m.hex(40)}")]),
    ("cloudflare", "more", lambda m: [("CLOUDFLARE_API_TOKEN", m.url(40))]),
    ("heroku", "more", lambda m: [("HEROKU_API_KEY", m.uuid())]),
    ("algolia", "more", lambda m: [("ALGOLIA_ADMIN_API_KEY", m.hex(32))]),
    ("planetscale", "more", lambda m: [("PLANETSCALE_PASSWORD", "psc" + "ale_pw_" + m.url(43))]),
    ("supabase", "more", lambda m: [("SUPABASE_ACCESS_TOKEN", "sb" + "p_" + m.hex(40))]),
    ("entra", "more", lambda m: [("AZURE_TENANT_ID", m.uuid()), ("AZURE_CLIENT_ID", m.uuid()), ("AZURE_CLIENT_SECRET", f"{m.alnum(3)}8Q~{m.alnum(34)}")]),
    ("age", "more", lambda m: [("SOPS_AGE_KEY", bech32("age-secret-key-", m.bytes(32)))]),
    ("fernet", "more", lambda m: [("FERNET_KEY", base64.urlsafe_b64encode(m.bytes(32)).decode())]),
    ("postgres-url", "more", lambda m: [("DATABASE_URL", f"postgresql://app:{m.alnum(18)}@db.{m.word()}.internal:5432/app")]),
    ("mysql-url", "more", lambda m: [("DB_URL", f"mysql://svc_{m.word()}:{m.alnum(16)}@10.1.2.{m.random.randrange(2, 250)}/orders")]),
    ("mongodb-url", "more", lambda m: [("MONGO_URI", f"mongodb+srv://app:{m.alnum(20)}@cluster0.{m.text(LOWER, 5)}.mongodb.net/prod")]),
    ("redis-url", "more", lambda m: [("REDIS_URL", f"rediss://default:{m.alnum(32)}@cache.{m.word()}.internal:6380/0")]),
    ("amqp-url", "more", lambda m: [("AMQP_URL", f"amqps://worker:{m.alnum(20)}@mq.{m.word()}.internal/vhost")]),
    ("db-password", "more", lambda m: [("DB_HOST", f"db.{m.word()}.internal"), ("DB_USERNAME", "app"), ("DB_PASSWORD", m.password())]),
    ("smtp-password", "more", lambda m: [("SMTP_HOST", "smtp.acme.io"), ("SMTP_USERNAME", "mailer"), ("SMTP_PASSWORD", m.password())]),
    ("unknown-api-key", "more", lambda m: [(m.word().upper() + "_API_KEY", m.alnum(40))]),
    ("unknown-client-secret", "more", lambda m: [(m.word().upper() + "_CLIENT_SECRET", m.url(44))]),
    ("rsa-key", "more", lambda m: [("TLS_PRIVATE_KEY", pem(m, "rsa"))]),
    ("ec-key", "more", lambda m: [("SIGNING_KEY_PEM", pem(m, "ec"))]),
    ("seed-phrase", "more", lambda m: [("WALLET_MNEMONIC", seed_phrase(m, 12))]),
    ("gcp-service-account", "core", lambda m: [("GOOGLE_CREDENTIALS", service_account(m))]),
]


def seed_phrase(m, count, wrong=0):
    """BIP-39: random bits and the first of their SHA-256, eleven for each word. `wrong` is laid over the last checksum bits."""
    with open(os.path.join(os.path.dirname(__file__), "../../rules/bip39-english.txt")) as file:
        words = file.read().split()
    entropy = m.bytes(count // 3 * 4)
    bits = "".join(f"{byte:08b}" for byte in entropy) + f"{hashlib.sha256(entropy).digest()[0]:08b}"[: count // 3]
    numbers = [int(bits[at : at + 11], 2) for at in range(0, len(bits), 11)]
    numbers[-1] ^= wrong
    return " ".join(words[number] for number in numbers)


def decoys(m):
    """What looks like a credential and is none: name, file, text."""
    bad_crc = with_crc62("gh" + "p_", m.alnum(30))
    bad_crc = bad_crc[:-1] + ("a" if bad_crc[-1] != "a" else "b")
    bad_npm = with_crc62("np" + "m_", m.alnum(30))
    bad_npm = bad_npm[:-1] + ("a" if bad_npm[-1] != "a" else "b")
    sri = lambda n, size: f"{n}-{m.b64(size)}"
    yield "wrong checksum", "app/.env", f"GITHUB_TOKEN={bad_crc}\nNPM_TOKEN={bad_npm}\n"
    yield "documented sample", "app/aws.ini", "[default]\naws_access_key_id = AKIA" + "IOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY\n"
    yield "emulator key", "app/local.settings.json", '{"Values": {"AzureWebJobsStorage": "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeks' + 'oGMGw==;"}}\n'
    for mark in ["@db.password@", "${DB_PASSWORD}", "{{ db_password }}", "<password>", "changeme", "%DB_PASSWORD%", "your-password-here", "xxxxxxxxxxxx", "$DB_PASSWORD", "********", "REPLACE_ME", "<%= ENV['DB_PASSWORD'] %>", "[[ .Password ]]", "__DB_PASSWORD__", "!vault |", "ENC[AES256_GCM,data:Zm9v]", "null", "#{ENV['DB_PASSWORD']}"]:
        yield "placeholder", "app/application.properties", f"spring.datasource.username=app\nspring.datasource.password={mark}\ndb.password={mark}\n"
        yield "placeholder", "app/.env", f"DB_PASSWORD={mark}\nAPI_TOKEN={mark}\nSECRET_KEY={mark}\nDATABASE_URL=postgres://app:{mark}@db/app\n"
        yield "placeholder", "app/config.yaml", f"database:\n  password: \"{mark}\"\n  api_key: '{mark}'\njwt:\n  secret: {mark}\n"
        yield "placeholder", "app/settings.xml", f"<server><id>acme</id><username>ci</username><password>{mark.replace('<', '&lt;')}</password></server>\n"
    yield "integrity", "app/package-lock.json", json.dumps({"lockfileVersion": 3, "packages": {f"node_modules/a{i}": {"version": "1.0.0", "resolved": f"https://registry.example.com/a{i}/-/a{i}-1.0.0.tgz", "integrity": sri("sha512", 64)} for i in range(50)}}, indent=2)
    yield "integrity", "app/yarn.lock", "".join(f'"a{i}@^1.0.0":\n  version "1.0.0"\n  resolved "https://registry.example.com/a{i}/-/a{i}-1.0.0.tgz#{m.hex(40)}"\n  integrity {sri("sha512", 64)}\n\n' for i in range(50))
    yield "integrity", "app/go.sum", "".join(f"example.com/m{i} v1.0.{i} h1:{m.b64(32)}\nexample.com/m{i} v1.0.{i}/go.mod h1:{m.b64(32)}\n" for i in range(50))
    yield "integrity", "app/poetry.lock", "".join(f'{{file = "a-{i}.whl", hash = "sha256:{m.hex(64)}"}},\n' for i in range(50))
    yield "integrity", "app/index.html", "".join(f'<script src="/a{i}.js" integrity="{sri("sha384", 48)}" crossorigin></script>\n' for i in range(20))
    yield "integrity", "app/composer.lock", json.dumps({"content-hash": m.hex(32), "packages": [{"name": f"a/a{i}", "source": {"reference": m.hex(40)}, "dist": {"shasum": m.hex(40)}} for i in range(30)]}, indent=1)
    yield "uuid", "app/ids.json", json.dumps([{"id": m.uuid(), "tenant_id": m.uuid(), "correlationId": m.uuid(), "key": m.uuid()} for _ in range(100)], indent=1)
    yield "git sha", "app/.gitlab-build.txt", "".join(f"commit {m.hex(40)}\ntree {m.hex(40)}\nGITHUB_SHA={m.hex(40)}\nCI_COMMIT_SHA={m.hex(40)}\nSOURCE_COMMIT={m.hex(40)}\n" for _ in range(20))
    yield "digest", "app/Dockerfile", f"FROM debian@sha256:{m.hex(64)}\nENV PYTHON_SHA256={m.hex(64)} GPG_KEY={m.hex(40).upper()} NODE_CHECKSUM={m.hex(64)}\n"
    yield "base64 image", "app/logo.css", f".logo{{background:url(data:image/png;base64,{m.b64(9000)})}}\n"
    yield "base64 image", "app/page.html", f'<img src="data:image/jpeg;base64,{m.b64(40000)}">\n'
    yield "source map", "app/app.js.map", json.dumps({"version": 3, "sources": ["a.js"], "mappings": ";".join("AAAA,SAASA,GAAGC,CAAC" + m.text(UPPER + LOWER, 40) for _ in range(3000)), "sourcesContent": ["var token = getToken(); var password = form.password.value;"]})
    yield "public key", "app/id_rsa.pub", f"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ{m.b64(256)} ops@acme\n"
    yield "public key", "app/jwks.json", json.dumps({"keys": [{"kty": "RSA", "kid": m.hex(40), "n": m.b64url(256), "e": "AQAB", "use": "sig"}]})
    yield "public key", "app/pub.pem", "-----BEGIN PUBLIC KEY-----\n" + "\n".join([m.b64(48)] * 6) + "\n-----END PUBLIC KEY-----\n"
    yield "certificate", "app/ca.pem", "-----BEGIN CERTIFICATE-----\n" + "\n".join([m.b64(48) for _ in range(20)]) + "\n-----END CERTIFICATE-----\n"
    yield "public identifier", "app/firebase.js", f'const c = {{ measurementId: "G-{m.text(UPPER, 10)}", appId: "1:{m.text(DIGITS, 12)}:web:{m.hex(22)}", pk: "pk_{"live"}_{m.alnum(24)}" }};\n'
    yield "seed phrase of no checksum", "app/wallet.env", f"WALLET_MNEMONIC=\"{seed_phrase(m, 12, wrong=1)}\"\n"
    yield "names in code", "app/application.yaml", "acme:\n  apiToken: UserAccessTokenProvider1\n  clientSecret: frontend_Cookie_secret_value9\n  authKey: GetTokenFromRequestHeader2\n  session_secret: some-words-That-stand-for-1-secret\n"
    yield "repeated", "app/.env", "ACME_API_TOKEN=abcABC123abcABC123abcABC123abcABC123\nACME_API_KEY=0123abcd0123abcd0123abcd0123abcd\n"
    yield "code", "app/auth.py", 'password = getpass.getpass("Password: ")\ntoken = request.headers.get("X-Auth-Token")\nsecret_key = os.environ["SECRET_KEY"]\napi_key = settings.API_KEY_FROM_VAULT\n'
    yield "code", "app/auth.js", 'const password = document.getElementById("password").value, apiKey = config.get("services.stripe.apiKey"), secret = process.env.CLIENT_SECRET_FOR_TESTS;\n'
    yield "code", "app/Auth.java", 'String password = credentials.getPasswordForUser(user);\nprivate static final String TOKEN_HEADER_NAME = "X-Auth-Token-Header-Name";\n@Value("${app.jwt.secret}") private String jwtSecret;\n'
    yield "translation", "app/messages_de.properties", "login.password=Bitte geben Sie Ihr Passwort ein\npassword.reset.token=Token zum Zuruecksetzen\nuser.password=Passwort\nsecret.question=Geheimfrage\n"
    yield "log", "app/app.log", "".join(f"2024-01-01T00:00:{i:02d}Z INFO request id={m.hex(32)} trace={m.hex(32)} span={m.hex(16)} etag=\"{m.hex(40)}\" user password changed\n" for i in range(60))
