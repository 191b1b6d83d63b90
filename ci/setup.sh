#!/usr/bin/env bash
# What the other scripts need of a machine; sourced by them. Run alone, it only prepares the machine.
set -euo pipefail

say() {
    printf '==> %s\n' "$*"
}

# Runs a command as root, or fails where that is not possible without asking somebody.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    command -v apt-get >/dev/null && as_root true 2>/dev/null
}

# Installs packages of the distribution, after whoever else is installing just now.
install_packages() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends "$@"
}

# The newest directory that holds PostgreSQL's server programs, searched for as pgdrill does.
postgres_bin() {
    local candidate
    for candidate in "${PGDRILL_PG_BIN:-}" \
        $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin | sort -rV) \
        "$(dirname "$(command -v postgres || true)")"; do
        if [ -n "$candidate" ] && [ -x "$candidate/postgres" ] && [ -x "$candidate/initdb" ]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

# Installs PostgreSQL's server programs where there are none. The distribution would start a server of its own as
# well; nothing here talks to it, but it would take memory, so it is told not to.
need_postgres() {
    local bin conf=/etc/postgresql-common/createcluster.conf
    if bin=$(postgres_bin); then
        say "PostgreSQL: $("$bin/postgres" --version), in $bin"
        return
    fi
    if ! may_install; then
        say "PostgreSQL: no server programs found, and no apt-get and root to install them;" \
            "install them, or name their directory in PGDRILL_PG_BIN"
        return 1
    fi
    say "PostgreSQL: no server programs found, installing the distribution's"
    install_packages postgresql-common
    if [ -f "$conf" ]; then
        as_root sed -i -E 's/^#?[[:space:]]*create_main_cluster.*/create_main_cluster = false/' "$conf"
    fi
    install_packages postgresql
    bin=$(postgres_bin)
    say "PostgreSQL: $("$bin/postgres" --version), in $bin"
}

