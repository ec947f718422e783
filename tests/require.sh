#!/usr/bin/env bash
# Says exactly what is missing before anything is built.
set -euo pipefail

missing=0
need() {
  if ! command -v "$1" >/dev/null 2>&1; then
    echo "missing: $1 - $2" >&2
    missing=1
  fi
}

need cargo "install Rust through rustup; the toolchain itself comes by rust-toolchain.toml"
need cc "install a C compiler (Debian: apt-get install build-essential)"
need go "install Go 1.26 or newer; the local control plane is built with it"
need git "install git"
if ! command -v node >/dev/null 2>&1; then
  if [ "${CI:-}" = "true" ]; then
    need node "install Node.js 18 or newer; the imitation of Notion is checked with Notion's own SDK"
  else
    echo "SKIPPED: node is not installed, so the imitation of Notion is not checked with Notion's SDK" >&2
  fi
fi
exit "$missing"
