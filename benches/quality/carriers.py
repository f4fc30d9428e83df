"""Kinds of files to plant credentials in: from keys and values to the bytes of a file, among what stands beside them in
such files. A carrier that cannot hold a value (several lines in a line) returns None.
"""

import base64
import gzip
import html
import io
import json
import sqlite3
import tarfile
import tempfile
import zipfile
import os
import py_compile

CARRIERS = {}


def carrier(name, path):
    def add(function):
        CARRIERS[name] = (path, function)
        return function

    return add


def one_line(pairs):
    return all("\n" not in value for _, value in pairs)


def camel(key):
    words = key.lower().split("_")
    return words[0] + "".join(word.capitalize() for word in words[1:])


def kebab(key):
    return key.lower().replace("_", "-")


def dotted(key):
    return key.lower().replace("_", ".")


def quoted(value):
    """A string of Java, JavaScript, Go or JSON."""
    return json.dumps(value)


def lines(form):
    """A carrier of one line for each key, from a form of (key, value)."""

    def make(pairs, before="", after=""):
        if not one_line(pairs):
            return None
        return before + "".join(form(key, value) + "\n" for key, value in pairs) + after

    return make


@carrier("env", "srv/app/.env")
def _(pairs):
    return lines(lambda k, v: f"{k}={v}")(pairs, "# settings\nNODE_ENV=production\nPORT=8080\n", "LOG_LEVEL=info\n")


@carrier("env quoted", "srv/app/prod.env")
def _(pairs):
    return lines(lambda k, v: f'{k}="{v}"')(pairs, "APP_NAME=\"billing\"\n", "TZ=UTC\n")


@carrier("ini", "etc/app/app.ini")
def _(pairs):
    return lines(lambda k, v: f"{k.lower()} = {v}")(pairs, "; settings\n[app]\nport = 8080\n", "\n[log]\nlevel = info\n")


@carrier("yaml", "etc/app/config.yaml")
def _(pairs):
    if one_line(pairs):
        return "app:\n  port: 8080\n" + "".join(f'  {k.lower()}: "{v}"\n' for k, v in pairs) + "  log: info\n"
    body = "".join(f"  {k.lower()}: |\n" + "".join(f"    {l}\n" for l in v.splitlines()) for k, v in pairs)
    return "app:\n  port: 8080\n" + body + "  log: info\n"


@carrier("yaml nested", "etc/app/values.yml")
def _(pairs):
    if not one_line(pairs):
        return None
    head, rest = {}, []
    for key, value in pairs:
        first, _, tail = key.partition("_")
        head.setdefault(first.lower(), []).append((camel(tail) if tail else "value", value))
    for first, keys in head.items():
        rest.append(f"{first}:\n" + "".join(f"  {k}: {v if ': ' not in v else quoted(v)}\n" for k, v in keys))
    return "replicas: 2\n" + "".join(rest) + "image:\n  tag: v1\n"


@carrier("json", "etc/app/settings.json")
def _(pairs):
    return json.dumps({"name": "billing", "port": 8080, **{camel(k): v for k, v in pairs}, "debug": False}, indent=2)


@carrier("json nested", "etc/app/appsettings.Production.json")
def _(pairs):
    first = pairs[0][0].split("_")[0]
    inner = {"".join(w.capitalize() for w in k.removeprefix(first + "_").split("_")): v for k, v in pairs}
    return json.dumps({"Logging": {"LogLevel": {"Default": "Information"}}, first.capitalize(): inner}, indent=2)


@carrier("toml", "etc/app/config.toml")
def _(pairs):
    if one_line(pairs):
        return lines(lambda k, v: f"{k.lower()} = {quoted(v)}")(pairs, "[app]\nport = 8080\n", "[log]\nlevel = 'info'\n")
    return "[app]\n" + "".join(f'{k.lower()} = """\n{v}"""\n' for k, v in pairs)


@carrier("properties", "opt/app/application.properties")
def _(pairs):
    return lines(lambda k, v: f"{dotted(k)}={v}")(pairs, "# settings\nserver.port=8080\n", "logging.level.root=INFO\n")


@carrier("xml attributes", "opt/app/beans.xml")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f'    <property name="{camel(k)}" value="{html.escape(v)}"/>\n' for k, v in pairs)
    return f'<?xml version="1.0"?>\n<beans>\n  <bean id="settings" class="io.acme.Settings">\n{rows}  </bean>\n</beans>\n'


@carrier("xml elements", "opt/app/config.xml")
def _(pairs):
    rows = "".join(f"  <{camel(k)}>{html.escape(v)}</{camel(k)}>\n" for k, v in pairs)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<configuration>\n  <port>8080</port>\n{rows}</configuration>\n'


@carrier("shell", "usr/local/bin/start.sh")
def _(pairs):
    return "#!/bin/bash\nset -euo pipefail\n" + "".join(f"export {k}='{v}'\n" for k, v in pairs) + 'exec "$@"\n'


