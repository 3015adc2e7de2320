#!/usr/bin/env bash
# Installs missing dependencies of the tests: PostgreSQL, Redis, Java and Maven (for Kafka and the S3 server), OpenSSL,
# npm (for the client of the REST API), and the compilers and interpreters for judging; with `lint`, those of
# `make lint`.
#   usage: get.sh [GROUP...]     groups: postgres redis java tls node toolchains (these by default), lint
set -euo pipefail

have_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }
have_redis() { command -v redis-server >/dev/null; }
have_java() { command -v java >/dev/null && command -v mvn >/dev/null && command -v curl >/dev/null; }
have_tls() { command -v openssl >/dev/null; }
have_node() { command -v npm >/dev/null; }
have_toolchains() {
  command -v gcc >/dev/null && command -v g++ >/dev/null && [ -x /usr/bin/python3 ] && [ -x /usr/bin/javac ]
}
have_lint() { have_node && python3 -c 'import ensurepip, venv' 2>/dev/null; }

[ $# -gt 0 ] || set -- postgres redis java tls node toolchains
packages=()
for group in "$@"; do
  case $group in
    postgres) have_postgres || packages+=(postgresql) ;;
    redis) have_redis || packages+=(redis-server) ;;
    java) have_java || packages+=(default-jre-headless maven curl) ;;
    node) have_node || packages+=(npm) ;;
    tls) have_tls || packages+=(openssl) ;;
    toolchains) have_toolchains || packages+=(gcc g++ python3-minimal default-jdk-headless) ;;
    lint) have_lint || packages+=(npm python3-venv) ;;
    *) echo "get.sh: unknown group $group (postgres, redis, java, tls, node, toolchains, lint)" >&2; exit 2 ;;
  esac
done
[ ${#packages[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "apt-get not found; install the equivalents of: ${packages[*]}" >&2
  exit 1
fi
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
echo "installing ${packages[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >&2
$sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
