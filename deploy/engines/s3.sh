#!/usr/bin/env bash
# A private S3 server (S3Proxy over a directory) for development and tests: own data, a free port,
# loopback only. Needs Java and Maven; what it is made of is fetched once.
#   usage: s3.sh start   prints the URL of the running (or started) server, with how to log in:
#                        http://ACCESS_KEY:SECRET_KEY@127.0.0.1:PORT/BUCKET
#          s3.sh stop
set -euo pipefail
cd "$(dirname "$0")/../.."
state=${CARGO_TARGET_DIR:-target}/engines/s3
mkdir -p "$state"
state=$(cd "$state" && pwd)

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# The process, unless its number has gone to another one since.
running() { [ -f "$state/pid" ] && tr '\0' ' ' <"/proc/$(cat "$state/pid")/cmdline" 2>/dev/null | grep -qF "$state/libs"; }

# Fetched into a directory of its own first, so that half a download is never taken for a whole one.
fetch() {
  [ -f "$state/pom.xml" ] && cmp -s deploy/engines/s3/pom.xml "$state/pom.xml" && return
  rm -rf "$state/libs" "$state/fetching"
  mvn -q -B -B -f deploy/engines/s3/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$state/fetching" >&2
  mv "$state/fetching" "$state/libs"
  cp deploy/engines/s3/pom.xml "$state/pom.xml"
}

# It answers as soon as it listens; 403 to those who do not log in.
answers() { curl --noproxy '*' -s -o /dev/null --max-time 2 "http://127.0.0.1:$1/"; }

start() {
  if running; then cat "$state/url"; return; fi
  fetch
  local dir port key pid
  dir=$(mktemp -d /tmp/agon-s3.XXXXXX)
  mkdir "$dir/data" "$dir/data/agon-test" # a bucket is a folder
  key=$(secret)
  for _ in 1 2 3 4 5; do # another process may take the port in between
    port=$(free_port)
    (umask 077 && cat >"$dir/properties") <<END
s3proxy.endpoint=http://127.0.0.1:$port
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=agon
s3proxy.credential=$key
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=$dir/data
END
    # Nothing of ours stays open in it: whoever reads our output waits for its end.
    setsid java -Xmx128m -cp "$state/libs/*" org.gaul.s3proxy.Main --properties "$dir/properties" \
      >"$dir/log" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 300); do
      kill -0 "$pid" 2>/dev/null || continue 2
      if answers "$port"; then
        echo "$pid" >"$state/pid"
        echo "$dir" >"$state/dir"
        (umask 077 && echo "http://agon:$key@127.0.0.1:$port/agon-test" >"$state/url")
        cat "$state/url"
        return
      fi
      sleep 0.1
    done
    kill "$pid" 2>/dev/null || true
  done
  echo "the S3 server does not start; its log is $dir/log" >&2
  exit 1
}

stop() {
  ! running || kill "$(cat "$state/pid")"
  [ ! -f "$state/dir" ] || rm -rf "$(cat "$state/dir")"
  rm -f "$state/pid" "$state/dir" "$state/url"
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  *) sed -n '2,7p' "$0" >&2; exit 2 ;;
esac