@carrier("shell history", "root/.bash_history")
def _(pairs):
    if not one_line(pairs):
        return None
    return "ls -la\ncd /srv\n" + "".join(f"export {k}={v}\n" for k, v in pairs) + "vi Makefile\nmake deploy\nexit\n"


@carrier("dockerfile", "srv/app/Dockerfile")
def _(pairs):
    return lines(lambda k, v: f"ENV {k}={v}")(pairs, "FROM debian:12\nRUN apt-get update\n", 'CMD ["app"]\n')


@carrier("dockerfile arg", "srv/build/Dockerfile")
def _(pairs):
    return lines(lambda k, v: f'ARG {k}="{v}"')(pairs, "FROM debian:12\n", "RUN make\n")


@carrier("compose list", "srv/docker-compose.yml")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"      - {k}={v}\n" for k, v in pairs)
    return f"services:\n  app:\n    image: app:1\n    environment:\n      - TZ=UTC\n{rows}    ports:\n      - 80:80\n"


@carrier("compose map", "srv/compose.yaml")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"      {k}: {v}\n" for k, v in pairs)
    return f"services:\n  app:\n    image: app:1\n    environment:\n      TZ: UTC\n{rows}    ports:\n      - 80:80\n"


@carrier("kubernetes env", "srv/k8s/deployment.yaml")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"            - name: {k}\n              value: {quoted(v)}\n" for k, v in pairs)
    return f"apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          env:\n{rows}"


@carrier("kubernetes secret", "srv/k8s/secret.yaml")
def _(pairs):
    rows = "".join(f"  {k}: {base64.b64encode(v.encode()).decode()}\n" for k, v in pairs)
    return f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ntype: Opaque\ndata:\n{rows}"


@carrier("kubernetes string secret", "srv/k8s/string-secret.yaml")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"  {kebab(k)}: {v}\n" for k, v in pairs)
    return f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n{rows}"


@carrier("python", "srv/app/settings.py")
def _(pairs):
    return "import os\n\nDEBUG = False\n" + "".join(f"{k} = {v!r}\n" for k, v in pairs) + 'ALLOWED = ["*"]\n'


@carrier("python dict", "srv/app/client.py")
def _(pairs):
    rows = "".join(f"        '{k.lower()}': {v!r},\n" for k, v in pairs)
    return f"def settings():\n    return {{\n        'region': 'eu-west-1',\n{rows}    }}\n"


