#!/usr/bin/env bash
# Prints the folder with the programs of a Postgres major version:
#   PG_BIN=$(tests/world/get-postgres.sh 14) make test
#
# That of the machine if it has that version, else the newest release as an artifact, kept under
# CONTROL_PLANE_CACHE. The first fetch compiles the program that does it, which takes a minute.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ ! ${1:-} =~ ^[0-9]+$ ]]; then
    echo "usage: get-postgres.sh MAJOR" >&2
    exit 2
fi
major=$1
cache=${CONTROL_PLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/notion-sync-operator}
kept=$cache/postgres/$major

for folder in "/usr/lib/postgresql/$major/bin" "$kept/bin"; do
    if [[ -x $folder/postgres && -x $folder/initdb ]]; then
        echo "$folder"
        exit 0
    fi
done

if ! command -v cargo >/dev/null; then
    echo "get-postgres.sh: cargo is missing: install rustup, or Postgres $major itself" >&2
    exit 1
fi
echo "Fetching Postgres $major." >&2
mkdir -p "$cache/postgres"
fresh=$(mktemp -d "$cache/postgres/.fetching.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
# From its own folder, so that the toolchain of this repository is used.
(cd "$here/postgres-binaries" &&
    cargo run --quiet --locked --target-dir "$cache/build/postgres-binaries" -- "$major" "$fresh/it") >&2
chmod -R a+rX "$fresh/it"
# Another fetch may have been faster; either result will do.
mv -T "$fresh/it" "$kept" 2>/dev/null || [[ -x $kept/bin/postgres ]]
echo "$kept/bin"
