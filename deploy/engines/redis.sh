#!/usr/bin/env bash
# A private Redis server for development and tests: own directory, a free port, loopback only,
# nothing kept on disk. Never touches a system server.
#   usage: redis.sh start   prints the URL of the running (or started) server
#          redis.sh stop
#          redis.sh another DIRECTORY   runs one more in the foreground, with its URL in DIRECTORY/url, for
#                                       tests that stop and start it
set -euo pipefail
cd "$(dirname "$0")/../.."
state=${CARGO_TARGET_DIR:-target}/engines/redis
mkdir -p "$state"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# The process id may have gone to another program meanwhile: the server itself tells its own.
running() {
  [ -f "$state/url" ] && [ -f "$state/pid" ] &&
    redis-cli -u "$(cat "$state/url")" info server 2>/dev/null | tr -d '\r' | grep -qx "process_id:$(cat "$state/pid")"
}

start() {
  if running; then cat "$state/url"; return; fi
  local dir port url
  dir=$(mktemp -d /tmp/agon-redis.XXXXXX)
  for _ in 1 2 3 4 5; do # another process may take the port in between
    port=$(free_port)
    url=redis://127.0.0.1:$port
    redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$dir" \
      --daemonize yes --pidfile "$dir/pid" --logfile "$dir/log" >&2
    for _ in $(seq 100); do
      if [ -s "$dir/pid" ] && redis-cli -u "$url" ping >/dev/null 2>&1; then
        cp "$dir/pid" "$state/pid"
        echo "$dir" >"$state/dir"
        echo "$url" | tee "$state/url"
        return
      fi
      sleep 0.05
    done
  done
  echo "Redis does not start; its log is $dir/log" >&2
  exit 1
}

another() {
  mkdir -p "$1"
  if [ ! -f "$1/url" ]; then
    free_port >"$1/port"
    echo "redis://127.0.0.1:$(cat "$1/port")" >"$1/url"
  fi
  exec redis-server --bind 127.0.0.1 --port "$(cat "$1/port")" --save '' --appendonly no --dir "$1" --logfile "$1/log"
}

stop() {
  [ -f "$state/dir" ] || return 0
  if running; then redis-cli -u "$(cat "$state/url")" shutdown nosave >/dev/null 2>&1 || true; fi
  rm -rf "$(cat "$state/dir")" "$state/dir" "$state/pid" "$state/url"
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  another) another "$2" ;;
  *) sed -n '2,7p' "$0" >&2; exit 2 ;;
esac
