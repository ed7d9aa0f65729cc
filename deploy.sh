#!/usr/bin/env bash
# Deploys both services as containers, here or on another machine over ssh. See usage below and docs/deploy.md.
#
# A release is one file: docker-compose.prod.yml with every setting filled in and both images named by
# their content. .deploy/current.yml is the one that passed last, .deploy/previous.yml the one before.
# To go back is to start the older file again: images, settings and limits come back together.
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
shipped='deploy.sh smoke-test.sh docker-compose.prod.yml .env.example cloudflared/config.yml.example
    ops/prometheus.yml ops/alerts.yml ops/grafana'
directory=tixgo

problems=
problem() { problems="$problems  - $1
"; }
no_problems() {
    [ -z "$problems" ] || die "nothing was changed. Mend this first:
$problems"
}

# setting NAME DEFAULT: from the environment, else from .env, as Compose does it.
setting() {
    value=${!1:-}
    if [ -z "$value" ] && [ -f .env ]; then
        value=$(sed -n "s/^[[:space:]]*\(export \)\{0,1\}$1=//p" .env | tail -n 1 | tr -d '\r')
        case $value in
            \"*\") value=${value#\"} value=${value%\"} ;;
            \'*\') value=${value#\'} value=${value%\'} ;;
        esac
    fi
    printf '%s' "${value:-$2}"
}

compose() { docker compose --project-name tixgo --project-directory . "$@"; }
container() { docker container inspect --format "$2" "tixgo-$1" 2>/dev/null; }
# Also of a container that starts over and over.
ports_of() { container "$1" '{{if .State.Running}}{{range .HostConfig.PortBindings}}{{range .}}{{.HostPort}} {{end}}{{end}}{{end}}' || true; }
image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

### What has to be there

check_docker() {
    if ! command -v docker >/dev/null; then
        problem 'Docker is missing: https://docs.docker.com/engine/install/'
        return
    fi
    docker info >/dev/null 2>&1 ||
        problem "Docker does not answer: sudo systemctl start docker; or $(id -un) may not use it: sudo usermod -aG docker $(id -un), then log in again"
}

check_tools() {
    command -v curl >/dev/null || problem 'curl is missing: sudo apt install curl'
    check_docker
    docker compose version >/dev/null 2>&1 ||
        problem 'Docker Compose 2 is missing (docker compose version): https://docs.docker.com/compose/install/linux/'
}

check_secret() {
    if [ ! -f .env ]; then
        problem ".env is missing in $PWD: cp .env.example .env, then put a secret there: openssl rand -hex 32"
        return
    fi
    secret=$(setting JWT_SECRET '')
    lower=$(printf '%s' "$secret" | tr '[:upper:]' '[:lower:]')
    # What the services refuse too (shared-auth/src/config.rs), before anything is built.
    case $lower in
        '') problem 'JWT_SECRET is not set in .env: openssl rand -hex 32 prints a good one' ;;
        *changeme* | *change-me* | *change_me* | *change-this* | *change_this* | *dev-secret* | *dev_secret* | \
            *example* | *ganti-* | *placeholder* | *secret-key* | *secret_key* | *secretkey* | *supersecret* | *your-* | \
            *09d25e094faa6ca2556c818166b7a956* | *a-string-secret* | *a1b2c3d4e5f6* | *jwt-secret* | *jwt_secret* | \
            *my-secret* | *my_secret* | *mysecret* | *password* | *qwerty* | *rahasia*)
            problem 'JWT_SECRET in .env is an example from the documentation: openssl rand -hex 32 prints a good one' ;;
        *'$'*) problem "JWT_SECRET in .env contains \$, which Compose replaces: openssl rand -hex 32 prints a good one" ;;
        *)
            [ "$(printf '%s' "$secret" | wc -c)" -ge 32 ] ||
                problem 'JWT_SECRET in .env is shorter than 32 bytes: openssl rand -hex 32 prints a good one'
            [ "$(printf '%s' "$secret" | fold -w 1 | sort -u | wc -l)" -ge 8 ] ||
                problem 'JWT_SECRET in .env repeats a few characters only: openssl rand -hex 32 prints a good one'
            ;;
    esac
}

