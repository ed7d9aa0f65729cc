#!/usr/bin/env bash
# Both Compose files as they are started here: what runs, within which limits, how it refuses, stops and
# comes back.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"

# No image of whoever works on this machine is exchanged for one of these.
export IMAGE_TAG=container-test

checking='the names and ports of TixGo are free'
names_and_ports_are_free

clean_up() {
    stop_tixgo
    docker image rm tixgo-dev-identity tixgo-dev-attendance tixgo-{identity,attendance}:"$IMAGE_TAG"
}

fresh_clone "$work/clone"
cd "$work/clone"

development=docker-compose.yml
production=docker-compose.prod.yml
up() { docker compose --file "$1" up --build --detach --wait --wait-timeout 120; }
down() { docker compose --file "$1" down >"$log" 2>&1; }
smoke_test() { works ./smoke-test.sh "http://127.0.0.1:${1:-18081}" "http://127.0.0.1:${2:-18082}"; }
# of_process SERVICE FIELD: as the kernel has it, whatever was asked for.
of_process() { awk -v "field=$2:" '$1 == field { $1 = ""; print substr($0, 2) }' "/proc/$(of "$1" '{{.State.Pid}}')/status"; }
created() { docker ps --all --quiet --filter name='^tixgo-(identity|attendance)$'; }

### Development

check 'development: starts without a .env' works up $development
check 'development: passes the smoke test' smoke_test
down $development

### Production, without a good secret

for env in none 'one without JWT_SECRET'; do
    [ "$env" = none ] || echo 'BIND_ADDRESS=127.0.0.1' >.env
    check "production: Compose refuses, .env: $env" refuses up $production
    check "production: it names JWT_SECRET, .env: $env" says 'JWT_SECRET'
    check "production: it names the way out, .env: $env" says 'openssl rand -hex 32'
done
check 'production: nothing was created' same "$(created)" ''

while IFS='|' read -r secret weakness; do
    echo "JWT_SECRET=$secret" >.env
    check "production: Compose fails with the secret $secret" refuses up $production
    for service in identity attendance; do
        says_why() { grep -q "JWT_SECRET $weakness; in production it must be" <<<"$(docker logs "tixgo-$service" 2>&1)"; }
        check "production: $service says that it $weakness" until_true 10 says_why
    done
    check 'production: no port answers' fails curl -sf --max-time 2 http://127.0.0.1:18081/health http://127.0.0.1:18082/health
    down $production
done <<'SECRETS'
short|is shorter than 32 bytes
dev-secret-9f86d081884c7d659a2feaa0c55ad015|is an example from the documentation
a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6|is an example from the documentation
SECRETS

### Production

good_env .
check 'production: starts with a good secret' works up $production
check 'production: passes the smoke test' smoke_test
warns() { grep -q 'kept in memory only: a restart forgets them; set DATABASE_URL to keep them' <<<"$(docker logs "tixgo-$1" 2>&1)"; }

