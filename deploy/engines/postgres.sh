#!/usr/bin/env bash
# A private PostgreSQL server for development and tests: own data directory, a free port, loopback only. Does not touch
# a system cluster.
#   usage: postgres.sh start FAST|SAFE       starts the server if it is not running, and prints its URL
#          postgres.sh stop
#          postgres.sh foreground DIRECTORY  runs another server in the foreground, with its data in DIRECTORY and its
#                                            URL in DIRECTORY/url, for tests that restart it
# FAST turns fsync off: for tests only, not for fault tests or benchmarks.
set -euo pipefail
cd "$(dirname "$0")/../.."
state=${CARGO_TARGET_DIR:-target}/engines/postgres
mkdir -p "$state"

# initdb refuses to run as root, so a root caller becomes the `postgres` user of Debian's package.
as_owner() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi; }

binaries() {
  local found
  found=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || found=$(command -v initdb)
  dirname "$found"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

running() { [ -f "$state/data-dir" ] && as_owner "$(binaries)/pg_ctl" -D "$(cat "$state/data-dir")" status >/dev/null 2>&1; }

start() {
  if running; then cat "$state/url"; return; fi
  local bin dir port settings
  bin=$(binaries)
  # Outside the source tree, where the user postgres has access.
  dir=$(mktemp -d /tmp/agon-postgres.XXXXXX)
  [ "$(id -u)" != 0 ] || chown postgres "$dir"
  as_owner "$bin/initdb" -D "$dir/data" -U postgres --locale=C.UTF-8 --encoding=UTF8 --auth=trust >"$state/initdb.log"
  settings="-c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir -c max_connections=400"
  [ "$1" = SAFE ] || settings+=" -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
  for _ in 1 2 3 4 5; do # another process may take the port first
    port=$(free_port)
    if (cd "$dir" && as_owner "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "$settings -c port=$port" start) >/dev/null; then
      echo "$dir/data" >"$state/data-dir"
      echo "postgres://postgres@127.0.0.1:$port/postgres" | tee "$state/url"
      return
    fi
  done
  echo "PostgreSQL did not start; see $dir/log" >&2
  exit 1
}

foreground() {
  local bin
  bin=$(binaries)
  mkdir -p "$1"
  if [ ! -f "$1/url" ]; then
    [ "$(id -u)" != 0 ] || chown postgres "$1"
    as_owner "$bin/initdb" -D "$1/data" -U postgres --locale=C.UTF-8 --encoding=UTF8 --auth=trust >/dev/null
    free_port >"$1/port"
    echo "postgres://postgres@127.0.0.1:$(cat "$1/port")/postgres" >"$1/url"
  fi
  cd "$1"
  exec setpriv $([ "$(id -u)" != 0 ] || echo --reuid=postgres --regid=postgres --init-groups) \
    "$bin/postgres" -D "$1/data" -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$1" -c max_connections=400 \
    -c max_wal_size=64MB -c min_wal_size=32MB -c "port=$(cat "$1/port")"
}

stop() {
  [ -f "$state/data-dir" ] || return 0
  local data
  data=$(cat "$state/data-dir")
  as_owner "$(binaries)/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$(dirname "$data")" "$state/data-dir" "$state/url"
}

case ${1:-} in
  start) start "${2:-FAST}" ;;
  stop) stop ;;
  foreground) foreground "$2" ;;
  *) sed -n '2,8p' "$0" >&2; exit 2 ;;
esac