check_port() {
    case $2 in
        *[!0-9]* | '' | 0* | ??????*) problem "$1 is '$2', which is no port: choose 1 to 65535"; return ;;
    esac
    [ "$2" -le 65535 ] || { problem "$1 is '$2', which is no port: choose 1 to 65535"; return; }
    case " $(ports_of identity) $(ports_of attendance) " in *" $2 "*) return ;; esac
    for name in $(docker ps --filter "publish=$2" --format '{{.Names}}' 2>/dev/null); do
        problem "port $2 is taken by the container $name: docker stop $name, or set $1 in .env"
        return
    done
    if (exec 3<>"/dev/tcp/$address/$2") 2>/dev/null; then
        problem "port $2 is taken (sudo ss -ltnp 'sport = :$2' tells by whom): stop that, or set $1 in .env"
    fi
}

check_names() {
    for service in $services; do
        project=$(container "$service" '{{index .Config.Labels "com.docker.compose.project"}}') || continue
        [ "$project" = tixgo ] ||
            problem "a container tixgo-$service exists already and is not from here: docker rm --force tixgo-$service"
    done
    # One of two is no version to go back to.
    [ -s .deploy/current.yml ] || [ "$(container identity x)" = "$(container attendance x)" ] ||
        problem 'only one of tixgo-identity and tixgo-attendance is here: start the other one too, or docker rm --force this one'
}

# Without both, all who come through the tunnel are one client to the login guard, and one of them locks others out.
check_tunnel() {
    case ,$(setting COMPOSE_PROFILES ''), in *,tunnel,*) ;; *) return 0 ;; esac
    [ -n "$(setting TRUSTED_PROXIES '')" ] ||
        problem 'behind the tunnel TRUSTED_PROXIES has to be set: put TRUSTED_PROXIES=172.16.0.0/12 into .env'
    [ -n "$(setting CLIENT_ADDRESS_HEADER '')" ] ||
        problem 'behind the tunnel CLIENT_ADDRESS_HEADER has to be set: put CLIENT_ADDRESS_HEADER=CF-Connecting-IP into .env'
}

check_tag() {
    case $IMAGE_TAG in
        *[!A-Za-z0-9_.-]* | .* | -*) problem "IMAGE_TAG is '$IMAGE_TAG', which is no tag: letters, digits, '_', '.' and '-' only" ;;
    esac
}

# check_room MEGABYTES: where Docker keeps its images, if that can be seen from here.
check_room() {
    root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null) || return 0
    free=$(df -Pm "$root" 2>/dev/null | awk 'NR == 2 { print $4 }' || true)
    [ -z "$free" ] || [ "$free" -ge "$1" ] ||
        problem "$root has $free MB left, and $1 MB are needed: docker image prune, or docker builder prune"
}

check_builder() {
    docker buildx version >/dev/null 2>&1 ||
        problem 'Docker Buildx is missing (docker buildx version): https://docs.docker.com/build/install-buildx/'
    memory=$(awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)
    [ -z "$memory" ] || [ "$memory" -ge 3000 ] ||
        problem "this machine has $memory MB of memory, and building wants 3000: build on a laptop (./deploy.sh $(id -un)@$(hostname)), or set IMAGE_REGISTRY"
    [ -f Dockerfile ] || problem "$PWD holds no source to build from: --no-build starts the images that are here, IMAGE_REGISTRY pulls them"
}

check_here() {
    check_tools
    check_secret
    check_port IDENTITY_PORT "$identity_port"
    check_port ATTENDANCE_PORT "$attendance_port"
    [ "$identity_port" != "$attendance_port" ] || problem "both services cannot have port $identity_port: set IDENTITY_PORT and ATTENDANCE_PORT"
    check_names
    check_tag
    check_tunnel
    case $images in
        built) check_builder; check_room 4000 ;;
        *) check_room 200 ;;
    esac
}

### A release: made, rehearsed, started, forgotten

