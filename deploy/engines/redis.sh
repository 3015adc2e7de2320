#!/usr/bin/env bash
# A private Redis server for development and tests: own directory, a free port, loopback only, no persistence. Does
# not touch a system server.
#   usage: redis.sh start                 starts the server if it is not running, and prints its URL
#          redis.sh stop
#          redis.sh foreground DIRECTORY  runs another server in the foreground, with its URL in DIRECTORY/url, for
#                                         tests that restart it
set -euo pipefail
cd "$(dirname "$0")/../.."
state=${CARGO_TARGET_DIR:-target}/engines/redis
mkdir -p "$state"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Ask the server for its process id, because the recorded one may have been reused.
running() {
  [ -f "$state/url" ] && [ -f "$state/pid" ] &&
    redis-cli -u "$(cat "$state/url")" info server 2>/dev/null | tr -d '\r' | grep -qx "process_id:$(cat "$state/pid")"
}

start() {
  if running; then cat "$state/url"; return; fi
  local dir port url
  dir=$(mktemp -d /tmp/agon-redis.XXXXXX)
  for _ in 1 2 3 4 5; do # another process may take the port first
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
  echo "Redis did not start; see $dir/log" >&2
  exit 1
}

foreground() {
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
  foreground) foreground "$2" ;;
  *) sed -n '2,7p' "$0" >&2; exit 2 ;;
esac
