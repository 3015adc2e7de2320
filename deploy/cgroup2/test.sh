#!/usr/bin/env bash
# Runs the sandbox's tests in a virtual machine with cgroup v2. Arguments are passed to the test program.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Built as in `make test`, so that nothing is compiled twice.
program=$(cargo test --workspace --no-run --message-format=json-render-diagnostics |
  sed -n '/"manifest_path":"[^"]*\/libs\/sandbox\/Cargo.toml"/s/.*"name":"it".*"executable":"\([^"]*\)".*/\1/p')
exec deploy/cgroup2/vm.sh libs/sandbox "$program" --test-threads 2 "$@"
