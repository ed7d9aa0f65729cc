# deploy.sh with USER@HOST: builds here, and lets deploy.sh run there. Sourced by deploy.sh.
# shellcheck shell=bash disable=SC2034,SC2154  # what is deploy.sh's

shipped='deploy.sh smoke-test.sh docker-compose.prod.yml .env.example cloudflared/config.yml.example
    ops/deploy/release.sh ops/prometheus.yml ops/alerts.yml ops/grafana'
directory=tixgo
# Images that are built are built here, never there.
without_building=--no-build
[ "$images" != pulled ] || without_building=

there() { ssh -o ServerAliveInterval=15 -o ControlMaster=auto -o ControlPath="$tmp/ssh" -o ControlPersist=60 -- "$host" "$1"; }
there_deploy() { there "cd $directory && IMAGE_REGISTRY=$(printf %q "$IMAGE_REGISTRY") IMAGE_TAG=$(printf %q "$IMAGE_TAG") ${images_follow:+IMAGES_FOLLOW=yes} ./deploy.sh $1"; }

connect() {
    command -v ssh >/dev/null || die 'ssh is missing: sudo apt install openssh-client'
    tmp=$(mktemp -d "${TMPDIR:-/tmp}/tixgo.XXXXXX")
    trap 'ssh -o ControlPath="$tmp/ssh" -O exit -- "$host" 2>/dev/null || true; rm -rf "$tmp"' EXIT
    trap 'exit 1' INT TERM HUP
    there true || die "cannot log in: ssh $host"
}

platform_there() {
    # A shell may greet before it obeys.
    case $(there 'uname -m' | tail -n 1) in
        x86_64) echo linux/amd64 ;;
        aarch64 | arm64) echo linux/arm64 ;;
        armv7l) echo linux/arm/v7 ;;
        *) return 1 ;;
    esac
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
            # Once it is there it is not sent again, so what no service takes is refused here. The environment is not sent.
            JWT_SECRET='' check_secret
            no_problems
            there "cd $directory && umask 077 && cat >.env.new && mv .env.new .env" <.env
            say "Sent .env to $host, which had none."
            ;;
        # A connection that fails must not look like a box without .env.
        *) die "the connection to $host failed." ;;
    esac
}

# Both machines say what they miss, at once.
check_both() {
    if [ "$images" = built ]; then
        check_engine
        check_builder
        platform=$(platform_there) || problem "$host is no machine that there are images for: x86-64, ARM64 and ARMv7 only"
    fi
    there_deploy "--check $without_building" || problem "what $host says above"
    no_problems
}

ship_images() {
    set -- "$(printf 'tixgo-%s:%q ' identity "$IMAGE_TAG" attendance "$IMAGE_TAG")"
    # shellcheck disable=SC2086  # one argument an image
    mine=$(docker image inspect --format '{{.Id}}' $1)
    theirs=$(there "docker image inspect --format '{{.Id}}' $1 2>/dev/null" | tail -n 2 || true)
    [ "$mine" != "$theirs" ] || return 0
    # shellcheck disable=SC2086
    docker save $1 | gzip | there 'docker load' >/dev/null ||
        die "the images did not reach $host: is there room? Whatever ran there still runs."
}

deploy_there() {
    ship_files
    images_follow=yes
    check_both
    images_follow=
    if [ "$images" = built ]; then
        get_images
        ship_images
    fi
    there_deploy "$without_building $one_way"
}
