# shellcheck shell=bash
# What goes into an image; sourced by ./build. The hash of this file is on every image, so a change here, and nothing
# else, is what makes an image outdated.

# The Debian release that has a major.
suite_of() {
    case "$1" in
        13) echo bullseye ;;
        15) echo bookworm ;;
        17) echo trixie ;;
        18) echo forky ;;
        *) return 1 ;;
    esac
}

# Debian's own psql and its like choose a cluster of Debian's; before them come PostgreSQL's.
path_of() {
    echo "/usr/lib/postgresql/$1/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

# The contrib modules are in Debian's server package. The compressors are for backups that tar unpacks, libfaketime for
# the fault that sets a server's clock, PgBouncer for the pool between an application and its server, pgBackRest for
# servers that are restored from its repositories and fetch WAL from there. For 18, Debian would otherwise take all of
# systemd for two small programs that its packages ask for.
packages() {
    local major="$1" tools="$2"
    echo "postgresql-$major locales-all tzdata zstd lz4 procps libfaketime pgbouncer pgbackrest"
    if [ "$major" -ge 18 ]; then echo systemd-standalone-tmpfiles systemd-standalone-sysusers; fi
    if [ -n "$tools" ]; then echo barman; fi
}

# Writes the image's files as a tar archive, and before it begins the server's exact version to the file $3. Runs as
# the arguments after the mirror say; without a mirror Debian's own is used, with its security updates.
files() {
    local major="$1" tools="$2" version="$3" mirror="$4" options
    shift 4
    options=(
        --mode=root --variant=apt --include="$(packages "$major" "$tools" | paste -sd' ')"
        --aptopt='APT::Install-Recommends "false"'
        --aptopt='Acquire::Languages "none"'
        --aptopt='Acquire::Retries "3"'
        # Mirrors of Debian's testing release lag behind the date until which it calls itself valid. The signature is
        # checked all the same.
        --aptopt='Acquire::Check-Valid-Until "false"'
        # Without a terminal of its own, dpkg ends when we are interrupted.
        --aptopt='Dpkg::Use-Pty "0"'
        # Where /proc cannot be mounted, as in a container, systemd-tmpfiles would fail the installation of 18. Nothing
        # here needs what it does, so another one is found first.
        --aptopt='DPkg::Path "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"'
        # What is thrown away when anything fails need not be synced.
        --dpkgopt=force-unsafe-io
    )
    # shellcheck disable=SC2016 # $1 is the hook's: the image's directory
    options+=(
        --essential-hook='mkdir -p "$1/etc/postgresql-common" &&
            echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf" &&
            ln -s /bin/true "$1/usr/local/sbin/systemd-tmpfiles"'
        # Licences stay. dpkg could leave the rest out, but would take a third longer. The key would be the same in
        # every copy of the image. pgBackRest's configuration is for one account, and in the way of every other.
        --customize-hook='cd "$1" &&
            rm -rf usr/share/man/* usr/share/info/* var/cache/debconf/*-old \
                usr/local/sbin/systemd-tmpfiles etc/pgbackrest.conf \
                etc/ssl/private/ssl-cert-snakeoil.key etc/ssl/certs/ssl-cert-snakeoil.pem \
                etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap &&
            find usr/share/doc ! -type d ! -name copyright -delete && find usr/share/doc -type d -empty -delete'
        --customize-hook='chroot "$1" dpkg-query -W -f "\${Version}" '"postgresql-$major >'$version'"
    )
    "$@" mmdebstrap "${options[@]}" "$(suite_of "$major")" - ${mirror:+"$mirror"}
}
