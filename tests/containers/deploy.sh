#!/usr/bin/env bash
# deploy.sh on this machine: good versions, broken ones, interrupted ones, and the way back.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=client.sh
source "$here/client.sh"
# shellcheck source-path=SCRIPTDIR source=deploy-lib.sh
source "$here/deploy-lib.sh"

clean_up() {
    [ -z "${registry:-}" ] || kill "$registry"
    [ -z "${prober:-}" ] || kill "$prober" "$halves"
    stop_tixgo
}
begin_deploying

# Clients whose request stops half way, as a phone's does in bad reception.
half_requests() {
    while sleep 1; do
        for port in 18081 18082; do
            (exec 5<>"/dev/tcp/127.0.0.1/$port" && printf 'POST /checkins HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{' >&5 && sleep 10) 2>/dev/null &
        done
    done
}
# Asks both services twenty times a second; `longest_silence` tells the worst gap between two answers in milliseconds.
start_probe() {
    : >"$work/answers"
    half_requests &
    halves=$!
    while sleep 0.05; do
        if curl -q -sf --max-time 1 "$identity/health" "$attendance/health" >/dev/null; then date +%s%N >>"$work/answers"; fi
    done &
    prober=$!
    until_true 5 test -s "$work/answers"
}
longest_silence() {
    answers=$(wc -l <"$work/answers")
    until_true 10 eval "[ \$(wc -l <'$work/answers') -gt $answers ]"
    kill "$prober" "$halves"
    prober='' halves=''
    awk 'NR > 1 && $1 - last > worst { worst = $1 - last } { last = $1 } END { printf "%d", worst / 1000000 }' "$work/answers"
}

check 'a version is deployed' deploy
check 'with three ticks' same "$(grep '^✓' "$output")" '✓ Building images...
✓ Starting containers...
✓ Services are running on ports 18081 and 18082'
check 'a user and a check-in are stored' store A-1
check '--status says so' deploy --status
check 'and names the release' contains "$(cat "$output")" "$(running_image identity)"
before=$(containers)

break_with 's/^ENTRYPOINT \["\/attendance-service"\]/ENTRYPOINT ["\/attendance-service", "--no-such-flag"]/'
start_probe
check 'a version that cannot start ends non-zero' failed_deploy
silence=$(longest_silence)
check 'and says what it said' says '--no-such-flag'
check 'and that nothing was exchanged' says 'Whatever ran before still runs, untouched.'
check 'what ran before runs on, the same containers' same "$(containers)" "$before"
check "and never stopped answering (longest silence $silence ms)" test "$silence" -lt 1000
mend

break_with 's/^HEALTHCHECK .*"\/identity-service".*/HEALTHCHECK --interval=1s --retries=1 CMD ["\/identity-service", "no-such-command"]/'
check 'a version that never gets healthy ends non-zero' failed_deploy
check 'what ran before runs on, the same containers' same "$(containers)" "$before"
check 'no rehearsal is left behind' same "$(docker ps --all --quiet --filter name=tixgo-rehearsal)" ''
mend

other_secret attendance
check 'a version that is healthy and answers wrongly ends non-zero' failed_deploy
check 'and says that the smoke test failed' says 'The smoke test failed'
check 'and that the previous version serves again' says 'The previous version serves again.'
check 'which it does' serves
check 'with what was stored' remembers A-1

./deploy.sh >"$output" 2>&1 &
deployer=$!
old=$(running_image attendance)
exchanged() { [ "$(running_image attendance 2>/dev/null)" != "$old" ]; }
check 'a deploy is on its way' until_true 180 exchanged
kill -TERM $deployer
status=0
wait $deployer || status=$?
check 'interrupted in the middle, it ends non-zero' test $status != 0
check 'with the previous version' same "$(running_image attendance)" "$old"
check 'that serves' serves
check 'what was stored' remembers A-1

set -m
./deploy.sh >"$output" 2>&1 &
deployer=$!
set +m
check 'another deploy is on its way' until_true 180 exchanged
for _ in 1 2 3 4 5 6; do kill -INT -- "-$deployer" 2>/dev/null || break; sleep 0.5; done
wait $deployer || true
check 'however often it is interrupted, it says how it ends' contains "$(cat "$output")" 'The previous version serves again.'
check 'with the previous version' same "$(running_image attendance)" "$old"
check 'that serves' serves
mend

