# What .ci/run is made of: steps that are timed, what was skipped, tools, servers. Sourced from the root of the repository.
# shellcheck shell=bash
set -euo pipefail

# The services that the scripts start are built in a third of the time, and an overflow panics. tests/containers/arm64.sh
# builds them as they are shipped.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true

skipped=()
took=()

# step WHAT COMMAND...: says what is checked, checks it, and remembers how long that took.
step() {
    local what=$1 began=$SECONDS
    shift
    printf '\n==> %s\n' "$what"
    "$@"
    took+=("$(printf '%5d s  %s' $((SECONDS - began)) "$what")")
}
skip() { skipped+=("$1"); printf '\n!!! SKIPPED: %s\n' "$1"; }
# needing TOOLS step WHAT COMMAND...: a step that is skipped where a tool is missing.
needing() {
    local tools=$1 tool missing=
    shift
    for tool in $tools; do has "$tool" || missing="$missing, $tool"; done
    if [ -n "$missing" ]; then skip "$2 (missing: ${missing#, })"; else "$@"; fi
}
has() {
    case $1 in
        postgresql) [ -n "$(postgres_bin)" ] ;;
        python-3.11-or-3.12) python3 -c 'import sys; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12)})' 2>/dev/null ;;
        schemathesis) [ -x $venv/bin/st ] || { python3 -m venv $venv && timeout 300 $venv/bin/pip install --quiet 'schemathesis>=4.32,<5'; } >&2 ;;
        web-packages) tests/web/install >&2 ;;
        a-network) [ -n "$(ip -4 route show default 2>/dev/null)" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}
venv=target/schemathesis

# collecting_skips OF COMMAND...: its lines `SKIPPED: …` are named at the end too.
collecting_skips() {
    local of=$1 line log
    shift
    mkdir -p target
    log=target/ci-$of.log
    "$@" | tee "$log"
    while IFS= read -r line; do skipped+=("$of: ${line#SKIPPED: }"); done < <(grep '^SKIPPED: ' "$log")
}

check_scripts() {
    local scripts
    mapfile -t scripts < <(git ls-files '*.sh' .ci/run tests/containers/run tests/web/corpus/run tests/web/install tests/web/run)
    shellcheck -x "${scripts[@]}"
}

