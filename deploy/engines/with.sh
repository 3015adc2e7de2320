#!/usr/bin/env bash
# Runs a command with the engines up and their URLs in the environment; stops what it started,
# however the command ends.
#   usage: with.sh COMMAND [ARGUMENT...]
set -euo pipefail
here=$(dirname "$0")
"$here/get.sh" >&2
state=${CARGO_TARGET_DIR:-$here/../../target}/engines/postgres
already=$([ -f "$state/url" ] && echo yes || echo no)
url=$("$here/postgres.sh" start FAST)
if [ "$already" = no ]; then trap '"$here/postgres.sh" stop' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; fi
export AGON_TEST_POSTGRES=$url AGON_TEST_REQUIRE_ENGINES=1
"$@"
