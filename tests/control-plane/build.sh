#!/usr/bin/env bash
# Builds bin/control-plane, bin/kubectl (the same file) and bin/supervisor.
#
# The first build compiles all of Kubernetes and takes minutes, so that it is
# done only when a source changed, and the result is kept outside the checkout
# for the next clone: under CONTROL_PLANE_CACHE, by the hash of what it came from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

kubernetes=v1.36.2
cache=${CONTROL_PLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/notion-sync-operator}

if ! command -v go >/dev/null; then
    echo "build.sh: Go is missing: install Go 1.26 or newer (it builds the local control plane)" >&2
    exit 1
fi

sources_hash() {
    {
        go env GOVERSION GOOS GOARCH
        find . -path ./bin -prune -o -type f \( -name '*.go' -o -name go.mod -o -name go.sum -o -name build.sh \) -print |
            LC_ALL=C sort | xargs sha256sum
    } | sha256sum | cut -c1-32
}

# Puts the two programs of a folder into bin/, each by rename: a program that
# runs keeps its old file, and a reader never sees half of a new one.
install_from() {
    local program
    for program in control-plane supervisor; do
        cp "$1/$program" "bin/.$program.$$"
        mv -f "bin/.$program.$$" "bin/$program"
    done
    ln -sf control-plane bin/kubectl
    echo "$hash" >bin/hash
}

build_into() {
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$1/control-plane" \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" .
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$1/supervisor" ./supervisor
}

hash=$(sources_hash)
mkdir -p bin
if [[ -f bin/hash && $(<bin/hash) == "$hash" && -x bin/control-plane && -x bin/supervisor ]]; then
    exit 0
fi

kept="$cache/control-plane/$hash"
if [[ ! -x $kept/control-plane || ! -x $kept/supervisor ]]; then
    echo "Building the local control plane (Kubernetes $kubernetes): about 6 minutes the first time." >&2
    mkdir -p "$cache/control-plane"
    fresh=$(mktemp -d "$cache/control-plane/.building.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    build_into "$fresh"
    chmod 755 "$fresh"
    # Another build may have been faster; either result will do.
    mv -T "$fresh" "$kept" 2>/dev/null || [[ -x $kept/control-plane ]]
    # Results of older sources: a few stay, for going back and forth between branches.
    find "$cache/control-plane" -mindepth 1 -maxdepth 1 -name '[0-9a-f]*' -printf '%T@ %p\n' |
        sort -rn | tail -n +4 | cut -d' ' -f2- | xargs -r rm -rf --
fi
install_from "$kept"
