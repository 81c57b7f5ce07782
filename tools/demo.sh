#!/usr/bin/env bash
# The whole way once, with config.yaml as it is: set up, schedule, back up, and show what lies there and how it comes back.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
bold="" faint="" plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' faint=$'\e[2m' plain=$'\e[0m'
fi
number=0

section() {
    number=$((number + 1))
    printf '\n%s%s. %s%s\n' "$bold" "$number" "$1" "$plain"
}

# Shows a command as it would be typed, then runs it.
show_and_run() {
    printf '%s$ %s%s\n' "$faint" "$*" "$plain"
    "$@"
}

is_cron_running() { grep -qsxE 'cron|crond|fcron|dcron' /proc/[0-9]*/comm; }

schedule() {
    section "The schedule: config.yaml becomes lines of your crontab"
    if ! command -v crontab >/dev/null; then
        echo "There is no cron on this machine, so nothing was scheduled. Backups can still be run by hand."
        echo "Once the package \"cron\" is installed, \"$python main.py\" schedules them."
        return
    fi
    show_and_run "$python" main.py sync
    if ! is_cron_running; then
        echo "No cron daemon is running, so these lines wait until one is: start it with \"service cron start\"."
    fi
}

run_backups() {
    section "The backups, once, now"
    show_and_run "$python" backup.py --all
}

# The newest archive of each backup: <folder>/<project>/<backup>/<project>-<backup>-<time>.zip
newest_archives() {
    find backups -type f -name '*.zip' 2>/dev/null | sort | awk '
        { folder = $0; sub("/[^/]*$", "", folder); newest[folder] = $0 }
        END { for (folder in newest) print newest[folder] }' | sort
}

show_backups() {
    section "What lies in backups/"
    local archive
    while read -r archive; do
        echo "$(dirname "$archive")/"
        find "$(dirname "$archive")" -maxdepth 1 -type f \( -name "$(basename "$archive" .zip).*" -o -name '*.txt' \) \
            -printf '%s %f\n' | sort -k 2 | while read -r size name; do
            printf '%10s bytes  %s\n' "$size" "$name"
        done
    done < <(newest_archives)
}

show_ways_back() {
    section "How to get it back"
    local archive folder
    archive=$(newest_archives | tail -n 1)
    folder=$(dirname "$archive")
    cat <<TEXT
With Holdfast, with modes, times, links and owners:
  $python restore.py list
  $python restore.py restore $(basename "$(dirname "$folder")")/$(basename "$folder") --to restored
Without it, on any machine:
  unzip $archive -d unzipped
TEXT
}

show_ways_on() {
    section "What next"
    cat <<TEXT
How every backup stands:   $python backup.py
Your own backups:          edit config.yaml, then $python main.py plan, and $python main.py
To undo all of this:       $python main.py remove, and delete the folders backups/ and state/
TEXT
}

echo "${bold}Holdfast${plain}"
section "Set-up"
tools/setup.sh run
echo "Ready: .venv with $("$python" --version)."
status=0
schedule || status=$?
run_backups || status=$?
if [ -n "$(newest_archives)" ]; then
    show_backups
    show_ways_back
fi
show_ways_on
exit "$status"
