#!/usr/bin/env bash
# Deploys both services as containers, here or on another machine over ssh. See usage below and docs/deploy.md.
# What a release is, and how it takes the place of another: ops/deploy/release.sh. The way to the other machine:
# ops/deploy/over-ssh.sh.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"

usage() {
    cat <<'END'
Usage: ./deploy.sh [OPTION] [USER@HOST]

Without USER@HOST on this machine. With it, over ssh: builds here for the other machine's
architecture, ships the images and starts them there, in the directory tixgo of its user.
With IMAGE_REGISTRY set, images are pulled from there (IMAGE_TAG, default latest) instead of built.

  (none)       build, start, check; whatever fails, the version that worked serves
  --no-build   start the images that are already here (docker load)
  --check      only say what is missing or wrong
  --status     what runs
  --rollback   back to the previous version; once more, and forward again
  --one-way    with none or --no-build: though the version that serves could not come back

Exit status: 0 done, 1 failed (the messages say why and what serves now), 2 used wrongly.
END
}
usage_error() { printf 'deploy.sh: %s\n\n' "$1" >&2; usage >&2; exit 2; }
# A broken connection to whoever watches must not stop a deploy half way.
trap '' PIPE
say() { printf '%s\n' "$1" || true; }
# To whoever watches, also out of a trap that finds stderr led into the log.
exec 3>&2
warn() { printf '%s\n' "$1" >&3 || true; }
die() { warn "deploy.sh: $1"; exit 1; }

services='identity attendance'

# setting NAME DEFAULT: from the environment, else from .env.
setting() {
    value=${!1:-$(sed -n "s/^[[:space:]]*\(export \)\{0,1\}$1[[:space:]]*=[[:space:]]*//p" .env 2>/dev/null | tail -n 1 | tr -d "\"'\r" || true)}
    printf '%s' "${value:-$2}"
}

compose() { docker compose --project-name tixgo --project-directory . "$@"; }
container() { docker container inspect --format "$2" "tixgo-$1" 2>/dev/null; }

### What has to be there

problems=
problem() { problems="$problems  - $1
"; }
no_problems() { [ -z "$problems" ] || die "nothing was changed. Mend this first:
$problems"; }

check_engine() {
    docker info >/dev/null 2>&1 || problem "Docker is missing (https://docs.docker.com/engine/install/), or does not answer (sudo systemctl start docker), or $(id -un) may not use it (sudo usermod -aG docker $(id -un), then log in again)"
}

# check_room MEGABYTES: where Docker keeps its images, if that can be seen from here.
check_room() {
    root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null) || return 0
    free=$(df -Pm "$root" 2>/dev/null | awk 'NR == 2 { print $4 }' || true)
    [ "${free:-$1}" -ge "$1" ] || problem "$root has $free MB left, and $1 MB are needed: docker image prune, or docker builder prune"
}

check_builder() {
    docker buildx version >/dev/null 2>&1 || problem 'Docker Buildx is missing (docker buildx version): https://docs.docker.com/build/install-buildx/'
    memory=$(awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)
    [ "${memory:-3000}" -ge 3000 ] || problem "this machine has $memory MB of memory, and building wants 3000: build on a laptop (./deploy.sh $(id -un)@$(hostname)), or set IMAGE_REGISTRY"
    [ -f Dockerfile ] || problem "$PWD holds no source to build from: --no-build starts the images that are here, IMAGE_REGISTRY pulls them"
    check_room 4000
}

# Compose takes any secret and any profile.
check_secret() { [ "$(setting JWT_SECRET '' | wc -c)" -ge 32 ] || problem "JWT_SECRET is shorter than 32 bytes in $PWD/.env, or missing: put one there: openssl rand -hex 32 (JWT_SECRET_FILE is not for containers)"; }
check_profiles() {
    profiles=$(setting COMPOSE_PROFILES '' | sed 's/[[:space:]]#.*//; s/[[:space:]]//g')
    case $profiles in
        '' | observability) ;;
        tunnel | tunnel,observability | observability,tunnel) [ -f cloudflared/config.yml ] || problem 'cloudflared/config.yml is missing: docs/tunnel.md' ;;
        *) problem "COMPOSE_PROFILES is \"$profiles\": it may be tunnel, observability, or both with a comma" ;;
    esac
}