for service in identity attendance; do
    check "$service: keeps its data on the disk" contains "$(docker logs "tixgo-$service" 2>&1)" "\"store\":\"sqlite /data/$service.db\""
    check "$service: is a service of that name" same "$(of $service '{{index .Config.Labels "com.docker.compose.service"}}')" $service
    check "$service: is in the network tixgo-net and no other" \
        same "$(of $service '{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Networks}}')" 'tixgo-net 1'
    check "$service: its file system is read-only" same "$(of $service '{{.HostConfig.ReadonlyRootfs}}')" true
    check "$service: drops all capabilities" same "$(of $service '{{.HostConfig.CapDrop}}')" '[ALL]'
    check "$service: has no capability" same "$(of_process $service CapBnd)" 0000000000000000
    check "$service: may gain no privilege" same "$(of_process $service NoNewPrivs)" 1
    check "$service: its process is 65532's" same "$(of_process $service Uid | xargs -n 1 | sort -u)" 65532
    check "$service: has a limit of memory" [ "$(of $service '{{.HostConfig.Memory}}')" -gt 0 ]
    check "$service: has a limit of processes" [ "$(of $service '{{.HostConfig.PidsLimit}}')" -gt 0 ]
    check "$service: has a limit of open files" same "$(of $service '{{range .HostConfig.Ulimits}}{{.Name}}{{end}}')" nofile
    check "$service: its log is cut into files" same "$(of $service '{{.HostConfig.LogConfig.Type}}')" json-file
    for option in max-size max-file; do
        check "$service: its log has a $option" [ -n "$(of $service "{{index .HostConfig.LogConfig.Config \"$option\"}}")" ]
    done
    check "$service: restarts unless stopped" same "$(of $service '{{.HostConfig.RestartPolicy.Name}}')" unless-stopped
    check "$service: has longer to stop than the 8 seconds of its drain" [ "$(of $service '{{.Config.StopTimeout}}')" -gt 8 ]
    check "$service: keeps /data in a volume" \
        same "$(of $service '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}')" "volume tixgo_$service-data /data true"
done
check 'attendance has the greater weight' [ "$(of attendance '{{.HostConfig.CpuShares}}')" -gt "$(of identity '{{.HostConfig.CpuShares}}')" ]

base=$(sed -n 's/^FROM .* \(rust:[^ ]*\) AS build$/\1/p' Dockerfile)
beside() { docker run --rm --user 65532:65532 "$@"; }
for service in identity attendance; do
    check "$service: 65532 may write to its volume" beside --volume "tixgo_$service-data:/data" "$base" touch /data/here
    check "$service: its name leads to it" works beside --network tixgo-net "$base" getent hosts $service
done

### Stopping

# Slow enough to be stopped in the middle of it.
printf '%s\n' BCRYPT_COST=14 DATABASE_URL=memory: >>.env
check 'both start with slow logins, and in memory where .env says so' works up $production
for service in identity attendance; do check "$service: warns that a restart forgets everything" warns $service; done
# Past the proxy of the port, which answers for itself.
address() { of "$1" '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'; }
login='{"username":"nobody","password":"nobody"}'
# begin_login SERVICE BODY: the connection joins $connections.
begin_login() {
    local connection
    exec {connection}<>"/dev/tcp/$(address "$1")/8000"
    printf '%s\r\n' 'POST /auth/login HTTP/1.1' 'Host: gate' 'Content-Type: application/json' \
        "Content-Length: ${#login}" '' >&"$connection"
    printf '%s' "$2" >&"$connection"
    connections+=("$connection")
}
begin_login attendance "${login:0:9}"
begin_login identity "${login:0:9}"
connections=()
for _ in 1 2; do begin_login identity "$login"; done
# Connections are accepted in turn: with this answer, all of those above have been.
check 'identity answers while logins are under way' curl -sf --max-time 5 -o "$log" "http://$(address identity):8000/health"

begin=$SECONDS
check 'both stop while requests are in flight' works docker stop tixgo-identity tixgo-attendance
check "they need less than stop_grace_period ($((SECONDS - begin)) s)" [ $((SECONDS - begin)) -lt 15 ]
for service in identity attendance; do
    check "$service: ended by itself, and well" same "$(of $service '{{.State.ExitCode}}')" 0
done
for connection in "${connections[@]}"; do
    answer=$(timeout 5 cat <&"$connection")
    check 'a login in flight was answered' contains "$answer" 'HTTP/1.1 400'
    check 'to its end' contains "$answer" '{"detail":"Username atau password salah"}'
done
check 'the last of them after the stop began' contains "$answer" 'connection: close'

### Coming back

sed -i '/^DATABASE_URL=/d; s/^BCRYPT_COST=.*/BCRYPT_COST=10/' .env
check 'both start again' works up $production
for service in identity attendance; do check "$service: does not warn any more" fails warns $service; done
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
if as_root true 2>/dev/null; then
    for service in identity attendance; do
        as_root kill -9 "$(of $service '{{.State.Pid}}')"
        is_back() { [ "$(of "$service" '{{.RestartCount}} {{.State.Health.Status}}')" = '1 healthy' ]; }
        check "$service: comes back after kill -9" until_true 60 is_back
    done
    check 'both pass the smoke test after that' smoke_test
else
    skip 'kill -9 of both services: only root may'
fi

printf '%s\n' BIND_ADDRESS=127.0.0.1 IDENTITY_PORT=28083 ATTENDANCE_PORT=28084 METRICS_ADDR=0.0.0.0:9100 >>.env
check 'production: starts on other ports' works up $production
check 'identity: listens where .env says' same "$(docker port tixgo-identity)" '8000/tcp -> 127.0.0.1:28083'
check 'attendance: listens where .env says' same "$(docker port tixgo-attendance)" '8000/tcp -> 127.0.0.1:28084'
check 'production: passes the smoke test there' smoke_test 28083 28084
while read -r service route; do
    check "$service: shows its metrics inside the network only" \
        works curl -q -sf --noproxy '*' --max-time 5 "http://$(address "$service"):9100/metrics"
    check "$service: counted the smoke test" grep -q "^http_request_duration_seconds_count{.*route=\"$route\",status=\"200\"" "$log"
    logged() { grep -q "\"route\":\"$route\".*\"target\":\"access\"" <<<"$(docker logs "tixgo-$service" 2>&1)"; }
    check "$service: its log has a line a request" until_true 10 logged
done <<'ROUTES'
identity /auth/me
attendance /checkins
ROUTES
