#!/usr/bin/env bash
# What is stored in the volumes of docker-compose.prod.yml survives kills and removals, and is copied and brought back
# with the commands of docs/operate.md.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=client.sh
source "$here/client.sh"

# No image of whoever works on this machine is exchanged for one of these.
export IMAGE_TAG=container-test
checking='the names and ports of TixGo are free'
names_and_ports_are_free

clean_up() {
    stop_tixgo
    docker image rm tixgo-{identity,attendance}:"$IMAGE_TAG"
}
fresh_clone "$work/clone"
cd "$work/clone"
good_env .
up() { docker compose --file docker-compose.prod.yml up --build --detach --wait --wait-timeout 120; }

check 'both services start' works up
check 'a user is registered, and a ticket let in' store A-1
check 'both are remembered' remembers A-1
docker kill --signal KILL tixgo-identity tixgo-attendance >"$log"
check 'both are killed' same "$(of identity '{{.State.ExitCode}}') $(of attendance '{{.State.ExitCode}}')" '137 137'
check 'and start again' works up
check 'with what they had' remembers A-1
check 'both are removed' works docker compose --file docker-compose.prod.yml down
check 'and made anew' works up
check 'with what they had' remembers A-1

### Copies of the data, with the commands of docs/operate.md

# documented PATTERN: the lines of its chapter on backups.
documented() { sed -n '/^## Backups$/,/^## /p' docs/operate.md | grep -E "$1"; }
run_documented() { works bash -euc "$(documented "$1" | sed -E "${2:-}")"; }

backups='^docker exec .* backup '
check 'both are copied while they serve' run_documented "$backups"
check 'a copy is never written over' fails run_documented "$backups" 2>/dev/null
check 'cron copies them too' run_documented '^[0-9]+ \* \* \* \* ' 's/^[0-9]+ \* \* \* \* //; s/\\%/%/g'
hourly=$(sed -n 's/^\(.*attendance-.*db\): whole, 1 check-ins, the newest A-1 to evt .*/\1/p' "$log")
check 'and says what is in the copy' test -n "$hourly"
check 'the database is looked at' run_documented ' check$'
check 'which is whole' grep -q '^/data/attendance.db: whole, 1 check-ins, the newest A-1 to evt ' "$log"

check 'another ticket is let in' accepts A-2
restoring='^(IMAGE=|docker (stop|run|start) )'
hourly_name="s|/data/attendance-20[^ ]*|$hourly|"
check 'while a service runs, no copy is brought back' fails run_documented '^(IMAGE=|docker run )' "$hourly_name" 2>/dev/null
check 'for the file is in use' grep -q 'in use by another process' "$log"
check 'and nothing is lost' remembers 'A-1 A-2'
check 'a copy is brought back while it does not run' run_documented "$restoring" "$hourly_name"
check 'what was there is kept aside' grep -qE 'kept in /data/attendance.db.before-restore-[0-9]+$' "$log"
check 'attendance serves again' until_true 30 is_ready $attendance 2>/dev/null
check 'with what was in the copy' remembers A-1
check 'and nothing else' same "$(came)" A-1
