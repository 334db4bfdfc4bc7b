#!/bin/sh
# Makes the passwords for `docker compose up`, at random, once: files that exist are kept.
#
# The directory is closed to everyone else on this machine (0700). The files in it are readable for
# all, because each is mounted into containers that run as different users; whoever cannot enter the
# directory cannot reach them.
set -eu

cd "$(dirname "$0")/.."
umask 077
mkdir -p secrets
chmod 700 secrets

password() {
  if [ -s "secrets/$1" ]; then return 0; fi
  head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"secrets/$1.new"
  chmod 444 "secrets/$1.new"
  mv "secrets/$1.new" "secrets/$1"
}

password nats-aggregator-password
password nats-agent-password
password postgres-password

# nats-server reads no password files, but includes a file of variables.
printf 'aggregator_password: "%s"\nagent_password: "%s"\n' \
  "$(cat secrets/nats-aggregator-password)" "$(cat secrets/nats-agent-password)" >secrets/nats-passwords.conf.new
chmod 444 secrets/nats-passwords.conf.new
mv -f secrets/nats-passwords.conf.new secrets/nats-passwords.conf

# Docker would make it, but as root.
umask 022
mkdir -p watch
printf '%s\n' "the passwords are in $PWD/secrets"
