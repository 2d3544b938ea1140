#!/bin/sh
# Pulls a published plugin with the tools that everybody has: wkg by name, oras by tag, wasm-tools to look at it. What is
# not on PATH is named and left out; with none of them there is nothing to show, and that is a failure.
#
# usage: stock-tools.sh HOST:PORT NAMESPACE:NAME VERSION
set -eu

[ $# -eq 3 ] || { echo "usage: $0 HOST:PORT NAMESPACE:NAME VERSION" >&2; exit 2; }
registry=$1 plugin=$2 version=$3
namespace=${plugin%%:*} name=${plugin#*:}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/wkg" "$work/oras"
shown=0

if command -v wkg >/dev/null; then
    cat >"$work/config.toml" <<EOF
default_registry = "$registry"
[namespace_registries]
$namespace = { registry = "$registry", metadata = { preferredProtocol = "oci", oci = { registry = "$registry", namespacePrefix = "" } } }
[registry."$registry".oci]
protocol = "http"
EOF
    wkg get --config "$work/config.toml" "$plugin@$version" -o "$work/wkg/"
    component=$(ls "$work"/wkg/*.wasm)
    sha256sum "$component"
    shown=1
    if command -v wasm-tools >/dev/null; then
        wasm-tools component wit "$component"
    else
        echo "wasm-tools is not on PATH: its world was not printed" >&2
    fi
else
    echo "wkg is not on PATH: not pulled by name" >&2
fi

if command -v oras >/dev/null; then
    oras manifest fetch --plain-http "$registry/$namespace/$name:$version"
    oras discover --plain-http "$registry/$namespace/$name:$version"
    shown=1
else
    echo "oras is not on PATH: not pulled by tag" >&2
fi

[ $shown -eq 1 ] || { echo "none of wkg and oras is on PATH" >&2; exit 1; }