@carrier("notebook", "home/jovyan/analysis.ipynb")
def _(pairs):
    source = ["import os\n"] + [f'os.environ["{k}"] = {quoted(v)}\n' for k, v in pairs] + ["df.head()"]
    return json.dumps({"cells": [{"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": source}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


@carrier("javascript", "srv/app/config.js")
def _(pairs):
    rows = "".join(f"  {camel(k)}: {quoted(v)},\n" for k, v in pairs)
    return f"module.exports = {{\n  port: 8080,\n{rows}}};\n"


@carrier("minified javascript", "srv/www/main.4f3a.js")
def _(pairs):
    code = lambda seed: "".join(f"var a{n}=b{n}({n}),c{n}=function(e,t){{return e+t}};" for n in range(seed, seed + 3000))
    return code(0) + "const cfg={" + ",".join(f"{camel(k)}:{quoted(v)}" for k, v in pairs) + "};" + code(9000)


@carrier("php", "var/www/config.php")
def _(pairs):
    return "<?php\ndefine('DEBUG', false);\n" + "".join(f"define('{k}', '{v}');\n" for k, v in pairs) + "return true;\n"


@carrier("php array", "var/www/parameters.php")
def _(pairs):
    return "<?php\nreturn [\n    'debug' => false,\n" + "".join(f"    '{k.lower()}' => '{v}',\n" for k, v in pairs) + "];\n"


@carrier("ruby", "srv/app/initializer.rb")
def _(pairs):
    return "Acme.configure do |config|\n" + "".join(f"  config.{k.lower()} = '{v}'\n" for k, v in pairs) + "end\n"


@carrier("ruby hash", "srv/app/secrets.rb")
def _(pairs):
    return "SETTINGS = {\n" + "".join(f"  :{k.lower()} => '{v}',\n" for k, v in pairs) + "}.freeze\n"


@carrier("go", "src/app/config.go")
def _(pairs):
    rows = "".join(f"\t{camel(k)} = {quoted(v) if one_line(pairs) else '`' + v + '`'}\n" for k, v in pairs)
    return f"package config\n\nconst (\n\tport = 8080\n{rows})\n"


@carrier("java", "src/app/Settings.java")
def _(pairs):
    rows = "".join(f"    private static final String {k} = {quoted(v)};\n" for k, v in pairs)
    return f"package io.acme;\n\npublic final class Settings {{\n{rows}}}\n"


@carrier("c#", "src/app/Settings.cs")
def _(pairs):
    rows = "".join("    public const string " + "".join(w.capitalize() for w in k.split("_")) + f" = {quoted(v)};\n" for k, v in pairs)
    return f"namespace Acme {{\n  class Settings {{\n{rows}  }}\n}}\n"


@carrier("tfvars", "srv/infra/prod.tfvars")
def _(pairs):
    if not one_line(pairs):
        return None
    return 'region = "eu-west-1"\n' + "".join(f"{k.lower():<28} = {quoted(v)}\n" for k, v in pairs)


@carrier("tfstate", "srv/infra/terraform.tfstate")
def _(pairs):
    attributes = {"id": "app", **{k.lower(): v for k, v in pairs}}
    return json.dumps({"version": 4, "terraform_version": "1.9.0", "resources": [{"mode": "managed", "type": "acme_app", "instances": [{"attributes": attributes}]}]}, indent=2)


@carrier("sql dump", "var/backups/dump.sql")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = ",\n".join(f"({n},'{k.lower()}','{v}','2024-01-01 00:00:00')" for n, (k, v) in enumerate(pairs, 1))
    return f"CREATE TABLE `settings` (`id` int, `name` varchar(64), `value` text, `at` datetime);\nINSERT INTO `settings` VALUES\n{rows};\n"


@carrier("log", "var/log/app.log")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"2024-05-05T10:00:0{n}Z DEBUG [main] io.acme.Env - {k}={v}\n" for n, (k, v) in enumerate(pairs))
    return f"2024-05-05T10:00:00Z INFO [main] io.acme.App - starting\n{rows}2024-05-05T10:00:09Z INFO [main] io.acme.App - ready\n"


@carrier("html", "var/www/index.html")
def _(pairs):
    rows = "".join(f'<script>window.{k} = {quoted(v)};</script>\n' for k, v in pairs)
    return f"<!doctype html>\n<html><head><title>x</title>\n{rows}</head><body></body></html>\n"


@carrier("crontab", "etc/cron.d/backup")
def _(pairs):
    if not one_line(pairs):
        return None
    return "SHELL=/bin/sh\n*/5 * * * * root " + " ".join(f"{k}={v}" for k, v in pairs) + " /usr/local/bin/backup >/dev/null\n"


@carrier("systemd", "etc/systemd/system/app.service")
def _(pairs):
    return lines(lambda k, v: f'Environment="{k}={v}"')(pairs, "[Unit]\nDescription=app\n[Service]\n", "ExecStart=/usr/bin/app\n")


@carrier("supervisor", "etc/supervisor/app.conf")
def _(pairs):
    if not one_line(pairs):
        return None
    return "[program:app]\ncommand=/srv/app\nenvironment=" + ",".join(f'{k}="{v}"' for k, v in pairs) + "\n"


@carrier("powershell", "srv/deploy.ps1")
def _(pairs):
    return lines(lambda k, v: f'$env:{k} = "{v}"')(pairs, "Set-StrictMode -Version 3\n", "& app.exe\n")


@carrier("windows registry", "srv/app.reg")
def _(pairs):
    if not one_line(pairs):
        return None
    text = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Acme]\r\n" + "".join(f'"{k}"="{v}"\r\n' for k, v in pairs)
    return b"\xff\xfe" + text.encode("utf-16-le")


@carrier("csv", "srv/export/settings.csv")
def _(pairs):
    if not one_line(pairs):
        return None
    return "name,value\nport,8080\n" + "".join(f'{k},"{v}"\n' for k, v in pairs)


@carrier("markdown", "srv/app/NOTES.md")
def _(pairs):
    return "# Deploy\n\n```sh\n" + "".join(f"export {k}={v}\n" for k, v in pairs) + "./deploy\n```\n"


@carrier("jar", "opt/app/app.jar")
def _(pairs):
    body = CARRIERS["properties"][1](pairs)
    return zipped({"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n", "BOOT-INF/classes/application.properties": body}) if body else None


@carrier("war in jar", "opt/app/bundle.zip")
def _(pairs):
    body = CARRIERS["env"][1](pairs)
    return zipped({"lib/app.war": zipped({"WEB-INF/classes/.env": body})}) if body else None


@carrier("tar.gz", "var/backups/etc.tar.gz")
def _(pairs):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in [("etc/hostname", "app\n"), ("etc/app/config.yaml", CARRIERS["yaml"][1](pairs))]:
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@carrier("gzip", "var/log/app.log.1.gz")
def _(pairs):
    body = CARRIERS["log"][1](pairs)
    return gzip.compress(body.encode(), mtime=0) if body else None


@carrier("elf", "usr/local/bin/app")
def _(pairs):
    noise = bytes(n * 2654435761 >> 24 & 255 for n in range(20000))
    return b"\x7fELF\x02\x01\x01\0" + noise + b"\0" + b"\0".join(f"{k}={v}".encode() for k, v in pairs) + b"\0" + noise


@carrier("sqlite", "srv/app/db.sqlite3")
def _(pairs):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "db")
        db = sqlite3.connect(path)
        db.execute("create table settings (name text, value text)")
        db.executemany("insert into settings values (?, ?)", [("filler", "x" * 900)] * 20 + [(k + "=", v) for k, v in pairs])
        db.commit()
        db.close()
        return open(path, "rb").read()


