#!/usr/bin/env bash
# Makes sure that the image the Dockerfile begins with is here: pulled, or, where no registry can be
# reached, a stand-in of the same name from Debian's packages. The stand-in has Debian's newest Rust and
# its standard library for ARM64, so the real Dockerfile builds with it for both.
set -euo pipefail
cd "$(dirname -- "$0")"

# shellcheck disable=SC2016  # the Dockerfile says it so
image=$(sed -n 's/^FROM --platform=$BUILDPLATFORM \([^ ]*\).*/\1/p' ../../Dockerfile)
[ -n "$image" ] || { echo 'base-image.sh: the Dockerfile names no base image.' >&2; exit 1; }
docker image inspect "$image" >/dev/null 2>&1 && exit
docker pull --quiet "$image" 2>/dev/null && exit

echo "No registry has $image for us: making a stand-in from Debian's packages."
command -v debootstrap >/dev/null || { echo 'base-image.sh: debootstrap is missing: apt-get install debootstrap' >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The mirror that this machine uses is the one that it can reach.
mirror=$(awk '$1 == "URIs:" || $1 == "deb" { print $2; exit }' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null)
debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" "$mirror" >"$work/log" ||
    { tail "$work/log" >&2; exit 1; }
printf 'deb %s bookworm main\ndeb %s-security bookworm-security main\n' "$mirror" "$mirror" >"$work/root/etc/apt/sources.list"
# Whatever this machine trusts, its containers must trust too: a registry may be behind a proxy.
cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/"
tar -C "$work/root" -c . | docker import --change 'ENV CARGO_HOME=/usr/local/cargo' - tixgo-stand-in >/dev/null
docker build --tag "$image" - <<'END'
FROM tixgo-stand-in
ENV DEBIAN_FRONTEND=noninteractive
RUN dpkg --add-architecture arm64 \
 && apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev rustc-web cargo-web libstd-rust-web-dev:arm64 \
 && rm -rf /var/lib/apt/lists/*
RUN printf '#!/bin/sh\n# Every target is here already.\n' >/usr/local/bin/rustup && chmod +x /usr/local/bin/rustup
END
docker image rm tixgo-stand-in >/dev/null
