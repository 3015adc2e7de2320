#!/usr/bin/env bash
# The sandbox's tests on a machine with version 2 control groups. Arguments go to the test program.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(cargo test -p sandbox --test it --no-run --message-format=json-render-diagnostics |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
exec deploy/cgroup2/vm.sh libs/sandbox "$program" --test-threads 2 "$@"