@carrier("base64 twice", "srv/k8s/release.yaml")
def _(pairs):
    body = CARRIERS["env"][1](pairs)
    twice = body and base64.b64encode(base64.b64encode(body.encode())).decode()
    return f"apiVersion: v1\nkind: Secret\ndata:\n  release: {twice}\n" if body else None


@carrier("json in json", "srv/app/function.json")
def _(pairs):
    inner = json.dumps({k.lower(): v for k, v in pairs})
    return json.dumps({"name": "deploy", "body": inner}, indent=2)


@carrier("curl", "srv/app/call.sh")
def _(pairs):
    if not one_line(pairs):
        return None
    fields = " ".join(f"--data-urlencode '{k.lower()}={v}'" for k, v in pairs)
    return f"#!/bin/sh\ncurl -fsS {fields} https://api.acme.io/v1/login\n"


@carrier("command line", "srv/app/run.sh")
def _(pairs):
    if not one_line(pairs):
        return None
    return "#!/bin/sh\nexec /srv/app " + " ".join(f"--{kebab(k)}={v}" for k, v in pairs) + " --port 8080\n"


@carrier("docker run", "srv/app/docker.sh")
def _(pairs):
    if not one_line(pairs):
        return None
    return "#!/bin/sh\ndocker run -d " + " ".join(f"-e {k}={v}" for k, v in pairs) + " -p 80:80 app:1\n"


@carrier("helm values", "srv/chart/values.yaml")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"      {camel(k)}: {quoted(v)}\n" for k, v in pairs)
    return f"image:\n  repository: app\napp:\n  replicas: 2\n  config:\n    # set by the pipeline\n    settings:\n{rows}  resources: {{}}\n"


@carrier("ansible inventory", "srv/ansible/hosts")
def _(pairs):
    if not one_line(pairs):
        return None
    return "[web]\nweb1 ansible_host=10.0.0.5 " + " ".join(f"{k.lower()}='{v}'" for k, v in pairs) + " ansible_port=22\n"


@carrier("ansible vars", "srv/ansible/group_vars/all.yml")
def _(pairs):
    if not one_line(pairs):
        return None
    return "---\napp_port: 8080\n" + "".join(f"{k.lower()}: '{v}'\n" for k, v in pairs) + "app_user: app\n"


@carrier("web.config", "inetpub/web.config")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f'    <add key="{"".join(w.capitalize() for w in k.split("_"))}" value="{html.escape(v)}" />\r\n' for k, v in pairs)
    return f'<?xml version="1.0"?>\r\n<configuration>\r\n  <appSettings>\r\n    <add key="Mode" value="live" />\r\n{rows}  </appSettings>\r\n</configuration>\r\n'


@carrier("hadoop xml", "etc/hadoop/core-site.xml")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"  <property>\n    <name>{dotted(k)}</name>\n    <value>{html.escape(v)}</value>\n  </property>\n" for k, v in pairs)
    return f'<?xml version="1.0"?>\n<configuration>\n{rows}</configuration>\n'


@carrier("plist", "srv/ios/Info.plist")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"\t<key>{camel(k)}</key>\n\t<string>{html.escape(v)}</string>\n" for k, v in pairs)
    return f'<?xml version="1.0"?>\n<plist version="1.0">\n<dict>\n{rows}</dict>\n</plist>\n'


@carrier("android strings", "srv/android/strings.xml")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f'    <string name="{k.lower()}">{html.escape(v)}</string>\n' for k, v in pairs)
    return f'<resources>\n    <string name="app_name">App</string>\n{rows}</resources>\n'


@carrier("postman environment", "srv/app/live.postman_environment.json")
def _(pairs):
    rows = [{"key": camel(k), "value": v, "type": "default", "enabled": True} for k, v in pairs]
    return json.dumps({"name": "live", "values": rows}, indent="\t")


@carrier("terraform variable", "srv/infra/variables.tf")
def _(pairs):
    if not one_line(pairs):
        return None
    return "".join(f'variable "{k.lower()}" {{\n  type    = string\n  default = {quoted(v)}\n}}\n\n' for k, v in pairs)


@carrier("terraform block", "srv/infra/main.tf")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"    {k.lower():<24} = {quoted(v)}\n" for k, v in pairs)
    return f'resource "acme_app" "main" {{\n  name = "app"\n  settings = {{\n{rows}  }}\n}}\n'


