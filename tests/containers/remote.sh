#!/usr/bin/env bash
# deploy.sh USER@HOST against a box of its own: a network namespace with an ssh server, a Docker engine
# and a home directory that have nothing in common with this machine's.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=deploy-lib.sh
source "$here/deploy-lib.sh"

for tool in dockerd /usr/sbin/sshd ip unshare nsenter iptables; do
    command -v "$tool" >/dev/null || { skip "deploying over ssh ($tool is missing)"; exit 0; }
done
[ "$(id -u)" = 0 ] || { skip 'deploying over ssh (only root may make a network namespace)'; exit 0; }

namespace=tixgo-box-$$
box=$work/box
clone=$work/laptop
here_engine=$(docker ps --all --quiet | sort)

clean_up() {
    [ ! -S "$box/docker.sock" ] || docker --host "unix://$box/docker.sock" ps --all --quiet |
        xargs -r docker --host "unix://$box/docker.sock" rm --force
    [ -z "${sshd:-}" ] || kill "$sshd"
    if [ -n "${engine:-}" ]; then kill "$engine"; wait "$engine" || true; fi
    ip netns delete "$namespace"
    # What the engine left mounted cannot be removed.
    awk -v box="$box" 'index($2, box) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount
}

box_docker() { docker --host "unix://$box/docker.sock" "$@"; }
box_containers() { box_docker container inspect --format '{{.Id}} {{.State.StartedAt}}' tixgo-identity tixgo-attendance; }
box_image() { box_docker container inspect --format '{{.Config.Image}}' "tixgo-$1"; }
box_serves() { "$clone/smoke-test.sh" http://10.87.0.2:18081 http://10.87.0.2:18082 >/dev/null; }

mkdir -p "$box/home" /run/sshd
ip netns add "$namespace"
ip link add "tb$$" type veth peer name eth0 netns "$namespace"
ip address add 10.87.0.1/30 dev "tb$$"
ip link set "tb$$" up
ip -n "$namespace" address add 10.87.0.2/30 dev eth0
ip -n "$namespace" link set eth0 up
ip -n "$namespace" link set lo up
ip -n "$namespace" route add default via 10.87.0.1

# The driver of this machine's engine is one that works here.
printf '{"storage-driver": "%s"}\n' "$(docker info --format '{{.Driver}}')" >"$box/daemon.json"
nsenter --net="/run/netns/$namespace" dockerd --config-file "$box/daemon.json" --host "unix://$box/docker.sock" --data-root "$box/data" \
    --exec-root "$box/exec" --pidfile "$box/engine.pid" >"$box/engine.log" 2>&1 &
engine=$!
answers() { box_docker info >/dev/null 2>&1; }
check 'the box has an engine of its own' until_true 60 answers

ssh-keygen -q -t ed25519 -N '' -f "$work/key"
ssh-keygen -q -t ed25519 -N '' -f "$box/host_key"
cat >"$box/sshd_config" <<END
ListenAddress 10.87.0.2:22
HostKey $box/host_key
AuthorizedKeysFile $work/key.pub
PermitRootLogin prohibit-password
StrictModes no
PidFile none
SetEnv DOCKER_HOST=unix://$box/docker.sock
END
# The home directory of the box, and no other, is what its ssh server sees.
# shellcheck disable=SC2016  # expanded inside
nsenter --net="/run/netns/$namespace" unshare --mount sh -c 'mount --bind "$1/home" "$HOME" && exec /usr/sbin/sshd -D -e -f "$1/sshd_config"' sh "$box" 2>"$box/sshd.log" &
sshd=$!
mkdir "$work/bin"
cat >"$work/ssh_config" <<END
Host stb
    HostName 10.87.0.2
    User root
    IdentityFile $work/key
    UserKnownHostsFile $work/known_hosts
    StrictHostKeyChecking accept-new
END
printf '#!/bin/sh\nexec %s -F %s "$@"\n' "$(command -v ssh)" "$work/ssh_config" >"$work/bin/ssh"
chmod +x "$work/bin/ssh"
PATH=$work/bin:$PATH
check 'the box lets us in' until_true 20 ssh stb true 2>/dev/null

fresh_clone "$clone"
cd "$clone"
export TMPDIR=$work
home=$box/home/tixgo

check 'with no .env on either side a deploy is refused' failed_deploy root@stb
check 'and says what to do' says '.env is missing'
check 'and started nothing' same "$(box_docker ps --all --quiet)" ''
(umask 077 && printf 'JWT_SECRET=short\n' >"$home/.env")
check 'a short secret on the box is refused' failed_deploy root@stb
check 'by name' says 'shorter than 32 bytes'
rm "$home/.env"

good_env .
check 'a version is deployed' deploy root@stb
check 'with three ticks' same "$(grep '^✓' "$output")" '✓ Building images...
✓ Starting containers...
✓ Services are running on ports 18081 and 18082'
check 'it serves' box_serves
check 'the box got the .env it did not have' cmp .env "$home/.env"
check 'for the eyes of its owner only' same "$(stat -c %a "$home/.env")" 600
check 'no source was sent' same "$(cd "$home" && find . -type f ! -path './.deploy/*' | sort | tr '\n' ' ')" \
    "$(printf '%s ' ./.env ./.env.example ./cloudflared/config.yml.example ./deploy.sh ./docker-compose.prod.yml ./ops/alerts.yml ./ops/deploy/release.sh \
        ./ops/grafana/dashboards/tixgo.json ./ops/grafana/provisioning/{dashboards/tixgo,datasources/prometheus}.yml \
        ./ops/prometheus.yml ./smoke-test.sh)"
check 'nothing was started on the laptop' same "$(docker ps --all --quiet | sort)" "$here_engine"
first=$(box_image identity)

before=$(box_containers)
printf '# mine\n' >>"$home/.env"
check 'a second time' deploy stb
check 'exchanges nothing' same "$(box_containers)" "$before"
check 'and leaves the .env of the box alone' grep -q '^# mine$' "$home/.env"

printf '# Another version\n' >>Dockerfile
commit . 'Another version'
check 'the next version is deployed' deploy stb
second=$(box_image identity)
check 'and is another one' test "$first" != "$second"
check '--status tells' deploy --status stb
check 'which one' contains "$(cat "$output")" "$second"
check '--rollback goes back' deploy --rollback stb
check 'to the first' same "$(box_image identity)" "$first"

before=$(box_containers)
sed -i 's/^ENTRYPOINT \["\/attendance-service"\]/ENTRYPOINT ["\/attendance-service", "--no-such-flag"]/' Dockerfile
check 'a broken version ends non-zero' failed_deploy stb
check 'and says so' says 'Whatever ran before still runs'
check 'and what ran runs on' same "$(box_containers)" "$before"
check 'and serves' box_serves
git checkout --quiet Dockerfile

# The laptop's lid is closed in the middle: the box ends what it began, or stays as it was.
./deploy.sh stb >"$output" 2>&1 &
laptop=$!
rehearses() { box_docker container inspect tixgo-rehearsal-identity >/dev/null 2>&1; }
check 'a deploy is on its way' until_true 180 rehearses
pkill -KILL -f "ssh -F $work/ssh_config" || true
disown $laptop
kill -KILL $laptop
check 'without its laptop the box comes to an end' until_true 90 flock --nonblock "$home/.deploy/lock" true
check 'with no rehearsal left behind' fails rehearses
check 'and serves' box_serves

check 'a box that cannot be reached is named' failed_deploy root@10.87.0.3
check 'as it was written' says 'root@10.87.0.3'
