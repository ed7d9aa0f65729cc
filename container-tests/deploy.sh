#!/usr/bin/env bash
# deploy.sh on this machine: good versions, broken ones, and the way back.
# shellcheck source=container-tests/lib.sh
. "$(dirname -- "$0")/lib.sh"

clean_up() {
    [ -z "${registry:-}" ] || kill "$registry"
    [ -z "${prober:-}" ] || kill "$prober" "$halves"
    [ -z "${scanner:-}" ] || kill "$scanner"
    stop_tixgo
}
stop_leftovers
fails docker container inspect tixgo-identity >/dev/null 2>&1 ||
    { echo 'A TixGo runs on this machine already; these tests would take its place.' >&2; exit 1; }

identity=http://127.0.0.1:18081 attendance=http://127.0.0.1:18082
clone=$work/tixgo
output=$work/output
fresh_clone "$clone"
good_env "$clone"
cd "$clone"

deploy() { ./deploy.sh "$@" >"$output" 2>&1 || { status=$?; tail -n 30 "$output"; return $status; }; }
# A deploy that has to fail; what it said is in $said.
failed_deploy() {
    if ./deploy.sh "$@" >"$output" 2>&1; then cat "$output"; return 1; fi
    said=$(cat "$output")
}
says() { contains "$said" "$1"; }
serves() { ./smoke-test.sh "$identity" "$attendance" >/dev/null; }
# post URL BODY [OPTION...]
post() { local url=$1 body=$2; shift 2; curl -q -s --max-time 5 -H 'Content-Type: application/json' --data "$body" "$@" "$url"; }
user='{"username":"siti","password":"gerbang-timur-7"}'
# store: a user and a check-in, and $token to ask for them.
store() {
    post $identity/auth/register "$user" >/dev/null
    token=$(post $identity/auth/login "$user" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
    post $attendance/checkins '{"event_id":"evt","ticket_id":"A-1"}' -H "Authorization: Bearer $token" | grep -q '"status":"checked_in"'
}
remembers() {
    contains "$(post $identity/auth/register "$user")" 'User siti sudah terdaftar' &&
        contains "$(curl -q -s --max-time 5 -H "Authorization: Bearer $token" $attendance/attendance/evt)" '"ticket_id":"A-1"'
}
revision() { docker container inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "tixgo-$1"; }
# A commit that touches what is built, without building it anew.
new_version() { printf '# %s\n' "$1" >>Dockerfile; commit . "$1"; }
break_with() { sed -i.whole "$1" Dockerfile; fails cmp -s Dockerfile Dockerfile.whole; }
mend() { mv Dockerfile.whole Dockerfile; }

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

docker compose -f docker-compose.prod.yml up --build --detach --wait --quiet-pull >"$output" 2>&1 || { cat "$output"; exit 1; }
check 'a user and a check-in are stored' store
before=$(containers)

# What was started by hand has no release yet, and .env may be another one than it was started with.
cp .env good.env
printf 'BCRYPT_COST=8\n' >>.env
check 'after a start by hand, a setting that is wrong is refused' failed_deploy --no-build
check 'by name' says 'BCRYPT_COST'
check 'and nothing is exchanged' same "$(containers)" "$before"
printf 'CORS_ALLOWED_ORIGINS="https://a\n' >>.env
check 'so is a .env that cannot be read' failed_deploy --no-build
check 'and nothing is exchanged' same "$(containers)" "$before"
cp good.env .env

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

# A service that takes no token of the other one.
other_secret() { break_with "s/^ENTRYPOINT \[\"\/$1-service\"\]/ENTRYPOINT [\"\/$1-service\", \"--jwt-secret\", \"$(head -c 32 /dev/urandom | sha256sum | cut -c 1-64)\"]/"; }
other_secret attendance
check 'a version that is healthy and answers wrongly ends non-zero' failed_deploy
check 'and says that the smoke test failed' says 'The smoke test failed'
check 'and that the previous version serves again, though it was started by hand' says 'The previous version serves again.'
check 'which it does' serves
check 'with what was stored' remembers

./deploy.sh >"$output" 2>&1 &
deployer=$!
old=$(running_image attendance)
exchanged() { [ "$(running_image attendance 2>/dev/null)" != "$old" ]; }
check 'a deploy is on its way' until_true 60 exchanged
kill -TERM $deployer
status=0
wait $deployer || status=$?
check 'interrupted in the middle, it ends non-zero' test $status != 0
check 'with the previous version' same "$(running_image attendance)" "$old"
check 'that serves' serves
check 'what was stored' remembers

set -m
./deploy.sh >"$output" 2>&1 &
deployer=$!
set +m
check 'another deploy is on its way' until_true 60 exchanged
for _ in 1 2 3 4 5 6; do kill -INT -- "-$deployer" 2>/dev/null || break; sleep 0.5; done
wait $deployer || true
check 'however often it is interrupted, it says how it ends' contains "$(cat "$output")" 'The previous version serves again.'
check 'with the previous version' same "$(running_image attendance)" "$old"
check 'that serves' serves
mend

check 'a good version is deployed' deploy
check 'with three ticks' same "$(grep '^✓' "$output")" '✓ Building images...
✓ Starting containers...
✓ Services are running on ports 18081 and 18082'
first=$(running_image identity)
check '--status says so' deploy --status
check 'and names the release' contains "$(cat "$output")" "$first"

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
check 'with what was stored' remembers

check '--rollback goes back' deploy --rollback
check 'to the version before' same "$(running_image identity)" "$first"
check 'which serves' serves
check 'what was stored' remembers
printf 'TOKEN_EXPIRE_MINUTES=60\n' >>.env
check 'a setting that is changed after that' deploy --no-build
check 'does not bring the other version back' same "$(running_image identity)" "$first"
cp good.env .env
check 'nor does a setting that is changed back' deploy --no-build
check 'it is still the version before' same "$(running_image identity)" "$first"
check 'the next version is deployed once more' deploy
check 'and is the same as it was' same "$(running_image identity)" "$second"

printf 'TOKEN_EXPIRE_MINUTES=30\n' >>.env
check 'a changed setting is deployed' deploy
check 'in a new release of the same images' same "$(running_image identity)" "$second"
check 'and --rollback takes it back' deploy --rollback
check 'from the containers too' fails grep -q TOKEN_EXPIRE_MINUTES <(docker container inspect tixgo-identity)
printf 'TOKEN_EXPIRE_MINUTES=never\n' >>.env
check 'a setting that is wrong is refused' failed_deploy
check 'with the words of the service' says 'TOKEN_EXPIRE_MINUTES is "never"'
check 'while what worked serves' serves

cp good.env .env
printf 'IDENTITY_PORT=28081\nBIND_ADDRESS=127.0.0.1\n' >>.env
check 'another port is deployed' deploy
check 'and said' contains "$(cat "$output")" 'on ports 28081 and 18082'
check '--rollback goes back to the old one' deploy --rollback
check 'and says so' contains "$(cat "$output")" 'on ports 18081 and 18082'
check 'where it serves' serves
cp good.env .env

new_version 'A third version'
check 'a third version is deployed' deploy
check 'only images of two releases are kept' same \
    "$(docker image ls --quiet --filter 'reference=tixgo-identity:????????????' | sort -u | wc -l | tr -d ' ')" 2

old=$(running_image attendance)
before=$(containers)
break_with 's/^USER 65532:65532/USER 65533:65533/'
check 'a version that cannot open the data ends non-zero' failed_deploy
check 'and says what it said' says 'cannot start: /rehearsal/attendance.db: Permission denied'
check 'and that it saw but a copy' says 'Whatever ran before still runs, untouched.'
check 'what ran before runs on, the same containers' same "$(containers)" "$before"
check 'and serves' serves
mend

# A migration, and what the oldest version that can work with it is.
perl -0pi -e 's/(Migrations::new\(&\[.*?)(,?\s*\]\))/$1, Migration { name: "gates", sql: "ALTER TABLE check_ins ADD COLUMN gate TEXT; CREATE TABLE IF NOT EXISTS min_reader (version BIGINT NOT NULL); UPDATE min_reader SET version = 1", min_reader: 1 }$2/s' \
    attendance-service/src/store/sqlite/rows.rs
checking='the list of migrations has one more'
grep -q '"gates"' attendance-service/src/store/sqlite/rows.rs
commit . 'One more migration'
break_with 's/^    cp target.*/&\nRUN sed -i "s|SET version = 1|SET version = 2|" \/out\/attendance-service/'
check 'a version that leaves no way back ends non-zero' failed_deploy
check 'and says so' says 'cannot start with what the new one makes of the data'
check 'and how to do without' says '--one-way'
check 'what ran before runs on, the same containers' same "$(containers)" "$before"
check 'no copy of the data is left behind' same "$(docker volume ls --quiet --filter name=tixgo-rehearsal)" ''
mend

# scan_on: tickets, one after the other; those that were let in, and by which version.
scan_on() {
    local ticket=0
    while sleep 0.1; do
        ticket=$((ticket + 1))
        post $attendance/checkins "{\"event_id\":\"evt\",\"ticket_id\":\"B-$ticket\"}" -H "Authorization: Bearer $token" |
            grep -q '"status":"checked_in"' && echo "$(running_image attendance) \"B-$ticket\"" >>"$work/let-in"
    done
}
other_secret identity
scan_on 2>/dev/null &
scanner=$!
check 'a version with one more migration that fails its smoke test ends non-zero' failed_deploy
kill $scanner
scanner=
check 'and says so' says 'The smoke test failed'
check 'and that the previous version serves again' says 'The previous version serves again.'
check 'which it does' same "$(running_image attendance)" "$old"
check 'and serves' serves
check 'the data was migrated, for it was copied before that' docker cp tixgo-attendance:/data/attendance.db.before-migration-2 "$work"
check 'tickets were let in by the new version' grep -qv "^$old " "$work/let-in"
came=$(curl -q -s --max-time 5 -H "Authorization: Bearer $token" $attendance/attendance/evt)
still_in() { while read -r _ ticket; do contains "$came" "\"ticket_id\":$ticket" || return 1; done <"$work/let-in"; }
check "and all that were let in are in ($(wc -l <"$work/let-in"))" still_in
check 'with what was stored' remembers
mend

check 'the three newest backups are kept' same "$(find .deploy/backups -mindepth 1 -maxdepth 1 | wc -l | tr -d ' ')" 3
newest=$(find "$PWD/.deploy/backups" -name attendance.db | sort | tail -n 1)
check 'and whole' contains "$(docker run --rm --user 0 --volume "$newest:/attendance.db:ro" --env DATABASE_URL=sqlite:///attendance.db \
    "$(docker container inspect --format '{{.Image}}' tixgo-attendance)" check)" '/attendance.db: whole, '

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

base=$(sed -n 's/^FROM --platform=.* \(rust:[^ ]*\).*/\1/p' Dockerfile)
# Pages that are read at a start, and not while the service runs.
damage() { docker run --rm --user 65532:65532 --volume tixgo_attendance-data:/data "$base" dd if=/dev/zero of=/data/attendance.db bs=4096 seek=1 count=2 conv=notrunc 2>/dev/null; }
damage
before=$(containers)
printf 'TOKEN_EXPIRE_MINUTES=60\n' >>.env
check 'while the data is damaged, a deploy is refused' failed_deploy
check 'with what to do' says '✗ The data of attendance is not whole: bring a backup back first'
check 'and nothing is exchanged, for no version could start' same "$(containers)" "$before"
check 'what ran before serves' serves

docker rm --force tixgo-attendance >/dev/null
docker volume rm tixgo_attendance-data >/dev/null
check 'where the data is gone, no version begins anew by itself' failed_deploy
check 'but says what to do' says 'attendance.db: missing, and EXPECT_DATA is true: mount its disk'
printf 'EXPECT_DATA=false\n' >>.env
check 'told so, it begins anew' deploy
check 'and serves' serves

docker compose --project-name tixgo down --volumes >"$output" 2>&1
rm -rf .deploy
cp good.env .env
printf 'ADMIN_USERNAME=kepala\n' >>.env
check 'where nothing was before, a version is deployed that makes a first admin' deploy
check 'whose password is written down where it serves' docker cp tixgo-identity:/data/first-admin-password "$work"
