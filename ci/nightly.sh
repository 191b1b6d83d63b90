#!/usr/bin/env bash
# The drills of a night, for any scheduler: runs them, publishes what came of them, and only then fails. Arguments go to
# `pgdrill run`: scenarios, --postgres, --shard. The exit code is pgdrill's own: 0 proven, 1 disproven, 2 could not verify.
#
#   PGDRILL            the program [pgdrill in PATH]
#   PGDRILL_EVIDENCE   where records are kept from night to night [.pgdrill/runs]
#   NIGHTLY_OUT        where reports go: junit.xml, runs.json, summary.md, history.txt, report.html,
#                      pgdrill.prom [.pgdrill/nightly]
#   NIGHTLY_MAX_AGE    for how long a drill of these records may not have been proven [26h]
#   NIGHTLY_STEP       `drills`: one machine of several runs its part; `report`: the arguments are directories of records, which
#                      are told together [both, of this machine]
#   NIGHTLY_KEY        a private key by which the records are signed, as `pgdrill report --sign` does [none]
#   NIGHTLY_PUBLIC_KEY the public key of signatures that must be there already: where they were taken away, nothing is signed
#                      anew; sign once by hand before [none]
#   NIGHTLY_LINK       a link to this job, for the notification [of GitHub, GitLab or Jenkins, where it runs there]
#   NIGHTLY_WEBHOOK    the URL that is told when it is not proven, by POST of {"text": ...} [none]; it is shown nowhere
set -euo pipefail

pgdrill=${PGDRILL:-pgdrill}
export PGDRILL_EVIDENCE=${PGDRILL_EVIDENCE:-.pgdrill/runs}
out=${NIGHTLY_OUT:-.pgdrill/nightly}
webhook=${NIGHTLY_WEBHOOK:-}
# Nobody below needs to know it.
unset NIGHTLY_WEBHOOK
github=${GITHUB_RUN_ID:+${GITHUB_SERVER_URL:-}/${GITHUB_REPOSITORY:-}/actions/runs/$GITHUB_RUN_ID}
link=${NIGHTLY_LINK:-${github:-${CI_JOB_URL:-${BUILD_URL:-}}}}

say() {
    printf '==> %s\n' "$*"
}

# What outranks what, in pgdrill's own order; what is no exit code of its own comes first.
rank() {
    case $1 in
    0) echo 0 ;;
    2) echo 1 ;;
    1) echo 2 ;;
    64) echo 3 ;;
    70) echo 4 ;;
    130) echo 5 ;;
    *) echo 6 ;;
    esac
}

# Tells where it is asked for. A URL on a command line would be seen by everybody on the machine, so curl reads it.
notify() {
    local text=$1 quoted
    [ -n "$webhook" ] || return 0
    quoted=${text//\\/\\\\}
    quoted=${quoted//\"/\\\"}
    printf 'url = "%s"\n' "$webhook" |
        curl --config - --fail --silent --output /dev/null --max-time 30 --retry 2 \
            --header 'content-type: application/json' --data "{\"text\": \"$quoted\"}"
}

# The exit code is the worst of all that was done.
code=0
worse() {
    if [ "$(rank "$1")" -gt "$(rank "$code")" ]; then
        code=$1
    fi
}

step=${NIGHTLY_STEP:-both}
case $step in
both | drills) records=() ;;
report) records=("$@") ;;
*)
    printf 'ci/nightly.sh: NIGHTLY_STEP is drills or report, or not set; it is %s\n' "$step" >&2
    exit 64
    ;;
esac

mkdir -p "$out"
rm -f "$out/junit.xml" "$out/runs.json" "$out/summary.md" "$out/history.txt" "$out/report.html"

if [ "$step" != report ]; then
    say "drills"
    "$pgdrill" run "$@" --junit "$out/junit.xml" --json "$out/runs.json" --markdown "$out/summary.md" || code=$?
else
    say "the newest of each drill"
    for form in junit:junit.xml json:runs.json markdown:summary.md; do
        "$pgdrill" report "${records[@]}" --latest --format "${form%:*}" --out "$out/${form#*:}" || worse $?
    done
fi

if [ "$step" != drills ]; then
    say "all nights together"
    max_age=${NIGHTLY_MAX_AGE:-26h}
    "$pgdrill" report "${records[@]}" --max-age "$max_age" | tee "$out/history.txt" || worse "${PIPESTATUS[0]}"
    "$pgdrill" report "${records[@]}" --max-age "$max_age" --format html --out "$out/report.html" || worse $?
    "$pgdrill" report "${records[@]}" --format prometheus --out "$out/pgdrill.prom" || worse $?
fi

if [ -n "${NIGHTLY_KEY:-}" ]; then
    say "signatures"
    "$pgdrill" report "${records[@]}" --sign "$NIGHTLY_KEY" ${NIGHTLY_PUBLIC_KEY:+--key "$NIGHTLY_PUBLIC_KEY"} || worse $?
fi

if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$out/summary.md" ]; then
    cat "$out/summary.md" >>"$GITHUB_STEP_SUMMARY"
fi
if [ -n "${GITHUB_OUTPUT:-}" ]; then
    printf 'exit-code=%s\nreports=%s\n' "$code" "$out" >>"$GITHUB_OUTPUT"
fi

case $code in
0) verdict="proven" ;;
1) verdict="DISPROVEN" ;;
2) verdict="could not verify" ;;
*) verdict="ended with exit code $code" ;;
esac
say "$verdict; reports in $out"
if [ "$code" -ne 0 ] && ! notify "pgdrill on $(uname -n): $verdict${link:+; $link}"; then
    say "THE NOTIFICATION FAILED: nobody was told"
fi
exit "$code"