check_here() {
    command -v curl >/dev/null || problem 'curl is missing: sudo apt install curl'
    check_engine
    docker compose version >/dev/null 2>&1 || problem 'Docker Compose 2 is missing (docker compose version): https://docs.docker.com/compose/install/linux/'
    if [ $images = built ]; then check_builder; else check_room 200; fi
    [ -f .env ] || problem ".env is missing in $PWD: cp .env.example .env && chmod 600 .env, then put a secret there: openssl rand -hex 32"
    [ -z "$(find -L .env -perm -040 -o -perm -004 2>/dev/null)" ] || problem ".env holds the secret, and others may read it: chmod 600 $PWD/.env"
    [ ! -f .env ] || { check_secret; check_profiles; }
    # A first deploy that was killed leaves next.yml alone.
    [ -s .deploy/current.yml ] || [ -s .deploy/next.yml ] || [ -z "$(docker ps --all --quiet --filter 'name=^tixgo-(identity|attendance)$' 2>/dev/null)" ] ||
        problem 'tixgo-identity or tixgo-attendance is here, and deploy.sh did not start it: docker rm --force tixgo-identity tixgo-attendance (the volumes with the data stay)'
    no_problems
    said=$(compose -f docker-compose.prod.yml config --quiet 2>&1) || problem "docker-compose.prod.yml cannot be read with $PWD/.env: $said"
    no_problems
}

# examine FILE: what the version in the images says of the secret, the settings and the data, with `doctor`.
# What else that finds keeps no version from serving.
examine() {
    findings=$(for service in $services; do
        compose -f "$1" run --rm --no-deps -T "$service" doctor 2>>"$log" </dev/null || true
    done | grep -E '^WRONG (configuration|secret|proxies|store): ' | grep -vE '^WRONG store: memory,|, and nothing reads it;' | sort -u || true)
    [ -z "$findings" ] || { warn "$findings"; warn "✗ $PWD/.env or the data is not as it has to be."; return 1; }
}

### The images

source_image() {
    if [ $images = pulled ]; then printf '%s/' "$IMAGE_REGISTRY"; fi
    printf 'tixgo-%s:%s' "$1" "$IMAGE_TAG"
}
image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

# The last commit that changed what is built: another one must not make another image.
revision() {
    set -- Dockerfile Cargo.toml Cargo.lock '*/Cargo.toml' '*/src/*' '*/assets/*' '*/migrations/*'
    commit=$(git log -1 --format=%h -- "$@" 2>/dev/null || true)
    [ -z "$commit" ] || git diff --quiet HEAD -- "$@" || commit=$commit-dirty
    printf '%s' "${commit:-unknown}"
}

# build SERVICE: an image, and the same one when nothing changed.
build() {
    docker buildx build --load --provenance=false --target "$1" --tag "tixgo-$1:$IMAGE_TAG" ${platform:+--platform "$platform"} \
        --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)" --build-arg "REVISION=$(revision)" .
}

get_images() {
    [ $images != loaded ] || return 0
    for service in $services; do
        if [ $images = built ]; then build "$service"; else docker pull --quiet "$(source_image "$service")" >/dev/null; fi ||
            die "$(source_image "$service") could not be $images; the messages above say why. Whatever ran before still runs."
    done
    if [ $images = built ]; then say '✓ Building images...'; else say '✓ Pulling images...'; fi
}

### What the options do, on this machine

