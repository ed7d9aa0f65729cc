#!/usr/bin/env bash
# deploy.sh and what is stored: copied before anything is exchanged, migrated, refused where it is damaged or gone.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=client.sh
source "$here/client.sh"
# shellcheck source-path=SCRIPTDIR source=deploy-lib.sh
source "$here/deploy-lib.sh"

clean_up() {
    [ -z "${scanner:-}" ] || kill "$scanner"
    stop_tixgo
}
begin_deploying

printf 'ADMIN_USERNAME=kepala\n' >>.env
check 'where nothing was before, a version is deployed that makes a first admin' deploy
check 'whose password is written down where it serves' docker cp tixgo-identity:/data/first-admin-password "$work"
good_settings
check 'a user and a check-in are stored' store A-1

old=$(running_image attendance)
before=$(containers)
break_with 's/^USER 65532:65532/USER 65533:65533/'
check 'a version that cannot open the data ends non-zero' failed_deploy
check 'and says what it said' says 'WRONG store: /data/attendance.db: '
check 'and that nothing was exchanged' says 'Whatever ran before still runs, untouched.'
check 'what ran before runs on, the same containers' same "$(containers)" "$before"
check 'and serves' serves
mend

# A migration, and what the oldest version that can work with it is.
perl -0pi -e 's/(Migrations::new\(&\[.*?)(,?\s*\]\))/$1, Migration { name: "lanes", sql: "ALTER TABLE check_ins ADD COLUMN lane TEXT; CREATE TABLE IF NOT EXISTS min_reader (version BIGINT NOT NULL); UPDATE min_reader SET version = 1", min_reader: 1 }$2/s' \
    attendance-service/src/store/sqlite/rows.rs
checking='the list of migrations has one more'
grep -q '"lanes"' attendance-service/src/store/sqlite/rows.rs
commit . 'One more migration'
break_with 's/^    cp target.*/&\nRUN sed -i "s|SET version = 1|SET version = 4|" \/out\/attendance-service/'
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
        check_in "B-$ticket" | grep -q '"status":"checked_in"' && echo "$(running_image attendance) B-$ticket" >>"$work/let-in"
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
check 'the data was migrated, for it was copied before that' docker cp tixgo-attendance:/data/attendance.db.before-migration-4 "$work"
check 'tickets were let in by the new version' grep -qv "^$old " "$work/let-in"
came=" $(came) "
still_in() { while read -r _ ticket; do contains "$came" " $ticket " || return 1; done <"$work/let-in"; }
check "and all that were let in are in ($(wc -l <"$work/let-in"))" still_in
check 'with what was stored' remembers A-1
mend

for minutes in 30 60; do
    printf 'TOKEN_EXPIRE_MINUTES=%s\n' $minutes >>.env
    check "a setting is deployed ($minutes)" deploy
done
check 'the three newest backups are kept' same "$(find .deploy/backups -mindepth 1 -maxdepth 1 | wc -l | tr -d ' ')" 3
newest=$(find "$PWD/.deploy/backups" -name attendance.db | sort | tail -n 1)
check 'and whole' contains "$(docker run --rm --user 0 --volume "$newest:/attendance.db:ro" --env DATABASE_URL=sqlite:///attendance.db \
    "$(docker container inspect --format '{{.Image}}' tixgo-attendance)" check)" '/attendance.db: whole, '

base=$(sed -n 's/^FROM --platform=.* \(rust:[^ ]*\).*/\1/p' Dockerfile)
# Pages that are read at a start, and not while the service runs.
damage() { docker run --rm --user 65532:65532 --volume tixgo_attendance-data:/data "$base" dd if=/dev/zero of=/data/attendance.db bs=4096 seek=1 count=2 conv=notrunc 2>/dev/null; }
damage
before=$(containers)
printf 'TOKEN_EXPIRE_MINUTES=90\n' >>.env
check 'while the data is damaged, a deploy is refused' failed_deploy
check 'by name' says 'WRONG store: /data/attendance.db: damaged: '
check 'with what to do' says 'to go on with a backup: restore'
check 'and nothing is exchanged, for no version could start' same "$(containers)" "$before"
check 'what ran before serves' serves

docker rm --force tixgo-attendance >/dev/null
docker volume rm tixgo_attendance-data >/dev/null
check 'where the data is gone, no version begins anew by itself' failed_deploy
check 'but says what to do' says '/data/attendance.db is missing, and EXPECT_DATA is true; mount its disk'
printf 'EXPECT_DATA=false\n' >>.env
check 'told so, it begins anew' deploy
check 'and serves' serves
