#!/usr/bin/env bash
# Every check that is not a test. Gets the tools it needs into the target directory.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/engines/versions.env
tools=$(pwd)/${CARGO_TARGET_DIR:-target}/tools
case ${CARGO_TARGET_DIR:-} in /*) tools=$CARGO_TARGET_DIR/tools ;; esac

step() { echo "== $*"; "$@"; }

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --quiet -- -D warnings
# With the features of the whole workspace, as the tests were built: nothing is compiled twice.
step cargo build --quiet --workspace --bins
step "${CARGO_TARGET_DIR:-target}/debug/xtask" tidy

if ! "$tools/bin/cargo-deny" --version 2>/dev/null | grep -qF " $CARGO_DENY"; then
  step cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" "cargo-deny@$CARGO_DENY"
  rm -rf "$tools/build"
fi
# Advisories need a database from outside; .github runs them.
step "$tools/bin/cargo-deny" --log-level error check bans licenses sources

if ! "$tools/node_modules/.bin/buf" --version 2>/dev/null | grep -qxF "$BUF"; then
  step npm install --silent --no-fund --no-audit --prefix "$tools" "@bufbuild/buf@$BUF"
fi
step "$tools/node_modules/.bin/buf" lint
if git rev-parse -q --verify "$(git describe --tags --abbrev=0 2>/dev/null)" >/dev/null; then
  step "$tools/node_modules/.bin/buf" breaking --against ".git#tag=$(git describe --tags --abbrev=0)"
fi

deploy/engines/get.sh alerts
step promtool check config deploy/prometheus/prometheus.yml
step promtool test rules deploy/prometheus/alerts_test.yml
