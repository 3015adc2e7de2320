#!/usr/bin/env bash
# Checks an OpenAPI document with tools of others, which it installs into TOOLS.
#   usage: check.sh lint|client TOOLS DOCUMENT
#   lint     validates it with Redocly and openapi-spec-validator; warnings are errors
#   client   generates TypeScript types from it and compiles client.ts with them
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../engines/versions.env"
. "$here/../tools.sh"
tools=$(mkdir -p "$2" && cd "$2" && pwd)
document=$(realpath "$3")
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true

lint() {
  npm_install redocly "@redocly/cli@$REDOCLY"
  pip_install openapi-spec-validator "openapi-spec-validator==$OPENAPI_SPEC_VALIDATOR"
  "$tools/node_modules/.bin/redocly" lint --config "$here/redocly.yaml" --format=stylish "$document"
  "$tools/python/bin/openapi-spec-validator" --schema 3.1 "$document"
}

client() {
  local work=$tools/openapi-client
  npm_install openapi-client "openapi-typescript@$OPENAPI_TYPESCRIPT" "openapi-fetch@$OPENAPI_FETCH" \
    "typescript@$TYPESCRIPT"
  rm -rf "$work"
  mkdir -p "$work"
  cp "$here/client.ts" "$here/tsconfig.json" "$work"
  "$tools/node_modules/.bin/openapi-typescript" "$document" --output "$work/schema.d.ts"
  "$tools/node_modules/.bin/tsc" --project "$work"
}

case $1 in
  lint | client) "$1" ;;
  *) echo "check.sh: unknown command $1 (lint, client)" >&2; exit 2 ;;
esac