# Prints the name of the release that is made of these two images.
tag_release() {
    release=
    for id in "$@"; do
        id=${id#sha256:}
        release=$release${id:0:6}
    done
    docker tag "$1" "tixgo-identity:$release"
    docker tag "$2" "tixgo-attendance:$release"
    printf '%s' "$release"
}

# render RELEASE FILE [COMPOSE-OPTION...]: whole and on the disk, or not at all.
render() {
    release=$1 file=$2
    shift 2
    IMAGE_REGISTRY='' IMAGE_TAG=$release EXPECT_DATA=$(expect_data) compose -f docker-compose.prod.yml "$@" config >"$file.new" ||
        die 'docker-compose.prod.yml cannot be read with this .env; the messages above say why. Whatever ran before still runs.'
    if grep -q '^    env_file:' "$file.new"; then
        die "this Docker Compose leaves the settings out of a release: install a newer one. Whatever ran before still runs."
    fi
    sync
    mv -f "$file.new" "$file"
}

# Where a release keeps its data.
url_in() { sed -n 's/^ *DATABASE_URL: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1" 2>/dev/null | head -n 1; }

# A file that the current release serves from has to be there at the next start too. Without it its disk is not
# mounted, unless .env says otherwise.
expect_data() {
    url=$(setting DATABASE_URL sqlite:///data/) expected=false
    case $url in sqlite:*) [ "$(url_in .deploy/current.yml)" != "$url" ] || expected=true ;; esac
    setting EXPECT_DATA "$expected"
}

# Whether .deploy/next.yml is what runs already. What deploy.sh expects by itself is no change.
is_current() {
    cmp -s .deploy/next.yml .deploy/current.yml && return
    [ -z "$(setting EXPECT_DATA '')" ] &&
        cmp -s <(grep -v '^ *EXPECT_DATA:' .deploy/next.yml) <(grep -v '^ *EXPECT_DATA:' .deploy/current.yml 2>/dev/null)
}

# Names what runs, where it was not started by this script, so that it can come back: with the settings and
# ports that its containers have, for .env may hold others by now.
adopt() {
    [ ! -s .deploy/current.yml ] || return 0
    identity=$(container identity '{{.Image}}') && attendance=$(container attendance '{{.Image}}') || return 0
    {
        echo 'services:'
        for service in $services; do
            printf '  %s:\n    env_file: !reset []\n' "$service"
            printf '    environment: !override %s\n' "$(container "$service" '{{json .Config.Env}}' | sed 's/\$/$$/g')"
            printf '    ports: !override [%s]\n' "$(container "$service" '{{range .HostConfig.PortBindings}}{{range .}}"{{.HostIp}}:{{.HostPort}}:8000"{{end}}{{end}}')"
        done
    } >.deploy/adopted.yml
    render "$(tag_release "$identity" "$attendance")" .deploy/current.yml -f .deploy/adopted.yml
    rm .deploy/adopted.yml
}

# Those that a release is made of.
images_of() { sed -n 's/^    image: \(tixgo-.*\)/\1/p' "$1" 2>/dev/null; }

# Not one that starts over and over: that is never long enough there to be asked.
serves_from_file() {
    case $(container "$1" '{{.State.Status}} {{.State.Health.Status}} {{.Config.Env}}') in
        'running healthy '*DATABASE_URL=sqlite:* | 'running unhealthy '*DATABASE_URL=sqlite:*) ;;
        *) return 1 ;;
    esac
}

# Whether the files that are served from are whole: a damaged one is good for those that have it open, and is
# refused by whoever starts next, the previous version included.
check_data() {
    for service in $services; do
        serves_from_file "$service" || continue
        docker exec "tixgo-$service" "/$service-service" check >>"$log" 2>&1 || {
            tail -n 1 "$log" >&3 || true
            warn "✗ The data of $service is not whole: bring a backup back first (docs/operate.md, Backups)."
            return 1
        }
    done
}

