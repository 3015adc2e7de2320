#!/usr/bin/env bash
# All checks except the tests. Installs its tools into the target directory.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/engines/versions.env
. deploy/tools.sh
tools=$(pwd)/${CARGO_TARGET_DIR:-target}/tools
case ${CARGO_TARGET_DIR:-} in /*) tools=$CARGO_TARGET_DIR/tools ;; esac

step() { echo "== $*"; "$@"; }

deploy/engines/get.sh lint

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --quiet -- -D warnings
# The whole workspace, so that features are the same as in the tests and nothing is compiled twice.
step cargo build --quiet --workspace --bins
step "${CARGO_TARGET_DIR:-target}/debug/xtask" tidy

if ! "$tools/bin/cargo-deny" --version 2>/dev/null | grep -qF " $CARGO_DENY"; then
  step cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" "cargo-deny@$CARGO_DENY"
  rm -rf "$tools/build"
fi
# Advisories need a download; the CI workflow checks them.
step "$tools/bin/cargo-deny" --log-level error check bans licenses sources

step npm_install buf "@bufbuild/buf@$BUF"
step "$tools/node_modules/.bin/buf" lint
if git rev-parse -q --verify "$(git describe --tags --abbrev=0 2>/dev/null)" >/dev/null; then
  step "$tools/node_modules/.bin/buf" breaking --against ".git#tag=$(git describe --tags --abbrev=0)"
fi

"${CARGO_TARGET_DIR:-target}/debug/xtask" openapi >"$tools/openapi.json"
step deploy/openapi/check.sh lint "$tools" "$tools/openapi.json"

step deploy/manifests.sh "$tools" "${CARGO_TARGET_DIR:-target}/debug/agon"
