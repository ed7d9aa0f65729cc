# deploy.sh, good versions and broken ones. Sourced after lib.sh.
# shellcheck shell=bash disable=SC2034,SC2154,SC2164  # what lib.sh and its users have
output=$work/output
deploy() { ./deploy.sh "$@" >"$output" 2>&1 || { status=$?; tail -n 30 "$output"; return $status; }; }
# A deploy that has to fail; what it said is in $said.
failed_deploy() {
    if ./deploy.sh "$@" >"$output" 2>&1; then cat "$output"; return 1; fi
    said=$(cat "$output")
}
serves() { ./smoke-test.sh http://127.0.0.1:18081 http://127.0.0.1:18082 >/dev/null; }
revision() { docker container inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "tixgo-$1"; }

# A commit that touches what is built, without compiling it anew.
new_version() { printf '# %s\n' "$1" >>Dockerfile; commit . "$1"; }
break_with() { sed -i.whole "$1" Dockerfile; fails cmp -s Dockerfile Dockerfile.whole; }
mend() { mv Dockerfile.whole Dockerfile; }
# A service that takes no token of the other one: it is healthy, and fails the smoke test.
other_secret() { break_with "s/^ENTRYPOINT \[\"\/$1-service\"\]/ENTRYPOINT [\"\/$1-service\", \"--jwt-secret\", \"$(head -c 32 /dev/urandom | sha256sum | cut -c 1-64)\"]/"; }

# A fresh clone with a good .env in $PWD, and nothing of TixGo running.
begin_deploying() {
    checking='the names and ports of TixGo are free'
    names_and_ports_are_free
    fresh_clone "$work/tixgo"
    cd "$work/tixgo"
    good_env .
    cp -p .env "$work/good.env"
}
good_settings() { cp -p "$work/good.env" .env; }
