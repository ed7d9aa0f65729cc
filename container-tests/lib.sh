# Shared by the container tests and ops/test.sh; sourced by each. A check that fails ends its file, and cleans up.
# shellcheck shell=bash
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # for those who source this
repository=$(dirname -- "$here")
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

# A copy of the repository as it is here, committed or not, and nothing that git ignores.
fresh_clone() {
    git -C "$repository" ls-files -z --cached --others --exclude-standard | tar -C "$repository" --null -T - -cf - | {
        mkdir -p "$1"
        tar -C "$1" -xf -
    }
    git -C "$1" -c init.defaultBranch=main init --quiet
    commit "$1" 'As it is'
}
commit() {
    git -C "$1" add --all
    git -C "$1" -c user.name=test -c user.email=test@localhost commit --quiet --allow-empty --message "$2"
}

good_env() { printf 'JWT_SECRET=%s\n' "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >"$1/.env"; }

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

running_image() { docker container inspect --format '{{.Config.Image}}' "tixgo-$1"; }
containers() { docker container inspect --format '{{.Id}} {{.State.StartedAt}}' tixgo-identity tixgo-attendance; }
