#!/usr/bin/env bash
# Compose 2 and Buildx for a Debian that is too old to have them: out of trixie's packages, from the
# mirror that this machine uses, and without a trace in what apt knows.
set -euo pipefail

plugins=/usr/local/lib/docker/cli-plugins
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/parts" "$work/lists/partial" "$work/cache/archives/partial" "$work/root"

codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") ||
    { echo 'install-docker-plugins.sh: only Debian has these packages.' >&2; exit 1; }
for sources in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    [ ! -f $sources ] || sed "s/\b$codename\b/trixie/g" $sources >"$work/parts/${sources##*/}"
done
# Without that ending, apt would not read it.
[ ! -f "$work/parts/sources.list" ] || mv "$work/parts/sources.list" "$work/parts/debian.list"

isolated_apt() {
    timeout 300 apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
cd "$work/root"
isolated_apt update
isolated_apt download docker-compose docker-buildx
for package in *.deb; do dpkg-deb --extract "$package" .; done
mkdir -p "$plugins"
for plugin in compose buildx; do
    if docker $plugin version 2>/dev/null; then continue; fi
    binary=$(find . -type f -perm -u+x -name docker-$plugin | head -n 1)
    "$binary" docker-cli-plugin-metadata >/dev/null
    install "$binary" $plugins/
    docker $plugin version
done
