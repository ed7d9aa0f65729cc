#!/usr/bin/env bash
# Builds both services and runs them here until Ctrl-C or TERM.
#
#   ./run.sh          on their development defaults
#   ./run.sh event    for an event: HTTPS on the local network, data and secret kept in ./data, an admin, no demo users
#   IDENTITY_PORT=28081 ATTENDANCE_PORT=28082 ./run.sh [event]
#
# `event` does not read .env, and what it sets itself wins over the environment: it names what it sets aside. The rest of
# the environment counts, such as RUST_LOG.
# Once both are healthy it prints this line, ready to be waited for. The log of both services follows:
#   TixGo is ready. Press Ctrl-C to stop.
# Exit status: 0 stopped by Ctrl-C or TERM, 1 something failed, 130 interrupted before the services were started.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")"

identity_port=${IDENTITY_PORT:-18081}
attendance_port=${ATTENDANCE_PORT:-18082}
target=${CARGO_TARGET_DIR:-target}
bin=$target/release

die() { printf 'run.sh: %s\n' "$1" >&2; exit 1; }

kill_all() {
    for child in $(jobs -pr); do kill "-$1" -- "-$child" 2>/dev/null || true; done
}

# The services end their drain by themselves after SHUTDOWN_GRACE_SECONDS; 30 s is for one that hangs.
stop() {
    trap 'kill_all KILL' INT TERM HUP QUIT
    kill_all TERM
    for ((i = 0; i < 300; i++)); do
        [ -n "$(jobs -pr)" ] || return 0
        sleep 0.1 || true
    done
    kill_all KILL
}
stop_and_leave() {
    echo 'Stopping both services. Ctrl-C again ends them at once.' || true
    stop
    echo 'Both services stopped.' || true
    exit 0
}
trap stop EXIT
trap 'exit 130' INT TERM HUP QUIT
# With nobody left to read the output, an echo fails and the EXIT trap still runs.
trap '' PIPE

# A process group of its own for each: Ctrl-C reaches this script alone, which then stops both once,
# and stopping a build stops its compilers too.
start() {
    set -m
    "$@" </dev/null &
    set +m
}

must_live() {
    if kill -0 "$2" 2>/dev/null; then return; fi
    status=0
    wait "$2" || status=$?
    # Whoever is killed says nothing.
    ((status != 137)) || die "$1 was killed (signal 9), most often for lack of memory: sudo dmesg | tail. Stopping the other."
    ((status <= 128)) || die "$1 was ended by signal $((status - 128)). Stopping the other."
    die "$1 stopped by itself with exit status $status; its messages above say why. Stopping the other."
}

