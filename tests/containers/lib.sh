# Shared by the tests of the containers and of the metrics; sourced by each. A check that fails ends its file, and cleans up.
# shellcheck shell=bash
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # for those who source this
repository=$(dirname -- "$(dirname -- "$here")")
work=$(mktemp -d "${TMPDIR:-/tmp}/tixgo-test.XXXXXX")

# A test adds what it starts to its own `clean_up`.
clean_up() { :; }
leave() {
    status=$?
    # With nobody left to read, what was started still has to go.
    trap '' PIPE
    [ $status = 0 ] || printf 'FAILED: %s\n' "${checking:-setting up}" || true
    clean_up >/dev/null 2>&1 || true
    rm -rf "$work"
    exit $status
}
trap leave EXIT
trap 'exit 1' INT TERM

# check WHAT COMMAND...: one fact, counted by `run`.
check() {
    checking=$1
    shift
    "$@" || exit 1
    printf 'ok: %s\n' "$checking"
}
skip() { printf 'SKIPPED: %s\n' "$1"; }

fails() { if "$@"; then return 1; fi; }
# works COMMAND...: what it says is in the file $log, and shown if it fails.
log=$work/log
works() { "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; return 1; }; }
# refuses COMMAND...: what it says is in $said.
refuses() { if said=$("$@" 2>&1); then printf '%s\n' "$said" >&2; return 1; fi; }
says() { contains "$said" "$1"; }

# contains TEXT WANTED
contains() {
    case $1 in *"$2"*) return 0 ;; esac
    printf '  wanted: %s\n  got:    %s\n' "$2" "$(printf '%s' "$1" | tail -n 20)" >&2
    return 1
}

same() {
    [ "$1" = "$2" ] && return 0
    printf '  wanted: %s\n  got:    %s\n' "$2" "$1" >&2
    return 1
}

# until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# A copy of the repository as it is here, committed or not, and nothing that git ignores. So that tests wait less, its
# images are hardly optimised (arm64.sh builds what is shipped), and Docker asks every second how they are.
fresh_clone() {
    git -C "$repository" ls-files -z --cached --others --exclude-standard | tar -C "$repository" --null -T - -cf - | {
        mkdir -p "$1"
        tar -C "$1" -xf -
    }
    sed -i 's/^lto = "fat"$/lto = "off"/; s/^codegen-units = 1$/codegen-units = 16\nopt-level = 1/' "$1/Cargo.toml"
    sed -i 's/^HEALTHCHECK --interval=5s/HEALTHCHECK --interval=1s/' "$1/Dockerfile"
    grep -q '^opt-level = 1$' "$1/Cargo.toml"
    grep -q '^HEALTHCHECK --interval=1s' "$1/Dockerfile"
    git -C "$1" -c init.defaultBranch=main init --quiet
    commit "$1" 'As it is'
}
commit() {
    git -C "$1" add --all
    git -C "$1" -c user.name=test -c user.email=test@localhost commit --quiet --allow-empty --message "$2"
}

good_env() {
    rm -f "$1/.env"
    (umask 077 && printf 'JWT_SECRET=%s\n' "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >"$1/.env")
}

# Everything that the Compose files and deploy.sh start here. From a directory with no Compose file: the one for
# production wants a secret even to stop.
stop_tixgo() {
    cd "$work"
    docker rm --force tixgo-rehearsal-identity tixgo-rehearsal-attendance || true
    docker compose --project-name tixgo down --volumes --timeout 1 || true
    docker compose --project-name tixgo-dev down --volumes --timeout 1 || true
} >/dev/null 2>&1

# A test that was killed could not stop what it had started, which is told from somebody's TixGo by where it was started.
stop_leftovers() (
    started_in=$(docker ps --all --filter name='^tixgo-' --format '{{.Label "com.docker.compose.project.working_dir"}}')
    if grep -q '/tixgo-test\.[^/]*/' <<<"$started_in"; then stop_tixgo; fi
)

# The names and ports are those of an event, and so would be what a test removes.
names_and_ports_are_free() {
    stop_leftovers
    local port found
    port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
    found=$(
        docker ps --all --filter name='^tixgo-' --format '  the container {{.Names}}'
        docker volume ls --filter name='^tixgo(-dev)?_' --format '  the volume {{.Name}}'
        for port in 18081 18082 28083 28084; do if port_is_taken $port; then echo "  port $port"; fi; done
    )
    [ -z "$found" ] || { printf 'Remove these first, for they may be somebody'\''s:\n%s\n' "$found" >&2; return 1; }
}

# Whatever this shell has set must not change what is tested.
unset JWT_SECRET IMAGE_REGISTRY IMAGE_TAG BIND_ADDRESS IDENTITY_PORT ATTENDANCE_PORT COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME DATABASE_URL EXPECT_DATA

of() { docker inspect --format "$2" "tixgo-$1"; }
running_image() { docker container inspect --format '{{.Config.Image}}' "tixgo-$1"; }
containers() { docker container inspect --format '{{.Id}} {{.State.StartedAt}}' tixgo-identity tixgo-attendance; }
