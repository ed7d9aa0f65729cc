#!/usr/bin/env bash
# deploy.sh and the .env: what it refuses, what it changes, and what it takes back.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=deploy-lib.sh
source "$here/deploy-lib.sh"

clean_up() { stop_tixgo; }
begin_deploying
created() { docker ps --all --quiet --filter name='^tixgo-(identity|attendance)$'; }

### Before anything runs

rm .env
docker image rm --force tixgo-identity:latest tixgo-attendance:latest >/dev/null 2>&1 || true
check 'without a .env a deploy is refused' failed_deploy
check 'and it is said how to make one' says '.env is missing'
echo 'BIND_ADDRESS=127.0.0.1' >.env
chmod 644 .env
check 'so is a .env that others may read' failed_deploy --check
check 'and it is said how to mend that' says 'chmod 600'
chmod 600 .env
check 'so is one without JWT_SECRET' failed_deploy
check 'by name' says 'JWT_SECRET'
check 'and it is said how to make one' says 'openssl rand -hex 32'
was_built() { docker image inspect tixgo-identity:latest >/dev/null 2>&1; }
check 'no image was built for that' fails was_built

good_settings
printf 'CORS_ALLOWED_ORIGINS="https://a\n' >>.env
check 'so is one that Compose cannot read' failed_deploy
check 'and where it is' says "$PWD/.env"
good_settings

docker create --name tixgo-identity "$(sed -n 's/^FROM --platform=.* \(rust:[^ ]*\).*/\1/p' Dockerfile)" true >/dev/null
check 'a container of that name that deploy.sh did not start is left alone' failed_deploy
check 'and it is said what to do with it' says 'docker rm --force tixgo-identity'
docker rm tixgo-identity >/dev/null

for service in identity attendance; do
    check "the image of $service is built" works docker buildx build --load --provenance=false --target $service --tag tixgo-$service:latest .
done
check 'now everything is there' deploy --check --no-build
for secret in short dev-secret-9f86d081884c7d659a2feaa0c55ad015; do
    printf 'JWT_SECRET=%s\n' $secret >>.env
    check "with the secret $secret a deploy is refused" failed_deploy --no-build
    check 'by name' says 'JWT_SECRET is '
    good_settings
done
printf 'JWT_SECRET=\nJWT_SECRET_FILE=jwt-secret.txt\n' >>.env
check 'so is a file that holds the secret' failed_deploy --check --no-build
check 'and it is said why' says 'JWT_SECRET_FILE is not for containers'
good_settings
printf 'COMPOSE_PROFILES=tunel\n' >>.env
check 'so is a profile that is mistyped' failed_deploy --check --no-build
check 'and it is said which there are' says 'COMPOSE_PROFILES is "tunel": it may be tunnel, observability, or both with a comma'
printf 'COMPOSE_PROFILES="tunnel, observability" # both\n' >>.env
check 'so is a tunnel without its configuration' failed_deploy --check --no-build
check 'and what is missing' says 'cloudflared/config.yml is missing: docs/tunnel.md'
good_settings
cp cloudflared/config.yml.example cloudflared/config.yml
printf '%s\n' TOKEN_EXPIRE_MINUTES=never BCRYPT_COST=8 COMPOSE_PROFILES=observability,tunnel >>.env
check '--check finds every setting that is wrong' failed_deploy --check --no-build
check 'of attendance' says 'TOKEN_EXPIRE_MINUTES is "never"'
check 'of identity' says 'BCRYPT_COST is "8"'
printf '%s\n' TOKEN_EXPIRE_MINUTES=60 BCRYPT_COST=12 >>.env
check 'so is a tunnel without a word on whose address counts' failed_deploy --no-build
check 'and what is missing' says 'set TRUSTED_PROXIES=172.16.0.0/12 and CLIENT_ADDRESS_HEADER=CF-Connecting-IP'
good_settings
export COMPOSE_PROFILES=tunnel
check 'the tunnel from the environment counts too' failed_deploy --no-build
check 'in the same words' says 'set TRUSTED_PROXIES=172.16.0.0/12'
unset COMPOSE_PROFILES
check 'nothing is started for all that' same "$(created)" ''
check 'no image of a release is left behind' same "$(docker image ls --quiet --filter 'reference=tixgo-*:????????????')" ''

### While a version runs

check 'a version is deployed' deploy --no-build
first=$(running_image identity)
before=$(containers)
printf 'TOKEN_EXPIRE_MINUTES=never\n' >>.env
check 'a setting that is wrong is refused' failed_deploy --no-build
check 'while what worked runs on' same "$(containers)" "$before"
check 'and serves' serves

good_settings
printf 'TOKEN_EXPIRE_MINUTES=30\n' >>.env
check 'a changed setting is deployed' deploy --no-build
check 'in a new release of the same images' same "$(running_image identity)" "$first"
check 'and --rollback takes it back' deploy --rollback
check 'from the containers too' fails grep -q TOKEN_EXPIRE_MINUTES <(docker container inspect tixgo-identity)

good_settings
printf 'IDENTITY_PORT=28081\nBIND_ADDRESS=127.0.0.1\n' >>.env
check 'another port is deployed' deploy --no-build
check 'and said' contains "$(cat "$output")" 'on ports 28081 and 18082'
check '--rollback goes back to the old one' deploy --rollback
check 'and says so' contains "$(cat "$output")" 'on ports 18081 and 18082'
check 'where it serves' serves

good_settings
printf 'IDENTITY_PORT=18082\n' >>.env
check 'a port that is taken ends non-zero' failed_deploy --no-build
check 'in the words of Docker' says 'port is already allocated'
check 'and the previous version serves again' says 'The previous version serves again.'
check 'which it does' serves