# A volume for each service to rehearse in, with a consistent copy of what it serves from. The last three copies
# stay in .deploy/backups.
copy_data() {
    backup=.deploy/backups/$(date +%Y%m%d-%H%M%S)
    for service in $services; do
        volume=tixgo-rehearsal-$service
        image=$(sed -n "s/^    image: \(tixgo-$service:.*\)/\1/p" .deploy/next.yml)
        ! serves_from_file "$service" || image=$(container "$service" '{{.Image}}')
        # A new volume belongs to whom /data of the image belongs.
        docker create --name "$volume" --volume "$volume:/data" "$image" >>"$log" 2>&1 || return 1
        serves_from_file "$service" || continue
        url=$(container "$service" '{{range .Config.Env}}{{println .}}{{end}}' | sed -n 's/^DATABASE_URL=//p')
        mkdir -p "$backup"
        if ! { docker run --rm --network none --volumes-from "tixgo-$service" --volume "$volume:/rehearsal" \
            --env "DATABASE_URL=$url" "$image" backup "/rehearsal/$service.db" &&
            docker cp "$volume:/data/$service.db" "$backup/"; } >>"$log" 2>&1; then
            tail -n 1 "$log" >&3 || true
            warn "✗ The data of $service cannot be copied."
            return 1
        fi
    done
    stop_rehearsal
    # shellcheck disable=SC2012  # the names are ours
    ls -rd .deploy/backups/* 2>/dev/null | tail -n +4 | xargs rm -rf || true
}

# Whether both services fit in once more beside those that serve, with what they hold.
has_memory() {
    available=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)
    held=$(for service in $services; do
        cat "/proc/$(container "$service" '{{.State.Pid}}')/status" 2>/dev/null || true
    done | awk '$1 == "VmRSS:" { sum += $2 } END { print int(sum / 1024) }')
    [ -z "$available" ] || [ "$available" -ge $((held + 100)) ]
}

# rehearse_with FILE: starts both services of that release beside those that serve, with no port, and waits for their
# health. With the copies where there are any, else with nothing stored.
rehearse_with() {
    result=0
    for service in $services; do
        url=sqlite:///rehearsal/$service.db
        [ -n "$on_copies" ] || url=sqlite:///rehearsal/nothing.db
        case $(url_in "$1") in '' | memory:) url=memory: ;; esac
        compose -f "$1" run --detach --no-deps --name "tixgo-rehearsal-$service" --volume "tixgo-rehearsal-$service:/rehearsal" \
            --env "DATABASE_URL=$url" --env EXPECT_DATA=false "$service" >>"$log" 2>&1 || result=1
    done
    for service in $services; do
        await_health "rehearsal-$service" || result=1
    done
    stop_rehearsal
    return $result
}

# What cannot even start never takes the place of what works, and nor does what would leave no way back.
rehearse() {
    on_copies=yes
    has_memory || { on_copies=''; warn 'There is too little memory to rehearse with the data: the rehearsal has none.'; }
    end_rehearsal
    check_data && copy_data && rehearse_with .deploy/next.yml || return 1
    if [ -n "$on_copies" ] && [ -d "$backup" ] && [ -z "$one_way" ] &&
        [ "$(images_of .deploy/next.yml)" != "$(images_of .deploy/current.yml)" ]; then
        rehearse_with .deploy/current.yml || {
            warn '✗ The version that serves cannot start with what the new one makes of the data: there would be no way back. --one-way does without.'
            return 1
        }
    fi
    end_rehearsal
}

stop_rehearsal() { docker rm --force tixgo-rehearsal-identity tixgo-rehearsal-attendance >/dev/null 2>&1 || true; }
end_rehearsal() {
    stop_rehearsal
    docker volume rm --force tixgo-rehearsal-identity tixgo-rehearsal-attendance >/dev/null 2>&1 || true
}

await_health() {
    SECONDS=0
    while [ $SECONDS -lt 60 ]; do
        case $(container "$1" '{{.State.Status}} {{.State.Health.Status}}') in
            'running healthy') return 0 ;;
            'running starting') sleep 0.5 ;;
            *) break ;;
        esac
    done
    warn "✗ $1 is not healthy. It said:"
    docker logs --tail 20 "tixgo-$1" >&3 2>&1 || true
    return 1
}

# start FILE: takes the place of what runs, and passes the smoke test. A client that has sent half a request
# keeps the old version for one second, not for its whole drain: nobody is served meanwhile.
start() {
    result=0
    compose -f "$1" --profile '*' up --detach --no-build --remove-orphans --timeout 1 --wait --wait-timeout 60 >>"$log" 2>&1 ||
        { result=1; tail -n 5 "$log" >&3 || true; }
    for service in $services; do
        await_health "$service" || result=1
    done
    [ $result = 0 ] || return 1
    env -u SMOKE_USERNAME -u SMOKE_PASSWORD no_proxy='*' \
        ./smoke-test.sh "http://$(address_of identity)" "http://$(address_of attendance)" >>"$log" ||
        { warn '✗ The smoke test failed.'; return 1; }
}

# Where a running service answers: a release that comes back has the ports it had.
address_of() { docker port "tixgo-$1" 8000/tcp | head -n 1 | sed 's/^0\.0\.0\.0:/127.0.0.1:/'; }

# Whatever happens from here on, Ctrl-C and a closed terminal included, ends with what worked before.
going_back=
go_back() {
    status=$?
    [ -n "$going_back" ] || exit $status
    trap '' INT TERM HUP
    end_rehearsal
    # In a process group of their own: another Ctrl-C must not reach them.
    set -m
    if [ "$going_back" = rehearsed ]; then
        warn 'deploy.sh: the new version was not started. Whatever ran before still runs, untouched.'
    elif [ ! -s .deploy/current.yml ]; then
        compose -f .deploy/next.yml --profile '*' down >>"$log" 2>&1 & wait $! || true
        warn 'deploy.sh: the new version was stopped. There is no previous version to go back to.'
    elif start .deploy/current.yml & wait $!; then
        warn 'deploy.sh: the new version failed. The previous version serves again.'
    else
        warn "deploy.sh: the new version failed, and the previous one could not be started either: see $PWD/$log and docker ps --all."
    fi
    forget_old
    exit 1
}

# replace: .deploy/next.yml becomes what runs. Nothing is touched when it runs already.
replace() {
    for image in $(images_of .deploy/next.yml); do
        image_id "$image" >/dev/null || die "the image $image of that version is gone: deploy it anew. Whatever runs still runs."
    done
    trap go_back EXIT
    trap 'exit 1' INT TERM HUP
    if is_current; then
        start .deploy/current.yml || die 'the version that was here before does not serve either. ./deploy.sh --rollback goes back to the one before that.'
    else
        going_back=rehearsed
        rehearse || exit 1
        going_back=started
        start .deploy/next.yml || exit 1
        trap '' INT TERM HUP
        # At no moment is there no current release.
        if [ -s .deploy/current.yml ]; then ln -f .deploy/current.yml .deploy/previous.yml; fi
        mv -f .deploy/next.yml .deploy/current.yml
        going_back=
    fi
    forget_old
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

# The box has little room: only the images of the current and the previous release stay. What --no-build
# starts next is the current one, unless somebody brings another.
forget_old() {
    for image in $(images_of .deploy/current.yml); do
        [ "$images" = pulled ] || docker tag "$image" "${image%:*}:$IMAGE_TAG" || true
    done
    for image in $(docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -E '^tixgo-(identity|attendance):[0-9a-f]{12}$' || true); do
        grep -qs "image: $image\$" .deploy/current.yml .deploy/previous.yml || docker image rm "$image" >/dev/null 2>&1 || true
    done
    docker image prune --force --filter label=org.opencontainers.image.vendor=TixGo >/dev/null 2>&1 || true
}

### What the options do, on this machine

source_image() {
    if [ "$images" = pulled ]; then printf '%s/' "$IMAGE_REGISTRY"; fi
    printf 'tixgo-%s:%s' "$1" "$IMAGE_TAG"
}

get_images() {
    case $images in
        built)
            for service in $services; do
                build "$service" || die 'the build failed; the messages above say why. Whatever ran before still runs.'
            done
            say '✓ Building images...'
            ;;
        pulled)
            for service in $services; do
                docker pull --quiet "$(source_image "$service")" >/dev/null ||
                    die "$(source_image "$service") cannot be pulled: is IMAGE_REGISTRY right, and docker login done? Whatever ran before still runs."
            done
            say '✓ Pulling images...'
            ;;
    esac
    for service in $services; do
        image_id "$(source_image "$service")" >/dev/null ||
            die "there is no image $(source_image "$service") here: docker load it first, or leave --no-build away."
    done
}

# The last commit that changed what is built: another one must not make another image.
revision() {
    set -- Dockerfile Cargo.toml Cargo.lock '*/Cargo.toml' '*/src/*' '*/assets/*' '*/migrations/*'
    commit=$(git log -1 --format=%h -- "$@" 2>/dev/null || true)
    [ -z "$commit" ] || git diff --quiet HEAD -- "$@" || commit=$commit-dirty
    printf '%s' "${commit:-unknown}"
}

# build SERVICE [PLATFORM-OPTION...]: an image, and the same one when nothing changed.
build() {
    service=$1
    shift
    docker buildx build --load --provenance=false --target "$service" --tag "tixgo-$service:$IMAGE_TAG" \
        --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)" --build-arg "REVISION=$(revision)" "$@" .
}

deploy_here() {
    check_here
    no_problems
    get_images
    adopt
    render "$(tag_release "$(image_id "$(source_image identity)")" "$(image_id "$(source_image attendance)")")" .deploy/next.yml
    if [ "$images" = pulled ]; then
        # The release has a name for them; the registry's would keep them for ever.
        docker image rm "$(source_image identity)" "$(source_image attendance)" >/dev/null
    fi
    replace
}

roll_back_here() {
    [ -s .deploy/previous.yml ] || die 'there is no previous version to go back to.'
    cp .deploy/previous.yml .deploy/next.yml.new
    sync
    mv -f .deploy/next.yml.new .deploy/next.yml
    replace
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

### The same on another machine

there() { ssh -o ServerAliveInterval=15 -o ControlMaster=auto -o ControlPath="$tmp/ssh" -o ControlPersist=60 -- "$host" "$1"; }
there_deploy() { there "cd $directory && IMAGE_REGISTRY=$(printf %q "$IMAGE_REGISTRY") IMAGE_TAG=$(printf %q "$IMAGE_TAG") ./deploy.sh $1"; }

platform_there() {
    # A shell may greet before it obeys.
    case $(there 'uname -m' | tail -n 1) in
        x86_64) echo linux/amd64 ;;
        aarch64 | arm64) echo linux/arm64 ;;
        armv7l) echo linux/arm/v7 ;;
        *) return 1 ;;
    esac
}

connect() {
    command -v ssh >/dev/null || die 'ssh is missing: sudo apt install openssh-client'
    tmp=$(mktemp -d "${TMPDIR:-/tmp}/tixgo.XXXXXX")
    trap 'ssh -o ControlPath="$tmp/ssh" -O exit -- "$host" 2>/dev/null || true; rm -rf "$tmp"' EXIT
    trap 'exit 1' INT TERM HUP
    there true || die "cannot log in: ssh $host"
}

# The secret stays where it is: a .env is sent once, to a machine that has none.
ship_files() {
    # shellcheck disable=SC2086  # one argument a file
    COPYFILE_DISABLE=1 tar -cf - $shipped | there "mkdir -p $directory && tar -xf - -C $directory"
    [ -f .env ] || return 0
    status=0
    there "test -f $directory/.env" || status=$?
    case $status in
        0) ;;
        1)
            check_secret
            no_problems
            there "cd $directory && umask 077 && cat >.env.new && mv .env.new .env" <.env
            say "Sent .env to $host, which had none."
            ;;
        # A connection that fails must not look like a box without .env.
        *) die "the connection to $host failed." ;;
    esac
}

ship_images() {
    mine=$(docker image inspect --format '{{.Id}}' "tixgo-identity:$IMAGE_TAG" "tixgo-attendance:$IMAGE_TAG")
    theirs=$(there "docker image inspect --format '{{.Id}}' tixgo-identity:$IMAGE_TAG tixgo-attendance:$IMAGE_TAG 2>/dev/null" | tail -n 2 || true)
    [ "$mine" != "$theirs" ] || return 0
    docker save "tixgo-identity:$IMAGE_TAG" "tixgo-attendance:$IMAGE_TAG" | gzip | there 'docker load' >/dev/null ||
        die "the images did not reach $host: is there room? Whatever ran there still runs."
}

# Both machines say what they miss, at once.
check_both() {
    if [ "$images" = built ]; then
        check_docker
        check_builder
        check_room 4000
        platform=$(platform_there) || problem "$host is no machine that there are images for: x86-64, ARM64 and ARMv7 only"
    fi
    there_deploy "--check $without_building" || problem "what $host says above"
    no_problems
}

deploy_there() {
    ship_files
    check_both
    if [ "$images" = built ]; then
        for service in $services; do
            build "$service" --platform "$platform" || die "the build failed; the messages above say why. Whatever ran on $host still runs."
        done
        say '✓ Building images...'
        ship_images
    fi
    there_deploy "$without_building $one_way"
}

### What was asked for

command=deploy images=built one_way='' host=
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit ;;
        --no-build) images=loaded ;;
        --one-way) one_way=--one-way ;;
        --check) command=check ;;
        --status) command=status ;;
        --rollback) command=rollback ;;
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

if [ -n "$host" ]; then
    connect
    # Images that are built are built here, never there.
    without_building=--no-build
    [ $images != pulled ] || without_building=
    case $command in
        deploy) deploy_there ;;
        check) ship_files; check_both; say "Everything is there, here and on $host." ;;
        *) there_deploy "--$command" ;;
    esac
    exit
fi

identity_port=$(setting IDENTITY_PORT 18081)
attendance_port=$(setting ATTENDANCE_PORT 18082)
address=$(setting BIND_ADDRESS 0.0.0.0)
[ "$address" != 0.0.0.0 ] || address=127.0.0.1
umask 077
mkdir -p .deploy
log=.deploy/log

case $command in
    check) check_here; no_problems; say 'Everything is there.'; exit ;;
    status) show_status; exit ;;
esac

# Two deploys at once would each take the other's half for the previous version.
exec 9>.deploy/lock
if command -v flock >/dev/null; then flock --nonblock 9 || die 'another deploy is running.'; fi
: >"$log"
case $command in
    deploy) deploy_here ;;
    rollback) roll_back_here ;;
esac
