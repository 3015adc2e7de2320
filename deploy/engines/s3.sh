#!/usr/bin/env bash
# A private S3 server (S3Proxy over a directory) for development and tests: own data, a free port, loopback only. Needs
# Java and Maven; the libraries are downloaded once.
#   usage: s3.sh start   starts the server if it is not running, and prints its URL with the credentials:
#                        http://ACCESS_KEY:SECRET_KEY@127.0.0.1:PORT/BUCKET
#          s3.sh stop
set -euo pipefail
cd "$(dirname "$0")/../.."
state=${CARGO_TARGET_DIR:-target}/engines/s3
mkdir -p "$state"
state=$(cd "$state" && pwd)

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# Check the command line too, because the recorded process id may have been reused.
running() { [ -f "$state/pid" ] && tr '\0' ' ' <"/proc/$(cat "$state/pid")/cmdline" 2>/dev/null | grep -qF "$state/libs"; }

# Downloads into a staging directory, so that an interrupted download is not used.
fetch() {
  [ -f "$state/pom.xml" ] && cmp -s deploy/engines/s3/pom.xml "$state/pom.xml" && return
  rm -rf "$state/libs" "$state/staging"
  mvn -q -B -B -f deploy/engines/s3/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$state/staging" >&2
  mv "$state/staging" "$state/libs"
  cp deploy/engines/s3/pom.xml "$state/pom.xml"
}

# Any response counts, also 403.
responds() { curl --noproxy '*' -s -o /dev/null --max-time 2 "http://127.0.0.1:$1/"; }

start() {
  if running; then cat "$state/url"; return; fi
  fetch
  local dir port key pid
  dir=$(mktemp -d /tmp/agon-s3.XXXXXX)
  mkdir "$dir/data" "$dir/data/agon-test" # a bucket is a folder
  key=$(secret)
  for _ in 1 2 3 4 5; do # another process may take the port first
    port=$(free_port)
    (umask 077 && cat >"$dir/properties") <<END
s3proxy.endpoint=http://127.0.0.1:$port
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=agon
s3proxy.credential=$key
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=$dir/data
END
    # Redirect all output: an inherited pipe would keep the reader of our output waiting.
    setsid java -Xmx128m -cp "$state/libs/*" org.gaul.s3proxy.Main --properties "$dir/properties" \
      >"$dir/log" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 300); do
      kill -0 "$pid" 2>/dev/null || continue 2
      if responds "$port"; then
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
  echo "the S3 server did not start; see $dir/log" >&2
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
  *) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
