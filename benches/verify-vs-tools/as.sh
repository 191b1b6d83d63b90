# shellcheck shell=bash
# How PostgreSQL's programs are run here; sourced by `compare` and `data`. They refuse root, so root hands them, and
# everything that they are compared with, to an unprivileged account.
bin=${PGDRILL_PG_BIN:-$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV | head -n 1)}
if [ "$(id -u)" -eq 0 ]; then
    account=${PGDRILL_USER:-postgres}
    drop=(setpriv --reuid "$account" --regid "$account" --init-groups)
else
    account=$(id -un)
    drop=()
fi
as() {
    "${drop[@]}" env -i PATH="$bin:/usr/bin:/bin" LC_ALL=C TZ=UTC PGUSER=postgres "$@"
}
