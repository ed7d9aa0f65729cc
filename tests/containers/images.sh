#!/usr/bin/env bash
# The images as they are built here: what is in them, what is not, and what a change to our code rebuilds.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"

clean_up() { docker image rm tixgo-test-identity tixgo-test-attendance; }

clone=$work/clone

# build SERVICE [OPTION...]
build() {
    local service=$1
    shift
    docker buildx build --load --provenance=false --progress=plain --target "$service" --tag "tixgo-test-$service" \
        "$@" "$clone" >"$log" 2>&1 || { tail -n 40 "$log" >&2; return 1; }
}
image() { docker image inspect --format "$2" "tixgo-test-$1"; }
label() { image "$1" "{{index .Config.Labels \"org.opencontainers.image.$2\"}}"; }

# unpack SERVICE DIRECTORY: every layer becomes a directory there, and its contents a line of `listing`.
unpack() {
    local layer
    rm -rf "$2"
    mkdir -p "$2/root"
    docker save "tixgo-test-$1" | tar -C "$2" -xf - &&
        for layer in $(tr ',' '\n' <"$2/manifest.json" | grep -v '"Config"' | grep -oE '[^"]+/(layer\.tar|[0-9a-f]{64})"' | tr -d '"'); do
            tar --numeric-owner -tvf "$2/$layer" | awk '{ print $1, $2, $6 }' >>"$2/listing" &&
                tar -C "$2/root" -xf "$2/$layer" || return 1
        done
}

### The recipe

rust=$(sed -n 's/^FROM .*rust:\([0-9.]*\)-.* AS build$/\1/p' "$repository/Dockerfile")
check 'the images are built with the Rust of rust-toolchain.toml' \
    same "$rust" "$(sed -n 's/^channel = "\(.*\)"/\1/p' "$repository/rust-toolchain.toml")"

members=$(sed -n 's/^members = \[\(.*\)\]/\1/p' "$repository/Cargo.toml" | tr -d '",')
members_copied=$(sed -n 's|^COPY \(.*\)/Cargo.toml \1/$|\1|p' "$repository/Dockerfile" | xargs)
members_emptied=$(sed -n 's/^ *for crate in \(.*\); do .*/\1/p' "$repository/Dockerfile")
check 'every crate of the workspace is in the layer of the dependencies' same "$members_copied" "${members:-none found}"
check 'every crate of the workspace is empty there' same "$members_emptied" "$members"

### The context

fresh_clone "$clone"
secret=marker-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
for file in .env jwt-secret.txt identity-service/.env .git/secret .deploy/current.yml; do
    mkdir -p "$(dirname "$clone/$file")"
    printf 'JWT_SECRET=%s\n' "$secret" >"$clone/$file"
done
printf 'FROM scratch\nCOPY . /\n' |
    docker buildx build --quiet --file - --output "type=tar,dest=$work/context.tar" "$clone" >/dev/null
context=$(tar -tf "$work/context.tar")
check 'the context has the source' contains "$context" identity-service/src/main.rs
check 'the context has nothing but configuration, manifests, sources, assets, migrations and pages' \
    same "$(grep -vE '/$|^\.cargo/config\.toml$|^Cargo\.lock$|(^|/)(Cargo\.toml|build\.rs)$|/(src|assets|migrations)/|^web/' <<<"$context")" ''
check 'no .env, .git or secret reaches the build' fails grep -qa "$secret" "$work/context.tar"

### What was built

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$repository/Cargo.toml")
for service in identity attendance; do
    name=$service-service
    check "$service: builds" build "$service"

    unpack "$service" "$work/$service"
    check "$service: holds the binary and an empty /data of 65532, nothing else" \
        same "$(sort "$work/$service/listing")" "-rwxr-xr-x 0/0 $name
drwxr-xr-x 65532/65532 data/"
    check "$service: no layer has the secret" fails grep -rqa "$secret" "$work/$service"

    binary=$work/$service/root/$name
    linked=$(readelf -ldW "$binary")
    check "$service: the binary needs no interpreter and no library" fails grep -E 'INTERP|NEEDED' <<<"$linked"
    check "$service: the binary is the real one" same "$(docker run --rm "tixgo-test-$service" --version)" "$name $version"

    check "$service: runs as 65532:65532" same "$(image "$service" '{{.Config.User}}')" 65532:65532
    env=$(image "$service" '{{json .Config.Env}}')
    check "$service: APP_ENV is production" contains "$env" '"APP_ENV=production"'
    check "$service: PORT is 8000" contains "$env" '"PORT=8000"'
    check "$service: exposes 8000 and nothing else" same "$(image "$service" '{{json .Config.ExposedPorts}}')" '{"8000/tcp":{}}'
    check "$service: the binary checks its own health, without a shell" \
        same "$(image "$service" '{{json .Config.Healthcheck.Test}}')" "[\"CMD\",\"/$name\",\"healthcheck\"]"
    check "$service: the binary is started without a shell" \
        same "$(image "$service" '{{json .Config.Entrypoint}} {{len .Config.Cmd}}')" "[\"/$name\"] 0"

    check "$service: label title" same "$(label "$service" title)" "TixGo $name"
    check "$service: label description" [ -n "$(label "$service" description)" ]
    check "$service: label licenses" same "$(label "$service" licenses)" MIT
    check "$service: label vendor" same "$(label "$service" vendor)" TixGo
    build "$service" --build-arg VERSION=1.2.3 --build-arg REVISION=abcdef0
    check "$service: labels version and revision are those of the build" \
        same "$(label "$service" version) $(label "$service" revision)" '1.2.3 abcdef0'
done

### A change to our own code

# Never the same twice: a layer that is still there from the last run would prove nothing.
printf '// %s\n' "$secret" >>"$clone/identity-service/src/main.rs"
sed -i "s/\"stopped\"/\"stopped $secret\"/" "$clone/shared-service/src/run.rs"
check 'identity: builds after a change' build identity
step=$(sed -n 's/^\(#[0-9]*\) \[build .* RUN .*for crate in .*/\1/p' "$log")
check 'a change to our code leaves the layer of the dependencies alone' grep -qx "$step CACHED" "$log"
compiled=$(sed -n 's/.* Compiling \([^ ]*\) v.*/\1/p' "$log" | sort -u)
check 'a change to our code compiles our own crates, and no other' \
    same "$compiled" "$(printf '%s\n' attendance-service identity-service shared-auth shared-http shared-service shared-store)"
unpack identity "$work/changed"
check 'the changed binary is in the image' grep -qa "stopped $secret" "$work/changed/root/identity-service"