# The programs that unpack compressed backups, and what else is named, each of a package of its name. A drill that needs one
# and does not find it says so, so this is no reason to stop.
need_programs() {
    local program missing=()
    for program in gzip lz4 zstd "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if [ "${#missing[@]}" -eq 0 ]; then
        say "gzip, lz4, zstd${*:+, $*}: there"
    elif may_install; then
        say "${missing[*]}: not there, installing the distribution's"
        install_packages "${missing[@]}"
    else
        say "${missing[*]}: not there; drills that need them cannot be verified"
    fi
}

# What the fault that sets a server's clock needs on this host; a drill that asks for it says where it is missing.
need_faketime() {
    local library
    for library in /usr/lib/*/faketime/libfaketime.so.1 /usr/lib64/faketime/libfaketime.so.1; do
        if [ -e "$library" ]; then
            say "libfaketime: there"
            return
        fi
    done
    if may_install; then
        say "libfaketime: not there, installing the distribution's"
        install_packages libfaketime
    else
        say "libfaketime: not there; the fault clock-set-back cannot be made on this host"
    fi
}

# Where PgBouncer is; Debian puts it where the PATH of an ordinary account does not look.
pgbouncer_program() {
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v pgbouncer
}

# The pool between an application and its server. The distribution would start one of its own, now and at every boot,
# on a port that somebody may want; it is told not to.
need_pgbouncer() {
    local program
    if program=$(pgbouncer_program); then
        tell_pgbouncer "$program"
        return
    fi
    if ! may_install; then
        say "PgBouncer: not there; drills with an application cannot run on this host"
        return
    fi
    say "PgBouncer: not there, installing the distribution's"
    # A policy of the machine's own, as images of containers have one, is left as it is.
    # shellcheck disable=SC2016 # expanded by the shell that is root
    as_root sh -euc '
        export DEBIAN_FRONTEND=noninteractive
        policy=/usr/sbin/policy-rc.d
        apt-get update -q
        if [ ! -e "$policy" ]; then
            trap "rm -f $policy" EXIT
            trap "exit 1" INT TERM HUP
            printf "#!/bin/sh\nexit 101\n" >"$policy"
            chmod 755 "$policy"
        fi
        apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends pgbouncer
        update-rc.d pgbouncer disable'
    tell_pgbouncer "$(pgbouncer_program)"
}

# A drill looks for it along PATH.
tell_pgbouncer() {
    say "PgBouncer: $("$1" --version | head -n 1), $1"
    if ! command -v pgbouncer >/dev/null; then
        PATH=$PATH:$(dirname "$1")
        export PATH
    fi
}

# The programs that make repositories of backups. The tests compare what is said of such a repository with what these say; they
# run them on servers of their own, so the timer that Debian's Barman brings along has nothing to do and is left alone.
need_pgbackrest() {
    if command -v pgbackrest >/dev/null; then
        say "pgBackRest: $(pgbackrest version)"
    elif may_install; then
        say "pgBackRest: not there, installing the distribution's"
        install_packages pgbackrest
    else
        say "pgBackRest: not there; drills whose backups it takes fail, and tests of its repositories look at kept ones only"
    fi
}

need_barman() {
    if command -v barman >/dev/null; then
        say "Barman: $(barman --version | head -n 1)"
    elif may_install; then
        say "Barman: not there, installing the distribution's"
        install_packages barman
    else
        say "Barman: not there; drills whose backups it takes could not verify, and tests of its directories look at kept ones only"
    fi
}

# The browser in which the tests look at HTML reports; those that do not find it say so.
need_chromium() {
    local name
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null; then
            say "Chromium: $(command -v "$name")"
            return
        fi
    done
    if may_install; then
        say "Chromium: not there, installing the distribution's"
        install_packages chromium || say "Chromium: it cannot be installed; tests of HTML reports cannot look at them"
    else
        say "Chromium: not there; tests of HTML reports cannot look at them"
    fi
}

# A server that speaks S3, for the tests of fetching: moto, in an environment of its own below the build directory, where the
# tests look for it. They start it themselves, on any free port of the loopback.
need_s3_server() {
    local place=${CARGO_TARGET_DIR:-target}/s3-server wanted="moto[s3]==5.2.5 flask==3.1.3 flask-cors==6.0.5"
    if [ "$(cat "$place/is" 2>/dev/null)" = "$wanted" ]; then
        say "S3 server: $place/bin/moto_server"
        return
    fi
    say "S3 server: not there, installing moto into $place"
    if command -v python3 >/dev/null && ! python3 -c 'import ensurepip' 2>/dev/null && may_install; then
        install_packages python3-venv
    fi
    rm -rf "$place"
    # shellcheck disable=SC2086 # one word each
    if python3 -m venv "$place" && "$place/bin/pip" install --quiet --disable-pip-version-check $wanted; then
        printf '%s\n' "$wanted" >"$place/is"
    else
        say "S3 server: it cannot be installed; tests of fetching from an object store cannot do so"
    fi
}

# Container images of every major that the tests ask for, where an engine answers. Where they cannot be made, the tests
# that need them say so.
need_images() {
    if ! docker version >/dev/null 2>&1; then
        say "docker: no engine answers; servers run on this host alone"
        return
    fi
    ci/images/build 13 15 17 18 || say "docker: not all images could be made"
}

# Rust is the one thing that must be there: how it is installed is not for a script to decide.
need_rust() {
    if ! command -v cargo >/dev/null; then
        say "Rust: cargo is not in PATH; install Rust first"
        return 1
    fi
    say "Rust: $(cargo --version)"
    if { ! cargo fmt --version || ! cargo clippy --version; } >/dev/null 2>&1 && command -v rustup >/dev/null; then
        say "Rust: adding rustfmt and clippy"
        rustup component add rustfmt clippy
    fi
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    need_postgres
    need_programs curl
    need_faketime
    need_pgbouncer
    need_pgbackrest
    need_barman
    need_rust
fi