# Bash itself connects here: this needs no tool.
answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# Prints the landing page of the service on port $2 of $1.
page() { (exec 3<>"/dev/tcp/$1/$2" && printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" >&3 && cat <&3) 2>/dev/null || true; }

# Prints the addresses of this machine that others may reach, without those of networks inside it. Those of a cable or of
# Wi-Fi come first: phones are not in a VPN.
network_addresses() {
    if command -v ip >/dev/null; then
        ip -4 -oneline address show scope global up |
            awk '$2 !~ /^(docker|br-|veth|virbr|cni|podman)/ { sub("/.*", "", $4); print ($2 !~ /^(e|wl)/), $4 }' | sort -sn | cut -d' ' -f2
    else
        ifconfig 2>/dev/null | awk '$1 == "inet" && $2 !~ /^127\./ { print $2 }'
    fi
}

must_be_free() {
    ! answers 127.0.0.1 "$1" || die "port $1 is taken. See by whom (sudo ss -ltnp 'sport = :$1', on macOS sudo lsof -iTCP:$1) and stop that,
or choose other ports: IDENTITY_PORT=28081 ATTENDANCE_PORT=28082 ./run.sh"
}

await_health() {
    until PORT=$2 "$bin/$1" healthcheck >/dev/null 2>&1; do
        must_live "$1" "$3"
        ((SECONDS < 20)) || die "$1 is still not healthy after 20 seconds. Ask it yourself: PORT=$2 $bin/$1 healthcheck"
        sleep 0.2 || true
    done
}

show_addresses() {
    # localhost, unless HOST is an address of the network alone.
    here=localhost
    answers 127.0.0.1 "$identity_port" || here=
    elsewhere=
    for address in $(network_addresses); do
        answers "$address" "$identity_port" || continue
        here=${here:-$address}
        elsewhere="$elsewhere  http://$address:$identity_port  http://$address:$attendance_port
"
    done
    here=${here:-${HOST:-localhost}}

    cat <<EOF

identity-service    http://$here:$identity_port    http://$here:$identity_port/docs
attendance-service  http://$here:$attendance_port    http://$here:$attendance_port/docs

EOF
    [ -z "$elsewhere" ] || printf 'Others in your network reach both at:\n%s\n' "$elsewhere"
    # Their names stand on the landing page where they can log in.
    if page "$here" "$identity_port" | grep -q panitia1; then
        cat <<EOF
Log in (panitia1 and admin1, password secret; for development only):
  curl http://$here:$identity_port/auth/login -H 'Content-Type: application/json' -d '{"username":"panitia1","password":"secret"}'
EOF
    fi
    cat <<EOF
Try everything once:
  ./smoke-test.sh http://$here:$identity_port http://$here:$attendance_port
EOF
}

# choose NAME VALUE: sets what an event needs. Empty is not set.
choose() {
    [ -z "${!1:-}" ] || [ "${!1}" = "$2" ] || echo "Not used in an event: $1 of the environment."
    export "$1=$2"
}

prepare_event() {
    data=$PWD/data
    [[ $data != *[?#%\"\']* ]] || die "no data can be kept in $data. Move this directory to where no name has one of ? # % ' \"."
    [ -d "$data" ] || mkdir -m 700 "$data"
    if [ ! -s "$data/jwt-secret" ]; then
        (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$data/jwt-secret.new")
        mv "$data/jwt-secret.new" "$data/jwt-secret"
    fi
    [ ! -e .env ] || echo 'Not read in an event: .env.'
    addresses=$(network_addresses)
    here=${addresses%%$'\n'*}
    here=${here:-localhost}
    origins=https://localhost:$attendance_port
    for address in $addresses; do origins=$origins,https://$address:$attendance_port; done
    choose APP_ENV production
    choose HOST 0.0.0.0
    choose LOG_FORMAT text
    choose DATABASE_URL "sqlite://$data/"
    choose JWT_SECRET ''
    choose JWT_SECRET_FILE "$data/jwt-secret"
    choose TOKEN_EXPIRE_MINUTES 720
    # Closed to strangers: only an admin adds people, from the desk.
    choose REGISTRATION admin
    choose DEMO_USERS false
    choose ADMIN_USERNAME admin
    choose ADMIN_PASSWORD_FILE ''
    choose LOGIN_GUARD on
    choose TRUSTED_PROXIES ''
    choose CLIENT_ADDRESS_HEADER ''
    choose JWT_SECRET_PREVIOUS ''
    choose TLS self-signed
    choose TLS_CERT_FILE ''
    choose TLS_KEY_FILE ''
    choose TLS_NAMES "${addresses//$'\n'/,}"
    choose IDENTITY_URL "https://$here:$identity_port"
    choose ATTENDANCE_URL "https://$here:$attendance_port"
    choose CORS_ALLOWED_ORIGINS "$origins"
    # A line a request would push the codes off the screen.
    export RUST_LOG="${RUST_LOG:-info,access=off}"
}

show_event() {
    desk=$ATTENDANCE_URL/desk gate=$ATTENDANCE_URL/gate
    printf '\nMeja panitia, untuk laptop / The desk, for the laptop: %s\n' "$desk"
    "$bin/attendance-service" qr "$desk"
    printf '\nGerbang, untuk HP / The gate, for phones: %s\n' "$gate"
    "$bin/attendance-service" qr "$gate"
    for address in $addresses; do
        [ "$address" = "$here" ] || echo "Alamat lain / Another address: https://$address:$attendance_port/gate"
    done
    [ -n "$addresses" ] || cat <<EOF
Komputer ini tidak ada di jaringan mana pun, jadi HP tidak bisa masuk. Sambungkan ke Wi-Fi, lalu jalankan lagi.
This computer is in no network, so phones cannot get in. Connect it to the Wi-Fi, and start this again.
EOF
    cat <<EOF

HP memperingatkan, karena komputer ini membuat sertifikatnya sendiri:
  Chrome (Android): Lanjutan → Lanjutkan ke $here
  Safari (iPhone):  Tampilkan Detail → kunjungi situs web ini
  Kalau ditanya lagi, lakukan sekali untuk tiap alamat: $ATTENDANCE_URL dan $IDENTITY_URL
The phone warns, because this computer makes its own certificate:
  Chrome (Android): Advanced → Proceed to $here
  Safari (iPhone):  Show Details → visit this website
  If it asks again, do so once for each address: $ATTENDANCE_URL and $IDENTITY_URL

EOF
    # identity-service has drawn it, if the admin is new.
    if [ -s "$data/first-admin-password" ]; then
        echo 'Masuk sebagai admin dengan kata sandi ini. Catat: hanya ditampilkan sekali.'
        printf 'Log in as admin with this password. Write it down: it is shown this once.\n  %s\n' "$(cat "$data/first-admin-password")"
        rm "$data/first-admin-password"
    else
        echo 'Masuk sebagai admin dengan kata sandinya. / Log in as admin with its password.'
    fi
    cat <<EOF
Kata sandi baru, setelah Ctrl-C / A new password, after Ctrl-C:
  DATABASE_URL='$DATABASE_URL' $bin/identity-service users password admin --draw
Coba semuanya sekali / Try everything once:
  CURL_CA_BUNDLE=data/tls/certificate.pem ./smoke-test.sh https://localhost:$identity_port https://localhost:$attendance_port
EOF
}

[ $# -eq 0 ] || [ "$*" = event ] || die 'Usage: [IDENTITY_PORT=18081] [ATTENDANCE_PORT=18082] ./run.sh [event]'
event=${1:-}
for port in "$identity_port" "$attendance_port"; do
    [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || die "'$port' is not a port. Choose 1 to 65535 for IDENTITY_PORT and ATTENDANCE_PORT."
done
[ "$identity_port" != "$attendance_port" ] || die "both services cannot have port $identity_port. Choose two for IDENTITY_PORT and ATTENDANCE_PORT."
command -v cargo >/dev/null || die 'cargo is missing. Install Rust from https://rustup.rs, open a new terminal and try again.'
command -v cc >/dev/null || die 'the C linker (cc) is missing. Install it: sudo apt install build-essential (Debian, Ubuntu), sudo dnf install gcc (Fedora), xcode-select --install (macOS).'
must_be_free "$identity_port"
must_be_free "$attendance_port"

echo 'Building identity-service and attendance-service. The first time takes some minutes.'
start cargo build --release --locked --package identity-service --package attendance-service
wait $! || die 'the build failed; the messages of cargo above say why.'

if [ -n "$event" ]; then prepare_event; fi
# A PORT in the environment would be the same for both; it counts for neither.
trap stop_and_leave INT TERM HUP QUIT
start env PORT="$identity_port" "$bin/identity-service"
identity=$!
start env PORT="$attendance_port" "$bin/attendance-service"
attendance=$!
SECONDS=0
await_health identity-service "$identity_port" "$identity"
await_health attendance-service "$attendance_port" "$attendance"

if [ -n "$event" ]; then show_event; else show_addresses; fi
printf '\nTixGo is ready. Press Ctrl-C to stop.\n'

while true; do
    must_live identity-service "$identity"
    must_live attendance-service "$attendance"
    sleep 0.5 || true
done
