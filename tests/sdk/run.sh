#!/usr/bin/env bash
# Runs Notion's official client against the imitation. Exits 0 only if everything passes.
# NOTION_IMITATION_URL names a running imitation, NOTION_IMITATION_BIN a binary to start; without
# either the binary is built. Without Node this is skipped, loudly, but not where CI=true.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
  if [ "${CI:-}" = "true" ]; then
    echo "FAILED: node and npm are needed for the check by the official client" >&2
    exit 1
  fi
  echo "SKIPPED: the check by the official client, since node or npm is missing" >&2
  exit 0
fi

cd "$here"
installed=node_modules/.package-lock.json
if [ ! -f "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  npm ci --prefer-offline --no-audit --no-fund --silent
fi

if [ -z "${NOTION_IMITATION_URL:-}" ] && [ -z "${NOTION_IMITATION_BIN:-}" ]; then
  cargo build --quiet --manifest-path "$root/Cargo.toml" -p notion-imitation
  NOTION_IMITATION_BIN="${CARGO_TARGET_DIR:-$root/target}/debug/notion-imitation"
fi
export NOTION_IMITATION_URL="${NOTION_IMITATION_URL:-}" NOTION_IMITATION_BIN="${NOTION_IMITATION_BIN:-}"
exec node --test --test-reporter=spec check.mjs