check 'what is mended is deployed' deploy
before=$(containers)
release=$(cat .deploy/current.yml)
check 'a second time' deploy
check 'exchanges nothing' same "$(containers)" "$before"
check 'and changes nothing' same "$(cat .deploy/current.yml)" "$release"

printf 'Nothing that is built.\n' >>README.md
commit . 'Another commit'
check 'a commit that touches nothing that is built' deploy
check 'exchanges nothing' same "$(containers)" "$before"

# Whatever else a busy machine does counts too, so it may try three times.
for try in 1 2 3; do
    first=$(running_image identity)
    new_version "Another version, $try"
    start_probe
    check 'the next version is deployed' deploy
    silence=$(longest_silence)
    [ "$silence" -gt 3000 ] || break
done
check "with at most 3 s of silence ($silence ms)" test "$silence" -le 3000
check 'it is the next version' same "$(revision identity) $(revision attendance)" "$(git log -1 --format='%h %h')"
second=$(running_image identity)
check 'and another image' test "$second" != "$first"
check 'with what was stored' remembers A-1

check '--rollback goes back' deploy --rollback
check 'to the version before' same "$(running_image identity)" "$first"
check 'which serves' serves
check 'what was stored' remembers A-1
printf 'TOKEN_EXPIRE_MINUTES=60\n' >>.env
check 'a setting that is changed after that' deploy --no-build
check 'does not bring the other version back' same "$(running_image identity)" "$first"
good_settings
check 'nor does a setting that is changed back' deploy --no-build
check 'it is still the version before' same "$(running_image identity)" "$first"
check 'the next version is deployed once more' deploy
check 'and is the same as it was' same "$(running_image identity)" "$second"

new_version 'A third version'
check 'a third version is deployed' deploy
check 'only images of two releases are kept' same \
    "$(docker image ls --quiet --filter 'reference=tixgo-identity:????????????' | sort -u | wc -l | tr -d ' ')" 2

before=$(containers)
for service in identity attendance; do
    docker image rm "$(sed -n "s/^    image: \(tixgo-$service:.*\)/\1/p" .deploy/previous.yml)" >/dev/null
done
check 'going back to images that are gone is refused' failed_deploy --rollback
check 'by name' says 'is gone'
check 'and nothing is exchanged' same "$(containers)" "$before"

if command -v docker-registry >/dev/null; then
    cat >"$work/registry.yml" <<END
version: 0.1
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:0"}
END
    docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
    registry=$!
    listens() { grep -qso 'listening on 127.0.0.1:[0-9]*' "$work/registry.log"; }
    until_true 10 listens
    IMAGE_REGISTRY=$(grep -o 'listening on 127.0.0.1:[0-9]*' "$work/registry.log" | sed 's/listening on //')
    export IMAGE_REGISTRY
    for service in identity attendance; do
        docker tag "tixgo-$service:latest" "$IMAGE_REGISTRY/tixgo-$service:1.2.3"
        docker push --quiet "$IMAGE_REGISTRY/tixgo-$service:1.2.3" >/dev/null
        docker image rm "$IMAGE_REGISTRY/tixgo-$service:1.2.3" >/dev/null
    done
    export IMAGE_TAG=1.2.3
    check 'images are pulled from a registry' deploy
    check 'no name of the registry is left behind' same "$(docker image ls --quiet "$IMAGE_REGISTRY/*")" ''
    check 'and not built' same "$(grep -c '^✓ Pulling images...' "$output") $(grep -c 'Building' "$output")" '1 0'
    IMAGE_TAG=9.9.9
    check 'an image that is not there is named' failed_deploy
    check 'by its whole name' says "$IMAGE_REGISTRY/tixgo-identity:9.9.9"
    check 'while what worked serves' serves
    unset IMAGE_REGISTRY IMAGE_TAG
else
    skip 'deploying from a registry (docker-registry is missing)'
fi