@carrier("typescript", "srv/app/environment.prod.ts")
def _(pairs):
    rows = "".join(f"  readonly {camel(k)}: string = {quoted(v)};\n" for k, v in pairs)
    return f"export class Environment {{\n  readonly production: boolean = true;\n{rows}}}\n"


@carrier("kotlin", "src/app/Config.kt")
def _(pairs):
    rows = "".join(f"    const val {k}: String = {quoted(v)}\n" for k, v in pairs)
    return f"package io.acme\n\nobject Config {{\n{rows}}}\n"


@carrier("rust", "src/app/config.rs")
def _(pairs):
    return "".join(f"pub const {k}: &str = {quoted(v)};\n" for k, v in pairs)


@carrier("c header", "src/app/config.h")
def _(pairs):
    return "#pragma once\n" + "".join(f"#define {k} {quoted(v)}\n" for k, v in pairs)


@carrier("perl", "srv/app/run.pl")
def _(pairs):
    return "use strict;\n" + "".join(f"$ENV{{{k}}} = '{v}';\n" for k, v in pairs)


@carrier("groovy", "srv/app/Jenkinsfile")
def _(pairs):
    if not one_line(pairs):
        return None
    rows = "".join(f"    {k} = '{v}'\n" for k, v in pairs)
    return f"pipeline {{\n  agent any\n  environment {{\n{rows}  }}\n  stages {{ stage('x') {{ steps {{ sh 'make' }} }} }}\n}}\n"


@carrier("gitlab ci", "srv/app/.gitlab-ci.yml")
def _(pairs):
    return lines(lambda k, v: f"  {k}: {quoted(v)}")(pairs, "stages: [build]\nvariables:\n", "build:\n  script: [make]\n")


@carrier("makefile", "srv/app/Makefile")
def _(pairs):
    return lines(lambda k, v: f"export {k} := {v.replace('$', '$$')}")(pairs, "all:\n\tmake build\n", "")


@carrier("apache", "etc/apache2/app.conf")
def _(pairs):
    return lines(lambda k, v: f'  SetEnv {k} "{v}"')(pairs, "<VirtualHost *:80>\n", "</VirtualHost>\n")


@carrier("nginx", "etc/nginx/app.conf")
def _(pairs):
    return lines(lambda k, v: f'    fastcgi_param {k} "{v}";')(pairs, "location / {\n", "}\n")


@carrier("batch", "srv/deploy.bat")
def _(pairs):
    return lines(lambda k, v: f"set {k}={v}\r")(pairs, "@echo off\r\n", "app.exe\r\n")


@carrier("fish", "root/.config/fish/config.fish")
def _(pairs):
    return lines(lambda k, v: f"set -gx {k} '{v}'")(pairs, "set -gx EDITOR vi\n", "")


@carrier("hocon", "opt/app/application.conf")
def _(pairs):
    rows = "".join(f"    {kebab(k)} = {quoted(v)}\n" for k, v in pairs)
    return f"akka.loglevel = INFO\nacme {{\n  settings {{\n{rows}  }}\n}}\n" if one_line(pairs) else None


@carrier("elixir", "srv/app/prod.secret.exs")
def _(pairs):
    if not one_line(pairs):
        return None
    return "import Config\n\nconfig :acme, Acme.Endpoint,\n" + ",\n".join(f"  {k.lower()}: {quoted(v)}" for k, v in pairs) + "\n"


@carrier("docker inspect", "var/log/inspect.json")
def _(pairs):
    return json.dumps([{"Id": "0f", "Config": {"Env": ["PATH=/usr/bin"] + [f"{k}={v}" for k, v in pairs], "Cmd": None}}], indent=4)


@carrier("environ of a process", "var/crash/environ")
def _(pairs):
    return b"PATH=/usr/bin\0" + b"".join(f"{k}={v}".encode() + b"\0" for k, v in pairs) + b"HOME=/root\0"


@carrier("json lines log", "var/log/events.jsonl")
def _(pairs):
    rows = {"level": "debug", "msg": "settings", "settings": {k.lower(): v for k, v in pairs}}
    return json.dumps({"level": "info", "msg": "start"}) + "\n" + json.dumps(rows, separators=(",", ":")) + "\n"


@carrier("java class", "opt/app/io/acme/Settings.class")
def _(pairs):
    # In the order in which javac writes constants: field, type and attribute once, then a reference and the text.
    utf8 = lambda text: b"\x01" + len(text.encode()).to_bytes(2, "big") + text.encode()
    pool = [utf8("java/lang/Object"), utf8("io/acme/Settings")]
    for n, (key, value) in enumerate(pairs):
        pool += [utf8(key)] + ([utf8("Ljava/lang/String;"), utf8("ConstantValue")] if n == 0 else [])
        pool += [b"\x08" + (len(pool) + 2).to_bytes(2, "big"), utf8(value)]
    return b"\xca\xfe\xba\xbe\0\0\0\x3d" + (len(pool) + 1).to_bytes(2, "big") + b"".join(pool) + b"\0\x21\0\x01\0\x02\0\0\0\0\0\0\0\0"


