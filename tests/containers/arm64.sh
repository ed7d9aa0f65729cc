#!/usr/bin/env bash
# The binaries and images for other machines than this one: cross-compiled, never emulated while they are
# built. The ARM64 binaries then run under QEMU and answer the smoke test.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"

if [ "$(docker info --format '{{.Architecture}}')" != x86_64 ]; then
    skip 'cross-compiling for ARM (this machine is not x86-64)'
    exit
fi

pids=()
clean_up() { [ ${#pids[@]} = 0 ] || kill "${pids[@]}"; }
clone=$work/tixgo
fresh_clone "$clone"
cd "$clone"
# Optimised, as it is shipped.
cp "$repository/Cargo.toml" .

build() { docker buildx build "$@" . >"$work/log" 2>&1 || { tail -n 30 "$work/log"; return 1; }; }
# architecture_of FILE: the machine in its ELF header.
architecture_of() { readelf --file-header "$1" | sed -n 's/^ *Machine: *//p'; }
is_static() { fails grep -qE 'NEEDED|INTERP' <(readelf --dynamic --program-headers "$1"); }

# binaries_for PLATFORM MACHINE
binaries_for() {
    dist=$work/dist/$1
    check "the binaries for $1 are built" build --platform "$1" --target binaries --output "$dist"
    for service in identity attendance; do
        check "$service-service is one of them" same "$(architecture_of "$dist/$service-service")" "$2"
        check 'and needs no library' is_static "$dist/$service-service"
        check "the image of $service is built" build --platform "$1" --target "$service" --load --tag "tixgo-cross-$service"
        check 'and is for that platform' contains "$(docker image inspect --format '{{.Os}}/{{.Architecture}}/{{.Variant}}' "tixgo-cross-$service")" "$1"
        size=$(docker image inspect --format '{{.Size}}' "tixgo-cross-$service")
        check "and has at most 14 MB ($size bytes)" test "$size" -le 14000000
        docker image rm "tixgo-cross-$service" >/dev/null
    done
}

binaries_for linux/arm64 AArch64
if command -v qemu-aarch64-static >/dev/null; then
    # start SERVICE: under QEMU, on any free port; its address comes out in $url.
    start() {
        (cd "$work" && JWT_SECRET=$secret APP_ENV=production HOST=127.0.0.1 PORT=0 LOG_FORMAT=text \
            exec qemu-aarch64-static "$work/dist/linux/arm64/$1-service") >"$work/$1.log" 2>&1 &
        pids+=($!)
        check "$1-service runs under QEMU" until_true 30 grep -q ' is ready ' "$work/$1.log" || { cat "$work/$1.log"; exit 1; }
        url=http://$(sed -n 's/.* is ready .*address=\([0-9.:]*\).*/\1/p' "$work/$1.log")
    }
    secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    start identity
    identity=$url
    start attendance
    answers() { ./smoke-test.sh "$1" "$2" >/dev/null; }
    check 'and both answer the smoke test' answers "$identity" "$url"
else
    skip 'running the ARM64 binaries (qemu-aarch64-static is missing)'
fi

# The stand-in of the base image has no 32-bit standard library.
base=$(sed -n 's/^FROM --platform=.* \(rust:[^ ]*\).*/\1/p' Dockerfile)
if [ -n "$(docker run --rm "$base" rustup --version 2>/dev/null)" ]; then
    binaries_for linux/arm/v7 ARM
else
    skip 'the binaries for linux/arm/v7 (the stand-in base image has no 32-bit standard library)'
fi
