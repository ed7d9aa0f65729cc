# A release: made, rehearsed, started, gone back from, forgotten. Sourced by deploy.sh.
#
# It is one file: docker-compose.prod.yml with every setting filled in and both images named by their content.
# .deploy/current.yml is the one that passed last, .deploy/previous.yml the one before. To go back is to start the
# older file again: images, settings and limits come back together.
# shellcheck shell=bash disable=SC2154  # what is deploy.sh's

# Those that a release is made of.
images_of() { sed -n 's/^    image: \(tixgo-.*\)/\1/p' "$1" 2>/dev/null; }
# Where a release keeps its data.
url_in() { sed -n 's/^ *DATABASE_URL: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1" 2>/dev/null | head -n 1; }

# A file that the current release serves from has to be there at the next start too. Without it its disk is not
# mounted, unless .env says otherwise.
expect_data() {
    url=$(setting DATABASE_URL sqlite:///data/) expected=false
    case $url in sqlite:*) [ "$(url_in .deploy/current.yml)" != "$url" ] || expected=true ;; esac
    setting EXPECT_DATA $expected
}

# .deploy/next.yml: whole and on the disk, or not at all. The release is named after its images.
make_release() {
    release=
    for service in $services; do
        id=$(image_id "$(source_image "$service")") || die "there is no image $(source_image "$service") here: docker load it first, or leave --no-build away."
        id=${id#sha256:} release=$release${id:0:6}
    done
    for service in $services; do
        docker tag "$(source_image "$service")" "tixgo-$service:$release"
        # A name of the registry would keep the image for ever.
        [ "$images" != pulled ] || docker image rm "$(source_image "$service")" >/dev/null
    done
    IMAGE_REGISTRY='' IMAGE_TAG=$release EXPECT_DATA=$(expect_data) compose -f docker-compose.prod.yml config >.deploy/next.yml.new
    ! grep -q '^    env_file:' .deploy/next.yml.new || die 'this Docker Compose leaves the settings out of a release: install a newer one.'
    sync
    mv -f .deploy/next.yml.new .deploy/next.yml
}

# Whether .deploy/next.yml is what runs already. What deploy.sh expects by itself is no change.
is_current() {
    cmp -s .deploy/next.yml .deploy/current.yml && return
    [ -z "$(setting EXPECT_DATA '')" ] &&
        cmp -s <(grep -v '^ *EXPECT_DATA:' .deploy/next.yml) <(grep -v '^ *EXPECT_DATA:' .deploy/current.yml 2>/dev/null)
}

# Not one that starts over and over: that is never long enough there to be asked.
serves_from_file() {
    case $(container "$1" '{{.State.Status}} {{.State.Health.Status}} {{.Config.Env}}') in
        'running healthy '*DATABASE_URL=sqlite:* | 'running unhealthy '*DATABASE_URL=sqlite:*) ;;
        *) return 1 ;;
    esac
}

# A volume for each service to rehearse in, with a consistent copy of what it serves from. The last three copies
# stay in .deploy/backups.
copy_data() {
    backup=.deploy/backups/$(date +%Y%m%d-%H%M%S)
    for service in $services; do
        volume=tixgo-rehearsal-$service
        image=$(images_of .deploy/next.yml | grep "^tixgo-$service:")
        ! serves_from_file "$service" || image=$(container "$service" '{{.Image}}')
        # A new volume belongs to whom /data of the image belongs.
        docker create --name "$volume" --volume "$volume:/data" "$image" >>"$log" 2>&1 || return 1
        serves_from_file "$service" || continue
        url=$(container "$service" '{{range .Config.Env}}{{println .}}{{end}}' | sed -n 's/^DATABASE_URL=//p')
        mkdir -p "$backup"
        { docker run --rm --network none --volumes-from "tixgo-$service" --volume "$volume:/rehearsal" --env "DATABASE_URL=$url" \
            "$image" backup "/rehearsal/$service.db" && docker cp "$volume:/data/$service.db" "$backup/"; } >>"$log" 2>&1 ||
            { tail -n 1 "$log" >&3 || true; warn "✗ The data of $service cannot be copied."; return 1; }
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
    for service in $services; do await_health "rehearsal-$service" || result=1; done
    stop_rehearsal
    return $result
}

# What cannot even start never takes the place of what works, and nor does what would leave no way back.
rehearse() {
    on_copies=yes
    has_memory || { on_copies=''; warn 'There is too little memory to rehearse with the data: the rehearsal has none.'; }
    end_rehearsal
    copy_data && rehearse_with .deploy/next.yml || return 1
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
    for service in $services; do await_health "$service" || result=1; done
    [ $result = 0 ] || return 1
    env -u SMOKE_USERNAME -u SMOKE_PASSWORD no_proxy='*' \
        ./smoke-test.sh "http://$(address_of identity)" "http://$(address_of attendance)" >>"$log" || { warn '✗ The smoke test failed.'; return 1; }
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
    trap go_back EXIT
    trap 'exit 1' INT TERM HUP
    if is_current; then
        start .deploy/current.yml || die 'the version that was here before does not serve either. ./deploy.sh --rollback goes back to the one before that.'
    else
        going_back=rehearsed
        examine .deploy/next.yml && rehearse || exit 1
        going_back=started
        start .deploy/next.yml || exit 1
        trap '' INT TERM HUP
        # At no moment is there no current release.
        if [ -s .deploy/current.yml ]; then ln -f .deploy/current.yml .deploy/previous.yml; fi
        mv -f .deploy/next.yml .deploy/current.yml
        going_back=
    fi
    forget_old
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
