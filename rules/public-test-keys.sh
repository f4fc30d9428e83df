#!/bin/sh
# Makes rules/public-test-keys.txt again, from packages that publish private keys on purpose.
# Needs: Debian with apt-get and dpkg-deb, Go and Python sources where they are installed, Maven, unzip, cargo.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

list=""
add() { list="$list$1=$2
"; }

for package in libgnutls30 libpython3.11-testsuite libxmlsec1-dev; do
    apt-get download "$package" >/dev/null
    mkdir "$package"
    dpkg-deb -x "$package"_*.deb "$package"
done
for file in $(find libgnutls30 -name 'libgnutls.so.*' -type f); do add "GnuTLS self-test" "$work/$file"; done
for file in $(grep -rlI 'PRIVATE KEY-----' libpython3.11-testsuite); do add "Python test suite" "$work/$file"; done
for file in $(grep -rlI 'PRIVATE KEY-----' libxmlsec1-dev); do add "xmlsec examples" "$work/$file"; done
for file in $(grep -rlI 'PRIVATE KEY-----' "$(go env GOROOT)/src" 2>/dev/null); do add "Go test data" "$file"; done
# Keys for tests that libraries of Java bring in their own archives.
for artifact in io.netty:netty-handler:4.1.116.Final com.google.http-client:google-http-client:1.45.3 \
    org.wiremock:wiremock-standalone:3.10.0; do
    folder=${artifact#*:}
    folder=${folder%%:*}
    mvn -q -B dependency:copy -Dartifact="$artifact" -DoutputDirectory="$work/jars" >/dev/null
    mkdir "$folder"
    unzip -q "jars/$folder"-*.jar -d "$folder"
    for file in $(grep -rl 'PRIVATE KEY-----' "$folder"); do add "$folder" "$work/$file"; done
done
# A key store counts by the digest of its file.
keystore=$(sha256sum wiremock-standalone/keystore)
echo "${keystore%% *}  wiremock-standalone, key store" > keystores

# Further folders of test keys, for example of other versions of an interpreter: ORIGIN=FOLDER as arguments.
for pair in "$@"; do
    for file in $(grep -rlI 'PRIVATE KEY-----' "${pair#*=}"); do add "${pair%%=*}" "$file"; done
done

# Vagrant publishes one, for the first login to every box: its public half.
vagrant() {
    printf '%s\n' "$1" > vagrant.pub
    hash=$(ssh-keygen -e -m PKCS8 -f vagrant.pub | openssl pkey -pubin -outform DER | sha256sum)
    echo "${hash%% *}  Vagrant, $2" >> vagrant
}
vagrant "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ==" "RSA PRIVATE KEY"

export LAYERSIFT_KEY_FILES="$list" LAYERSIFT_KEY_TABLE="$work/table"
cargo test --quiet --manifest-path "$root/Cargo.toml" --lib recompute_public_test_keys -- --ignored >/dev/null
keys=$root/rules/public-test-keys.txt
{
    echo "# Private keys that are published on purpose, by the SHA-256 of their public half: see src/engine/checks/key.rs"
    echo "# for the exact form. For most kinds: openssl pkey -in KEY -pubout -outform DER | sha256sum"
    echo "# Made by rules/public-test-keys.sh, which keeps what is here."
    cat "$work/table" "$work/vagrant" "$work/keystores" "$keys" | grep -v '^#' | awk '!seen[$1]++' | LC_ALL=C sort -k 2
} > "$work/keys"
mv "$work/keys" "$keys"
