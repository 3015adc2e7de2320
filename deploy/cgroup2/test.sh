#!/usr/bin/env bash
# The sandbox's tests on a machine with version 2 control groups. Arguments go to the test program.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Built as for `make test`, of which only the sandbox's test program is wanted.
program=$(cargo test --workspace --no-run --message-format=json-render-diagnostics |
  sed -n '/"manifest_path":"[^"]*\/libs\/sandbox\/Cargo.toml"/s/.*"name":"it".*"executable":"\([^"]*\)".*/\1/p')
exec deploy/cgroup2/vm.sh libs/sandbox "$program" --test-threads 2 "$@"
