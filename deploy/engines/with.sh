#!/usr/bin/env bash
# Runs a command with the engines running and their URLs in the environment. Always stops the engines that it started.
#   usage: with.sh COMMAND [ARGUMENT...]
set -euo pipefail
here=$(dirname "$0")
"$here/get.sh" >&2
state=${CARGO_TARGET_DIR:-$here/../../target}/engines

started=()
stop() { for engine in "${started[@]}"; do "$here/$engine.sh" stop || true; done; }
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for engine in postgres redis kafka s3; do
  [ -f "$state/$engine/url" ] || started+=("$engine")
  url=$("$here/$engine.sh" start FAST)
  export "AGON_TEST_${engine^^}=$url"
done
export AGON_TEST_REQUIRE_ENGINES=1
"$@"
