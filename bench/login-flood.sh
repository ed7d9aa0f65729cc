#!/usr/bin/env bash
# What everybody else notices while 600 logins with a wrong password arrive at once.
#
#   bench/login-flood.sh [--check]
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

must_be_built identity-service
logins=600

# What is measured is the gate of bcrypt; the login guard would keep the flood away from it.
start identity LOGIN_GUARD=off "$bin/identity-service"
log_in identity
python3 "$bench/client.py" login-flood "${address[identity]}" $logins >"$tmp/figures"
figure() { awk -v name="$1" -v field="$2" '$1 == name { print $field }' "$tmp/figures"; }

heading
for path in /health /auth/me; do
    judge "GET $path during $logins logins at once: worst latency" '<' 100 "$(figure "$path" 2)" ' ms' \
        "of $(figure "$path" 3)"
done
judge 'the excess is answered 503' '>=' 1 "$(figure refused 2)" " of $logins"
judge 'the excess is answered 503: the last of them after' '<' 1 "$(figure refused 3)" ' s' \
    "the other $(figure checked 2) answered 400, the last after $(figure checked 3) s"
judge '503 without Retry-After' '==' 0 "$(figure without_retry_after 2)" ''
judge 'answers other than 400 and 503' '==' 0 "$(figure others 2)" ''
judge 'an honest login right afterwards: time' '<' 2 "$(figure honest 2)" ' s'
judge 'an honest login right afterwards: status' '==' 200 "$(figure honest 3)" ''

finish