@carrier(".net resource", "opt/app/Acme.dll")
def _(pairs):
    if not one_line(pairs):
        return None
    noise = bytes(n * 2654435761 >> 24 & 255 for n in range(8000))
    heap = b"".join(len((k + "=" + v) * 2).to_bytes(2, "big") + (k + "=" + v).encode("utf-16-le") + b"\0" for k, v in pairs)
    return b"MZ" + noise + b"\0" + heap + noise


@carrier("tight properties", "opt/app/tight.properties")
def _(pairs):
    if not one_line(pairs) or any(":" in value or "=" in value for _, value in pairs):
        return None
    return "#comment\n" + "".join(f"{dotted(key)}:{value}\n" for key, value in pairs) + "app.name:orders\n"


@carrier("tar in base64", "srv/k8s/chart.yaml")
def _(pairs):
    body = CARRIERS["env"][1](pairs)
    if not body:
        return None
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("app/.env")
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body.encode()))
    return "data:\n  files.tar: " + base64.b64encode(out.getvalue()).decode() + "\n"


@carrier("jar in zip in base64", "srv/k8s/deployment.json")
def _(pairs):
    body = CARRIERS["env"][1](pairs)
    inner = body and zipped({"app.jar": zipped({"app/.env": body})})
    return json.dumps({"name": "app", "zip": base64.b64encode(inner).decode()}) if body else None


@carrier("zip in base64", "srv/k8s/bundle.yaml")
def _(pairs):
    body = CARRIERS["env"][1](pairs)
    return "kind: ConfigMap\nbinaryData:\n  bundle.zip: " + base64.b64encode(zipped({"app/.env": body})).decode() + "\n" if body else None