summary() {
    printf '\nSeconds that each step took, %d in all:\n' $SECONDS
    printf '%s\n' "${took[@]}"
    printf '\nEverything passed'
    [ ${#skipped[@]} -eq 0 ] || { printf ', but %d checks were skipped:' ${#skipped[@]}; printf '\n  %s' "${skipped[@]}"; }
    printf '\n'
}

### Tools

install_missing() {
    local missing=() plugins=
    has shellcheck || missing+=(shellcheck)
    has chromium && has chromedriver || missing+=(chromium chromium-driver)
    has node || missing+=(nodejs)
    has curl || missing+=(curl)
    has openssl || missing+=(openssl)
    has jq || missing+=(jq)
    has strace || missing+=(strace)
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    has prometheus && has promtool || missing+=(prometheus)
    has postgresql || missing+=(postgresql)
    if timeout 30 docker info >/dev/null 2>&1; then
        has debootstrap || missing+=(debootstrap)
        has wrk || missing+=(wrk)
        has qemu-aarch64-static || missing+=(qemu-user-static)
        [ -x /usr/sbin/sshd ] || missing+=(openssh-server)
        has docker-registry || missing+=(docker-registry)
        docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 || plugins=missing
    fi
    [ ${#missing[@]} -gt 0 ] || [ -n "$plugins" ] || return 0
    printf '\n==> Installing %s %s\n' "${missing[*]}" "${plugins:+Docker Compose 2 and Buildx}"
    if [ "$(id -u)" != 0 ] || ! has apt-get; then
        echo 'Not root on Debian or Ubuntu; going on with what is there.'
        return
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        without_services install_packages "${missing[@]}" || echo 'The installation failed; going on with what is there.'
    fi
    [ -z "$plugins" ] || tests/containers/install-docker-plugins.sh >/dev/null ||
        echo 'The installation of Compose 2 and Buildx failed; going on with what is there.'
}
install_packages() {
    apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive timeout 1200 apt-get install -qy "$@" >/dev/null
}

# without_services COMMAND...: an ssh server or a registry that is installed must not begin to serve.
without_services() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
    fi
    "$@"
)

# Empty where there is none.
postgres_bin() { find /usr/lib/postgresql/*/bin -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1; }

# certificates DIRECTORY: two authorities, ca and other-ca, and a certificate for localhost from the first.
certificates() (
    cd "$1"
    new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 "$@" 2>&1; }
    for authority in ca other-ca; do new -subj "/CN=$authority" -keyout $authority.key -out $authority.pem; done
    new -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
        -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem
) >/dev/null

# with_postgres COMMAND...: with a server of its own, that nobody reaches but through a socket in its directory, or over
# loopback with TLS, and a pg_ctl for it, that tests stop and start it with.
with_postgres() (
    bin=$(postgres_bin)
    directory=$(mktemp -d)
    # Not one that the kernel gives to clients: while a test has stopped the server, its port must stay free.
    port=$(python3 -c 'import random, socket; port = random.randrange(20000, 28000); socket.socket().bind(("127.0.0.1", port)); print(port)')
    certificates "$directory"
    # It refuses to run as root.
    owner=
    if [ "$(id -u)" = 0 ]; then
        chown -R postgres "$directory"
        owner='runuser -u postgres --'
    fi
    ctl=$directory/ctl
    $owner "$bin/initdb" --pgdata "$directory/data" --username postgres --auth trust --encoding UTF8 --locale C >/dev/null
    $owner tee -a "$directory/data/postgresql.conf" >/dev/null <<CONF
unix_socket_directories = '$directory'
listen_addresses = '127.0.0.1'
port = $port
ssl = on
ssl_cert_file = '$directory/server.pem'
ssl_key_file = '$directory/server.key'
max_connections = 400
# Tests kill the server, never the machine; and a hundred databases take minutes to sync.
fsync = off
CONF
    printf '%s\n' 'local all all trust' 'hostssl all all 127.0.0.1/32 trust' | $owner tee "$directory/data/pg_hba.conf" >/dev/null
    cat >"$ctl" <<CTL
#!/bin/sh
exec $owner "$bin/pg_ctl" --pgdata "$directory/data" --wait --silent --log "$directory/log" "\$@"
CTL
    chmod +x "$ctl"
    trap '"$ctl" --mode immediate stop >/dev/null || true; rm -rf "$directory"' EXIT
    "$ctl" start
    # In a shell of its own, for the trap is ours.
    (TEST_POSTGRES_CTL=$ctl \
        TEST_POSTGRES_URL="postgres://localhost/postgres?host=$directory&port=$port&user=postgres" \
        TEST_POSTGRES_TLS_URL="postgres://postgres@localhost:$port/postgres?sslmode=verify-full&sslrootcert=$directory/ca.pem" \
        "$@")
)

### The services

# smoke [NAME=VALUE...]: starts both services through run.sh, whose output is then in target/ci-run.log, and runs the
# smoke test twice, for a second run in a row has to pass too.
smoke() {
    local log=target/ci-run.log identity=28081 attendance=28082
    mkdir -p target
    : >"$log"
    env "$@" IDENTITY_PORT=$identity ATTENDANCE_PORT=$attendance ./run.sh >"$log" 2>&1 &
    run=$!
    trap 'kill -TERM $run 2>/dev/null || true' EXIT
    until grep -q '^TixGo is ready' "$log"; do
        kill -0 $run 2>/dev/null || { cat "$log"; exit 1; }
        sleep 0.5
    done
    ./smoke-test.sh http://localhost:$identity http://localhost:$attendance
    ./smoke-test.sh http://localhost:$identity http://localhost:$attendance | tail -n 1
    kill -TERM $run
    wait $run
    trap - EXIT
    tail -n 1 "$log"
}
smoke_without_demo_users() {
    smoke DEMO_USERS=false
    if grep -q 'panitia1' target/ci-run.log; then echo 'run.sh shows a login of a demo user, where there is none'; exit 1; fi
    if grep -q '^Others' target/ci-run.log; then echo 'run.sh shows an address that nobody else reaches'; exit 1; fi
}
smoke_on_every_address() {
    smoke HOST=0.0.0.0
    grep -q 'panitia1","password":"secret"' target/ci-run.log || { echo 'run.sh does not show how to log in'; exit 1; }
    has a-network || { skip 'the address that run.sh shows to others (this machine is in no network)'; return; }
    grep -A 1 '^Others in your network' target/ci-run.log | grep -qE '^  http://[0-9.]+:28081  http://[0-9.]+:28082$' ||
        { echo 'run.sh does not show where others reach it'; exit 1; }
}
# `run.sh event` in a fresh directory, so that ./data is its own: twice, for the second start goes on with what the first
# has made.
smoke_event() (
    identity=28081 attendance=28082 log=$PWD/target/ci-event.log target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
    directory=$(mktemp -d) run=
    trap '[ -z "$run" ] || kill -TERM "$run" 2>/dev/null || true; wait; rm -rf "$directory"' EXIT
    mkdir "$directory/bin"
    printf '#!/bin/sh\ncd "%s" && exec "%s" "$@"\n' "$PWD" "$(command -v cargo)" >"$directory/bin/cargo"
    chmod +x "$directory/bin/cargo"
    cp run.sh smoke-test.sh "$directory"
    cd "$directory"
    start_event() {
        : >"$log"
        env "$@" PATH="$directory/bin:$PATH" CARGO_TARGET_DIR="$target" IDENTITY_PORT=$identity ATTENDANCE_PORT=$attendance \
            ./run.sh event >"$log" 2>&1 &
        run=$!
        until grep -q '^TixGo is ready' "$log"; do
            kill -0 "$run" 2>/dev/null || { cat "$log"; exit 1; }
            sleep 0.5
        done
    }
    stop_event() { kill -TERM "$run"; wait "$run"; run=; }
    kept() { cat data/jwt-secret data/tls/*.pem | sha256sum; }
    # Over loopback, and at the address that phones are shown.
    smoke_over_tls() {
        local shown host
        shown=$(sed -n 's|^Gerbang.* https://\([^:]*\):.*|\1|p' "$log")
        for host in localhost "$shown"; do
            CURL_CA_BUNDLE=data/tls/certificate.pem SMOKE_USERNAME=admin SMOKE_PASSWORD=$1 \
                ./smoke-test.sh "https://$host:$identity" "https://$host:$attendance" | tail -n 1
        done
    }

    start_event JWT_SECRET=not-this-one
    grep -q '^Not used in an event: JWT_SECRET of the environment' "$log"
    password=$(sed -n '/it is shown this once/{n;s/ //g;p;}' "$log")
    smoke_over_tls "$password"
    curl -sS -o /dev/null -w '%{http_code} %{redirect_url}\n' "http://localhost:$attendance/gate" | grep -qx "307 https://localhost:$attendance/gate"
    [ "$(stat -c %a data data/jwt-secret data/tls/key.pem | paste -sd ' ')" = '700 600 600' ]
    before=$(kept)
    stop_event

    start_event
    [ "$before" = "$(kept)" ] || { echo 'run.sh event does not go on with its secret and certificate'; exit 1; }
    if grep -qE "shown this once|$password" "$log"; then echo 'run.sh event shows a password again'; exit 1; fi
    smoke_over_tls "$password"
    stop_event
)
# Both in the database of with_postgres.
smoke_in_postgres() { smoke "DATABASE_URL=$TEST_POSTGRES_URL"; }
