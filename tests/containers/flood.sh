#!/usr/bin/env bash
# A flood of logins must not slow the gate: identity and attendance on one box, with the weights of
# docker-compose.prod.yml, and check-ins a second without and with the flood, in turn.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"

command -v wrk >/dev/null || { skip 'check-ins during a flood of logins (wrk is missing)'; exit; }

# No image of whoever works on this machine is exchanged for one of these.
export IMAGE_TAG=container-test no_proxy='*'

checking='the names and ports of TixGo are free'
names_and_ports_are_free

flood=
clean_up() {
    [ -z "$flood" ] || kill "$flood"
    stop_tixgo
    docker image rm tixgo-{identity,attendance}:"$IMAGE_TAG"
}

fresh_clone "$work/clone"
cd "$work/clone"
good_env .
# Every login reaches the passwords; the guard would keep the flood away from them.
echo 'LOGIN_GUARD=off' >>.env
check 'both start as they are shipped' works docker compose --file docker-compose.prod.yml up --build --detach --wait --wait-timeout 120

identity=http://127.0.0.1:18081 attendance=http://127.0.0.1:18082
json='Content-Type: application/json'
right='{"username":"siti","password":"gerbang-timur-7"}' wrong='{"username":"siti","password":"gerbang-barat-7"}'
curl -q -fsS --max-time 10 -o "$log" -H "$json" --data "$right" $identity/auth/register
log_in() { curl -q -fsS --max-time 10 -H "$json" --data "$right" $identity/auth/login | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p'; }
checking='a user logs in'
token=$(log_in)

seconds=5 rounds=2 ticket=1000000000
declare -A requests=([calm]=0 [flooded]=0) microseconds=([calm]=0 [flooded]=0)
failed=0 asked=0 let_in=0

# check_in WHEN
check_in() {
    local answered took failures
    wrk -t 1 -c 16 -d ${seconds}s --timeout 10s -s bench/load.lua -H "Authorization: Bearer $token" -H "$json" \
        $attendance/checkins -- evt $ticket >"$log" 2>&1 || { cat "$log" >&2; return 1; }
    read -r answered took failures _ <<<"$(tail -n 1 "$log")"
    ticket=$((ticket + 10000000))
    requests[$1]=$((requests[$1] + answered)) microseconds[$1]=$((microseconds[$1] + took)) failed=$((failed + failures))
}
rate() { echo $((requests[$1] * 1000000 / microseconds[$1])); }

checking='check-ins with and without a flood'
for ((round = 0; round < rounds; round++)); do
    check_in calm

    # A second longer at both ends. Its sender comes last on this box, for at an event it is elsewhere.
    nice -n 19 wrk -t 1 -c 200 -d $((seconds + 2))s --timeout 10s -s tests/containers/logins.lua \
        $identity/auth/login -- "$right" "$wrong" >"$work/flood" 2>&1 &
    flood=$!
    sleep 1
    check_in flooded
    wait $flood || { cat "$work/flood" >&2; exit 1; }
    flood=
    read -r sent in <<<"$(tail -n 1 "$work/flood")"
    asked=$((asked + sent)) let_in=$((let_in + in))
done

calm=$(rate calm) flooded=$(rate flooded)
check 'no check-in failed' same "$failed" 0
check "the flood reached the passwords ($asked logins answered, $let_in let in)" [ "$let_in" -gt 0 ]
check 'and was more than they could take' [ "$asked" -gt $((let_in * 4)) ]
check "attendance keeps half of its check-ins a second: $calm without a flood, $flooded with it, $((flooded * 100 / calm)) %" \
    [ $((flooded * 2)) -ge "$calm" ]
check 'and a login gets through right afterwards' [ -n "$(log_in)" ]
