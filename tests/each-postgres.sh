#!/usr/bin/env bash
# Runs a command once on the oldest and once on the newest supported major version of Postgres.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
for major in 14 18; do
  bin=$("$here/world/get-postgres.sh" "$major")
  echo "Postgres $major: $*"
  PG_BIN=$bin "$@"
done
