#!/usr/bin/env bash
# Installs what the tests need and the machine lacks: a PostgreSQL and a Redis server, what Kafka and
# the S3 server are got and run with, what makes certificates, what tries alerts, the compilers and
# interpreters that programs are judged with. A no-op where everything is there.
#   usage: get.sh [GROUP...]     groups: postgres redis java tls alerts toolchains (all but alerts by default)
set -euo pipefail

have_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }
have_redis() { command -v redis-server >/dev/null; }
have_java() { command -v java >/dev/null && command -v mvn >/dev/null && command -v curl >/dev/null; }
have_tls() { command -v openssl >/dev/null; }
have_alerts() { command -v promtool >/dev/null; }
have_toolchains() {
  command -v gcc >/dev/null && command -v g++ >/dev/null && [ -x /usr/bin/python3 ] && [ -x /usr/bin/javac ]
}

[ $# -gt 0 ] || set -- postgres redis java tls toolchains
packages=()
for group in "$@"; do
  case $group in
    postgres) have_postgres || packages+=(postgresql) ;;
    redis) have_redis || packages+=(redis-server) ;;
    java) have_java || packages+=(default-jre-headless maven curl) ;;
    alerts) have_alerts || packages+=(prometheus) ;;
    tls) have_tls || packages+=(openssl) ;;
    toolchains) have_toolchains || packages+=(gcc g++ python3-minimal default-jdk-headless) ;;
    *) echo "get.sh: unknown group $group (postgres, redis, java, tls, alerts, toolchains)" >&2; exit 2 ;;
  esac
done
[ ${#packages[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "This machine has no apt-get. Please install the equivalents of: ${packages[*]}" >&2
  exit 1
fi
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
echo "installing ${packages[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >&2
# policy-rc.d keeps Debian from starting a system cluster that nobody asked for.
$sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
