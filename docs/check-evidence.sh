#!/bin/sh
# Checks signed evidence without pgdrill: openssl (3.0 or later), jq, and what every Unix has.
#
#   docs/check-evidence.sh DIR PUBLIC.pem
#
# DIR has the records, chain.txt and chain.txt.intoto.jsonl: a DSSE envelope in each line, with an in-toto Statement. One of them
# must be signed by the key, and all that it is about must be there as it was signed. Ends with 0 where that is so. Records that
# came later are not looked at.
set -eu

dir=$1 key=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
id=$(openssl pkey -pubin -in "$key" -outform DER | sha256sum | cut -c 1-64)
jq -c --arg id "$id" 'select(.signatures[0].keyid == $id)' "$dir/chain.txt.intoto.jsonl" >"$tmp/envelope"
if [ "$(wc -l <"$tmp/envelope")" -ne 1 ]; then
    echo "$dir: there is not one signature that names the key $id" >&2
    exit 1
fi

# What is signed is the statement with its type and the lengths of both before it.
jq -r .payload "$tmp/envelope" | base64 -d >"$tmp/statement"
jq -r '.signatures[0].sig' "$tmp/envelope" | base64 -d >"$tmp/signature"
type=$(jq -r .payloadType "$tmp/envelope")
{
    printf 'DSSEv1 %d %s %d ' "${#type}" "$type" "$(wc -c <"$tmp/statement")"
    cat "$tmp/statement"
} >"$tmp/signed"
openssl pkeyutl -verify -rawin -pubin -inkey "$key" -in "$tmp/signed" -sigfile "$tmp/signature"

# The first subject is the chain as far as it had come, the others are its records.
records=$(jq .predicate.pgdrill.chain.records "$tmp/statement")
head -n "$records" "$dir/chain.txt" >"$tmp/chain.txt"
jq -r '.subject[] | "\(.digest.sha256)  \(.name)"' "$tmp/statement" >"$tmp/subjects"
head -n 1 "$tmp/subjects" | (cd "$tmp" && sha256sum --check --quiet)
tail -n +2 "$tmp/subjects" | (cd "$dir" && sha256sum --check --quiet)
jq -r '.predicate | "\(.result): \(.pgdrill.chain.records) records, signed at \(.pgdrill.signed_at)"' "$tmp/statement"