check() {
    check_here
    # The images here are those of the last deploy. Where there are none yet, or where another machine sends newer ones,
    # the deploy asks.
    if [ -z "${IMAGES_FOLLOW:-}" ] && image_id "$(source_image identity)" >/dev/null && image_id "$(source_image attendance)" >/dev/null; then
        [ $images = pulled ] || IMAGE_REGISTRY=''
        examine docker-compose.prod.yml || exit 1
    fi
    say 'Everything is there.'
}

deploy() {
    check_here
    get_images
    make_release
    replace
    say_where
}

roll_back() {
    [ -s .deploy/previous.yml ] || die 'there is no previous version to go back to.'
    for image in $(images_of .deploy/previous.yml); do
        image_id "$image" >/dev/null || die "the image $image of that version is gone: deploy it anew. Whatever runs still runs."
    done
    cp .deploy/previous.yml .deploy/next.yml.new
    sync
    mv -f .deploy/next.yml.new .deploy/next.yml
    replace
    say_where
}

say_where() {
    say '✓ Starting containers...'
    identity=$(address_of identity) attendance=$(address_of attendance)
    say "✓ Services are running on ports ${identity##*:} and ${attendance##*:}"
    tunnel_is_up || warn '✗ The tunnel does not stay up, so the public domains do not answer: docker logs tixgo-cloudflared'
}

# True also where it runs elsewhere. One that cannot run starts over within seconds.
tunnel_is_up() {
    state=$(container cloudflared '{{.State.Status}} {{.RestartCount}}') || return 0
    sleep 3
    [ "${state% *}" = running ] && [ "$(container cloudflared '{{.State.Status}} {{.RestartCount}}')" = "$state" ]
}

show_status() {
    result=0
    for service in $services; do
        state=$(container "$service" '{{.Config.Image}}, {{.State.Status}}{{with .State.Health}}, {{.Status}}{{end}}, started {{.State.StartedAt}}') || state='is not there'
        case $state in *', running, healthy,'*) ;; *) result=1 ;; esac
        say "tixgo-$service: $state"
    done
    tunnel_is_up || { say 'tixgo-cloudflared: does not stay up (docker logs tixgo-cloudflared)'; result=1; }
    for file in current previous; do
        say "$file release: $(sed -n 's/^ *image: tixgo-identity://p' ".deploy/$file.yml" 2>/dev/null || true)"
    done
    return $result
}

### What was asked for

command=deploy images=built one_way='' host='' platform=''
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit ;;
        --no-build) images=loaded ;;
        --one-way) one_way=--one-way ;;
        --check) command=check ;;
        --status) command=show_status ;;
        --rollback) command=roll_back ;;
        -*) usage_error "unknown option: $1" ;;
        '') usage_error 'the name of the machine is empty' ;;
        *)
            [ -z "$host" ] || usage_error "one machine at a time, got $host and $1"
            host=$1
            ;;
    esac
    shift
done

IMAGE_TAG=$(setting IMAGE_TAG latest)
IMAGE_REGISTRY=$(setting IMAGE_REGISTRY '')
if [ $images = built ] && [ -n "$IMAGE_REGISTRY" ]; then images=pulled; fi
export IMAGE_TAG IMAGE_REGISTRY

if [ -n "$host" ]; then
    [ -f ops/deploy/over-ssh.sh ] || die "to another machine only from the repository; on the box itself leave $host out"
    . ops/deploy/over-ssh.sh
    connect
    case $command in
        deploy) deploy_there ;;
        check) ship_files; check_both; say "Everything is there, here and on $host." ;;
        show_status) there_deploy --status ;;
        roll_back) there_deploy --rollback ;;
    esac
    exit
fi

. ops/deploy/release.sh
umask 077
mkdir -p .deploy
log=.deploy/log
if [ $command = show_status ]; then show_status; exit; fi
# Two deploys at once would each take the other's half for the previous version.
exec 9>.deploy/lock
if command -v flock >/dev/null; then flock --nonblock 9 || die 'another deploy is running.'; fi
: >"$log"
$command
