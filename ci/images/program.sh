# shellcheck shell=bash
# What an image with pgdrill in it has beside the servers of recipe.sh; sourced by ./build. The hash of this file is on these images.

# The account in the image. Kubernetes wants a number to know that it is not root.
uid=10001
# Where the archive is unpacked.
share=usr/share/pgdrill

# The version in the name of an archive, pgdrill-VERSION-TARGET.tar.gz.
version_of() {
    local name=${1##*/}
    [[ "$name" =~ ^pgdrill-([0-9][0-9A-Za-z.+-]*)-[a-z0-9_]+-unknown-linux-(musl|gnu)\.tar\.gz$ ]] || return 1
    # A tag of an image has no plus.
    echo "${BASH_REMATCH[1]//+/_}"
}

# Runs mmdebstrap with what is added. PostgreSQL's processes outlive those that began them, and somebody has to wait for them: tini.
# curl tells the webhook of ci/nightly.sh.
with_program() {
    shift
    # The hooks' $1 is the image's directory; program and alone are build's.
    # shellcheck disable=SC2016,SC2154
    "${alone[@]}" mmdebstrap --include=tini,curl,ca-certificates \
        --customize-hook='mkdir -p "$1/'"$share"'" "$1/workspace" "$1/evidence"' \
        --customize-hook="tar -xzf '$program' --strip-components=1 --no-same-owner -C \"\$1/$share\"" \
        --customize-hook='cd "$1" && ln -s '"/$share/bin/pgdrill"' usr/local/bin/pgdrill &&
            echo "pgdrill:x:'"$uid:$uid:pgdrill:/$share"':/usr/sbin/nologin" >>etc/passwd &&
            echo "pgdrill:x:'"$uid"':" >>etc/group &&
            chown '"$uid:$uid"' workspace evidence && chmod 1777 workspace evidence' \
        "$@"
}

# Drills run on the servers of the image, as its account, and write to these two places alone. A volume that is mounted on the first
# may belong to root, so drills make a directory of their own in it.
program_changes() {
    # shellcheck disable=SC2034 # build's
    changes=(
        --change 'ENTRYPOINT ["tini", "--", "pgdrill"]'
        --change 'CMD ["doctor"]'
        --change "USER $uid:$uid"
        --change "WORKDIR /$share"
        --change 'ENV PGDRILL_RUNTIME=local PGDRILL_WORKSPACE=/workspace/drills PGDRILL_EVIDENCE=/evidence'
        --change 'VOLUME ["/workspace", "/evidence"]'
    )
}
