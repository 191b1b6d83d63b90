#!/usr/bin/env bash
# Makes a release, and tries it before it says so: a static program, the archive around it, container images with PostgreSQL's servers,
# and SHA256SUMS. The same commit gives the same archive, byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/setup.sh

out=dist
target=''
majors=(13 15 17 18)
images=yes
save=''
dirty=''

usage() {
    cat <<END
usage: ci/release.sh [OPTION]...

Makes pgdrill-VERSION-TARGET.tar.gz and the images pgdrill/pgdrill:VERSION-pgMAJOR, and runs the smoke drills with both.

  --out DIR          where files go; made if need be (default: dist)
  --target TRIPLE    what to build for (default: musl where Rust has it here, else glibc, linked statically)
  --images MAJORS    of which majors images are made, separated by commas (default: $(IFS=, && echo "${majors[*]}"))
  --no-images        make none
  --save-images      write the images to files as well, for docker load
  --allow-dirty      also of a tree with changes that are not committed; the name then says so
  --help             this text

SOURCE_DATE_EPOCH is the time of every file in the archive (default: that of the commit). CARGO names another cargo.
Exit code: 0 when all was made and proven, that of the drills when they are not, 64 usage, 1 anything else.
END
}

fail() {
    printf 'ci/release.sh: %s\n' "$*" >&2
    exit 1
}

usage_error() {
    printf 'ci/release.sh: %s; see ci/release.sh --help\n' "$*" >&2
    exit 64
}

# What is released is a commit, and a tag on it tells the truth.
need_commit() {
    local tag
    command -v git >/dev/null || fail "no git in PATH; a release is made of a commit, so install git"
    git rev-parse --verify --quiet HEAD >/dev/null 2>&1 || fail "this is no git repository with a commit; clone the repository"
    version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
    [ -n "$version" ] || fail "no version in [workspace.package] of Cargo.toml"
    for tag in $(git tag --points-at HEAD --list 'v*'); do
        [ "$tag" = "v$version" ] || fail "the commit has the tag $tag, and Cargo.toml says $version; make them agree"
    done
    grep -q "^## $version\b" CHANGELOG.md || [ -z "$(git tag --points-at HEAD --list 'v*')" ] ||
        fail "CHANGELOG.md has no section '## $version'; give the changes since the last release their name"
    if [ -n "$(git status --porcelain)" ]; then
        [ -n "$dirty" ] || fail "the tree has changes that are not committed (git status); commit them, or say --allow-dirty"
        version+=-dirty
    fi
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    export SOURCE_DATE_EPOCH
    say "release: $version of $(git rev-parse --short HEAD), $(date --utc --date="@$SOURCE_DATE_EPOCH" '+%F %T UTC')"
}

# Asked before anything takes minutes.
need_engine() {
    local major
    for major in "${majors[@]}"; do
        [[ "$major" =~ ^(13|15|17|18)$ ]] || usage_error "no image for the major '$major'; there are 13, 15, 17, 18"
    done
    docker version >/dev/null 2>&1 || fail "no docker engine answers, so no images can be made; start one, or say --no-images"
}

has_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]
}

# musl needs nothing of the machine that it runs on. Its C compiler wraps that of the machine, so only its own architecture can be
# built for here.
need_target() {
    local arch
    arch=$(uname -m)
    if [ -n "$target" ]; then
        has_target "$target" || rustup target add "$target" || fail "Rust cannot build for $target here: rustup target add $target"
    else
        target=$arch-unknown-linux-musl
        if ! has_target "$target"; then
            say "Rust: adding $target"
            timeout 300 rustup target add "$target" >/dev/null 2>&1 || true
        fi
        if ! has_target "$target" || ! need_musl; then
            say "Rust: nothing is there to build for musl; linking glibc statically instead"
            target=$arch-unknown-linux-gnu
        fi
    fi
    case $target in
        *-musl) need_musl || fail "no musl-gcc for the parts in C; on Debian and Ubuntu: apt-get install musl-tools" ;;
    esac
    say "target: $target"
}

need_musl() {
    command -v musl-gcc >/dev/null && return
    may_install || return 1
    say "musl-gcc: not there, installing the distribution's"
    install_packages musl-tools >/dev/null 2>&1
    command -v musl-gcc >/dev/null
}

# Paths of this machine are not in the program, so it is the same wherever it is built. Build scripts and macros do not get these flags,
# because the target is named.
build() {
    local flags="--remap-path-prefix=$PWD=/pgdrill --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    flags+=" --remap-path-prefix=$(rustc --print sysroot)=/rust"
    say "build"
    RUSTFLAGS="$flags -C target-feature=+crt-static" "${CARGO:-cargo}" build --locked --profile dist --target "$target" -p pgdrill
    built=${CARGO_TARGET_DIR:-target}/$target/dist/pgdrill
    # ldd runs what it is asked about where that is dynamic; this only reads it.
    if LC_ALL=C readelf --program-headers "$built" | grep -q INTERP; then
        fail "$built is not static: it asks for a loader"
    fi
}