@carrier("tar.gz in base64", "srv/install.sh")
def _(pairs):
    body = base64.encodebytes(CARRIERS["tar.gz"][1](pairs)).decode()
    return f"#!/bin/sh\nbase64 -d <<'END' | tar xz -C /\n{body}END\n"


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def own_files(m, kinds):
    """Files that hold one certain kind: kind, carrier, path, text."""
    make = {name: function for name, _, function in kinds}
    value = lambda kind, n=0: make[kind](m)[n][1]
    for n in range(3):
        password = m.password()
        yield "rails-database", "database.yml", "srv/rails/config/database.yml", f"production:\n  adapter: postgresql\n  host: db\n  username: app\n  password: {m.alnum(18)}\n"
        yield "odbc", "odbc.ini", "etc/odbc.ini", f"[acme]\nDriver = PostgreSQL\nServername = db\nUID = app\nPWD = {m.alnum(18)}\n"
        yield "smbcredentials", "smbcredentials", "root/.smbcredentials", f"username=ci\npassword={password}\ndomain=ACME\n"
        yield "sssd", "sssd.conf", "etc/sssd/sssd.conf", f"[domain/acme]\nldap_default_bind_dn = cn=ro,dc=acme\nldap_default_authtok = {m.alnum(20)}\n"
        yield "tomcat", "tomcat-users.xml", "opt/tomcat/conf/tomcat-users.xml", f'<tomcat-users>\n  <user username="ops" password="{m.alnum(16)}" roles="manager-gui"/>\n</tomcat-users>\n'
        yield "tomcat", "context.xml", "opt/tomcat/conf/context.xml", f'<Context>\n  <Resource name="jdbc/app" type="javax.sql.DataSource" username="app" password="{m.alnum(18)}" url="jdbc:mysql://db/app"/>\n</Context>\n'
        yield "joomla", "configuration.php", "var/www/configuration.php", f"<?php\nclass JConfig {{\n\tpublic $user = 'app';\n\tpublic $password = '{m.alnum(16)}';\n\tpublic $db = 'app';\n}}\n"
        yield "phpmyadmin", "config.inc.php", "etc/phpmyadmin/config.inc.php", f"<?php\n$cfg['Servers'][$i]['user'] = 'root';\n$cfg['Servers'][$i]['password'] = '{m.alnum(16)}';\n"
        yield "drupal", "settings.php", "var/www/sites/default/settings.php", f"<?php\n$databases['default']['default'] = array (\n  'database' => 'app',\n  'username' => 'app',\n  'password' => '{m.alnum(18)}',\n  'host' => 'db',\n);\n"
        yield "ormconfig", "ormconfig.json", "srv/app/ormconfig.json", json.dumps({"type": "postgres", "host": "db", "username": "app", "password": m.alnum(18), "database": "app"}, indent=2)
        yield "alembic", "alembic.ini", "srv/app/alembic.ini", f"[alembic]\nscript_location = alembic\nsqlalchemy.url = postgresql+psycopg2://app:{m.alnum(18)}@db/app\n"
        yield "jdbc-url", "jdbc url", "opt/app/jdbc.properties", f"jdbc.url=jdbc:postgresql://db:5432/app?user=app&password={m.alnum(18)}\n"
        yield "kafka-jaas", "kafka client", "etc/kafka/client.properties", f'security.protocol=SASL_SSL\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="app" password="{m.alnum(20)}";\n'
        yield "redis", "redis users", "etc/redis/users.acl", f"user app on >{m.alnum(32)} ~* +@all\n"
        yield "ansible-password", "ansible inventory", "srv/ansible/inventory.ini", f"[db]\ndb1 ansible_host=10.0.0.6 ansible_user=ops ansible_ssh_pass={m.alnum(16)} ansible_become_pass={m.alnum(16)}\n"
        yield "pg-service", "pg_service.conf", "root/.pg_service.conf", f"[app]\nhost=db\nuser=app\npassword={m.alnum(18)}\ndbname=app\n"
        yield "mc", "mc config", "root/.mc/config.json", json.dumps({"version": "10", "aliases": {"s3": {"url": "https://s3.acme.io", "accessKey": m.alnum(20), "secretKey": m.alnum(40), "api": "S3v4"}}}, indent=1)
        yield "grafana-admin", "grafana.ini", "etc/grafana/grafana.ini", f"[security]\nadmin_user = admin\nadmin_password = {m.alnum(18)}\nsecret_key = {m.alnum(20)}\n"
        yield "keystore-password", "application.properties", "opt/gw/application.properties", f"server.ssl.key-store=classpath:k.p12\nserver.ssl.key-store-password={m.alnum(16)}\n"
        key, secret = value("aws-pair"), m.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 40)
        yield "aws-pair", "aws credentials", "root/.aws/credentials", f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        yield "aws-pair", "s3cfg", "root/.s3cfg", f"[default]\naccess_key = {key}\nbucket_location = US\nhost_base = s3.amazonaws.com\nsecret_key = {secret}\nuse_https = True\n"
        yield "aws-pair", "rclone.conf", "root/.config/rclone/rclone.conf", f"[backup]\ntype = s3\nprovider = AWS\naccess_key_id = {key}\nsecret_access_key = {secret}\nregion = eu-west-1\n"
        hmac_id, hmac = make["gcs-hmac"](m)
        yield "gcs-hmac", "boto", "root/.boto", f"[Credentials]\ngs_access_key_id = {hmac_id[1]}\ngs_secret_access_key = {hmac[1]}\n[Boto]\nhttps_validate_certificates = True\n"
        yield "gcs-hmac", "rclone.conf", "home/app/.config/rclone/rclone.conf", f"[gcs]\ntype = s3\nprovider = GCS\naccess_key_id = {hmac_id[1]}\nsecret_access_key = {hmac[1]}\n"
        auth = base64.b64encode(f"ci:{m.alnum(24)}".encode()).decode()
        yield "docker-auth", "docker config.json", "root/.docker/config.json", json.dumps({"auths": {"registry.acme.io": {"auth": auth}}}, indent=2)
        yield "docker-auth", "dockercfg", "root/.dockercfg", json.dumps({"https://index.acme.io/v1/": {"auth": auth, "email": "ci@acme.io"}})
        yield "npm", "npmrc", "root/.npmrc", f"//registry.example.com/:_authToken={value('npm')}\nfund=false\n"
        yield "npm-auth", "npmrc", "home/app/.npmrc", f"registry=https://npm.acme.io/\n//npm.acme.io/:_auth={auth}\nalways-auth=true\n"
        yield "pypi", "pypirc", "root/.pypirc", f"[pypi]\nusername = __token__\npassword = {value('pypi')}\n"
        yield "pypi-password", "pypirc", "home/app/.pypirc", f"[distutils]\nindex-servers = acme\n[acme]\nrepository: https://pypi.acme.io\nusername: ci\npassword: {m.password()}\n"
        yield "netrc", "netrc", "root/.netrc", f"machine git.acme.io\n  login ci\n  password {m.alnum(20)}\n"
        yield "netrc", "netrc", "home/app/_netrc", f"machine api.heroku.com login ci@acme.io password {m.uuid()}\n"
        yield "pgpass", "pgpass", "root/.pgpass", f"db.acme.internal:5432:app:app:{m.alnum(18)}\n"
        yield "git-credentials", "git-credentials", "root/.git-credentials", f"https://ci:{value('github-classic')}@github.com\nhttps://ci:{m.alnum(20)}@git.acme.io\n"
        yield "my-cnf", "my.cnf", "root/.my.cnf", f"[client]\nuser=root\npassword={m.password()}\n"
        yield "maven", "maven settings.xml", "root/.m2/settings.xml", f"<settings><servers><server><id>acme</id><username>ci</username><password>{m.alnum(20)}</password></server></servers></settings>\n"
        yield "gradle", "gradle.properties", "root/.gradle/gradle.properties", f"org.gradle.jvmargs=-Xmx2g\nacmeUsername=ci\nacmePassword={m.alnum(20)}\nsigning.password={m.alnum(16)}\n"
        token = value("jwt-token")
        yield "kubeconfig", "kubeconfig", "root/.kube/config", f"apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://10.0.0.1:6443\n  name: prod\nusers:\n- name: admin\n  user:\n    token: {token}\n"
        client = base64.b64encode(make["ec-key"](m)[0][1].encode()).decode()
        yield "kubeconfig-key", "kubeconfig", "home/app/.kube/config", f"apiVersion: v1\nkind: Config\nusers:\n- name: admin\n  user:\n    client-key-data: {client}\n"
        yield "wordpress", "wp-config.php", "var/www/wp-config.php", f"<?php\ndefine( 'DB_NAME', 'wp' );\ndefine( 'DB_USER', 'wp' );\ndefine( 'DB_PASSWORD', '{m.password()}' );\ndefine( 'AUTH_KEY', '{m.text('abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMN0123456789!@#%^&*()-_ []{}<>~`+=,.;:/?|', 64)}' );\n"
        yield "django", "django settings", "srv/site/settings.py", f"import os\nSECRET_KEY = 'django-insecure-{m.text('abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)', 50)}'\nDEBUG = False\n"
        yield "django", "django settings", "srv/site/prod.py", f"from .base import *\n\nSECRET_KEY = \"{m.text('abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)', 50)}\"\n"
        yield "rails", "rails secrets.yml", "srv/rails/config/secrets.yml", f"production:\n  secret_key_base: {m.hex(128)}\n"
        yield "rails-master", "rails master.key", "srv/rails/config/master.key", m.hex(32)
        yield "htpasswd", "htpasswd", "etc/nginx/.htpasswd", f"admin:$apr1${m.alnum(8)}${m.alnum(22)}\n"
        yield "shadow", "shadow", "etc/shadow", f"root:$6${m.alnum(16)}${m.text('./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 86)}:19700:0:99999:7:::\n"
        yield "wireguard", "wireguard", "etc/wireguard/wg0.conf", f"[Interface]\nAddress = 10.0.0.2/32\nPrivateKey = {m.b64(32)}\n"
        yield "spring-datasource", "application.yml", "opt/app/application.yml", f"spring:\n  datasource:\n    url: jdbc:postgresql://db:5432/app\n    username: app\n    password: {m.password()}\n"
        yield "spring-datasource", "application.properties", "opt/svc/application.properties", f"spring.datasource.url=jdbc:postgresql://db/app\nspring.datasource.username=app\nspring.datasource.password={m.alnum(16)}\n"
        yield "dotnet-connection", "appsettings.json", "app/appsettings.json", json.dumps({"ConnectionStrings": {"Default": f"Server=db.acme.internal;Database=app;User Id=app;Password={m.alnum(18)};TrustServerCertificate=True"}}, indent=2)
        yield "ssh-key", "ssh key", "root/.ssh/id_rsa", make["rsa-key"](m)[0][1]
        yield "pip", "pip.conf", "etc/pip.conf", f"[global]\nindex-url = https://ci:{m.alnum(20)}@pypi.acme.io/simple\n"
        yield "composer", "auth.json", "root/.composer/auth.json", json.dumps({"http-basic": {"repo.acme.io": {"username": "ci", "password": m.alnum(20)}}, "github-oauth": {"github.com": value("github-classic")}}, indent=2)
        yield "cargo", "cargo credentials", "root/.cargo/credentials.toml", f"[registry]\ntoken = \"cio{m.alnum(32)}\"\n"
        yield "gem", "gem credentials", "root/.gem/credentials", f"---\n:rubygems_api_key: {value('rubygems')}\n"
        yield "terraformrc", "terraformrc", "root/.terraformrc", f'credentials "app.terraform.io" {{\n  token = "{value("terraform-cloud")}"\n}}\n'
        yield "tfstate-password", "tfstate", "srv/infra/db.tfstate", json.dumps({"version": 4, "resources": [{"type": "aws_db_instance", "instances": [{"attributes": {"engine": "postgres", "username": "app", "password": m.alnum(20)}}]}]}, indent=2)
        yield "smtp", "msmtprc", "root/.msmtprc", f"account default\nhost smtp.acme.io\nuser mailer\npassword {m.alnum(18)}\n"
        yield "redis", "redis.conf", "etc/redis/redis.conf", f"bind 127.0.0.1\nrequirepass {m.alnum(32)}\n"