# The crates that the program is made of, and under which licences; most ask that their text goes along. Each text once.
third_party() {
    local crate licence directory text sum rest
    local -A of=() where=()
    printf 'The program is made of these crates.\n\n'
    while IFS='|' read -r crate licence; do
        printf '%s: %s\n' "$crate" "${licence:-see its text}"
        for directory in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"${crate/ v/-}"{,/*}; do
            for text in "$directory"/{LICEN[CS]E,COPYING,COPYRIGHT,NOTICE,UNLICENSE}*; do
                [ -f "$text" ] || continue
                read -r sum rest < <(sha256sum <"$text")
                of[$sum]+=${of[$sum]:+, }$crate
                where[$sum]=$text
            done
        done
    done < <("${CARGO:-cargo}" tree --quiet --locked --package pgdrill --target "$target" --edges normal --no-dedupe --prefix none \
        --format '{p}|{l}' | sed -n 's/^\([a-zA-Z0-9_-]* v[^ |]*\)\( (proc-macro)\)\{0,1\}|/\1|/p' | LC_ALL=C sort -u)
    for sum in $(printf '%s\n' "${!where[@]}" | LC_ALL=C sort); do
        printf '\n%s\nof %s\n\n' "$(printf '%0.s-' {1..79})" "${of[$sum]}"
        cat "${where[$sum]}"
    done
}

# What users need beside the program, in the places where systems look for it.
gather() {
    local tree=$1 share=$1/share
    mkdir -p "$tree/bin" "$share/man/man1" "$share/bash-completion/completions" \
        "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
    install -m 755 "$built" "$tree/bin/pgdrill"
    # Without this machine's variables, of which they would tell.
    env -i "$built" print man "$share/man/man1"
    env -i "$built" print completions bash >"$share/bash-completion/completions/pgdrill"
    env -i "$built" print completions zsh >"$share/zsh/site-functions/_pgdrill"
    env -i "$built" print completions fish >"$share/fish/vendor_completions.d/pgdrill.fish"
    third_party >"$tree/THIRD-PARTY.txt"
    git ls-files -z -co --exclude-standard -- LICENSE LICENSE-APACHE LICENSE-MIT README.md CHANGELOG.md scenarios docs \
        ci/nightly.sh ci/pipelines | xargs -0 cp --parents -t "$tree"
    # Of the project's own sources, not for users.
    rm "$tree/ci/pipelines/check"
}

# Sorted, of one time, of nobody; gzip without name and time.
pack() {
    tar --create --directory="$1" --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode='u=rwX,go=rX' "$2" | gzip -9n >"$3"
}

# What registries ask of crates; the program is compiled by then.
package() {
    say "crates"
    "${CARGO:-cargo}" package --quiet --locked --workspace --no-verify ${dirty:+--allow-dirty} \
        --exclude pgdrill-testkit --exclude pgdrill-fuzz --exclude pgdrill-benches
}

# The archive as a user gets it: unpacked somewhere, and run there.
try_archive() {
    local status=0
    say "drill: $1, unpacked, on this host"
    tar -xzf "$2" -C "$work"
    chmod 755 "$work"
    (cd "$work/$1" && bin/pgdrill run scenarios/smoke --runtime local --evidence "$work/evidence" --quiet) || status=$?
    [ "$status" -eq 0 ] || drills_failed "the archive" "$status"
}

# As a cluster would run it: no network, nothing writable but the volumes, an account without capabilities.
try_image() {
    local status=0
    say "drill: $1, without network, its root read-only"
    docker run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges "$1" \
        run scenarios/smoke --quiet || status=$?
    [ "$status" -eq 0 ] || drills_failed "the image $1" "$status"
}

drills_failed() {
    printf 'ci/release.sh: the smoke drills of %s ended with %s; this is no release\n' "$1" "$2" >&2
    exit "$2"
}

while [ "$#" -gt 0 ]; do
    case $1 in
        --out | --target | --images)
            [ -n "${2-}" ] || usage_error "$1 wants a value"
            case $1 in
                --out) out=$2 ;;
                --target) target=$2 ;;
                *) IFS=, read -r -a majors <<<"$2" ;;
            esac
            shift
            ;;
        --no-images) images='' ;;
        --save-images) save=yes ;;
        --allow-dirty) dirty=yes ;;
        --help | -h) usage && exit ;;
        *) usage_error "unknown argument $1" ;;
    esac
    shift
done
[ -n "$images" ] || [ -z "$save" ] || usage_error "--save-images and --no-images contradict each other"

need_commit
[ -z "$images" ] || need_engine
need_rust
for program in tar gzip sha256sum readelf xargs; do
    command -v "$program" >/dev/null || fail "no $program in PATH; on Debian and Ubuntu: apt-get install binutils coreutils findutils"
done
need_postgres
need_programs
need_target
build

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=pgdrill-$version-$target
mkdir -p "$out" "$work/make/$name"
out=$(realpath "$out")
rm -f "$out"/pgdrill-*.tar.gz "$out/SHA256SUMS"
gather "$work/make/$name"
pack "$work/make" "$name" "$out/$name.tar.gz"
package
try_archive "$name" "$out/$name.tar.gz"

made=()
if [ -n "$images" ]; then
    ci/images/build --program "$out/$name.tar.gz" "${majors[@]}"
    for major in "${majors[@]}"; do
        image=pgdrill/pgdrill:$version-pg$major
        try_image "$image"
        made+=("$image")
        if [ -n "$save" ]; then
            say "$image: writing it to a file"
            docker save "$image" | gzip -n >"$out/pgdrill-$version-pg$major.image.tar.gz"
        fi
    done
fi

(cd "$out" && sha256sum -- *.tar.gz >SHA256SUMS)
say "made in $out"
while read -r sum file; do
    printf '%10d  %s  %s\n' "$(stat -c %s "$out/$file")" "$sum" "$file"
done <"$out/SHA256SUMS"
for image in "${made[@]}"; do
    printf '%10d  %s  %s\n' "$(docker image inspect --format '{{.Size}}' "$image")" \
        "$(docker image inspect --format '{{.Id}}' "$image" | cut -d: -f2)" "$image"
done
