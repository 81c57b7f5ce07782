#!/usr/bin/env bash
# Sets up what a make target needs, and changes nothing where it is there already: no network, a fraction of a second.
#
#   tools/setup.sh run       .venv with what Holdfast needs, and cron
#   tools/setup.sh develop   the same .venv with the test runner and the linters too
#   tools/setup.sh test      as develop, and the programs that the tests use, such as unzip, 7z and PostgreSQL
#
# System packages are installed only as root on Debian and its relatives; elsewhere the missing ones are named.
set -euo pipefail
cd "$(dirname "$0")/.."

oldest_python="3.11"
newest_python="3.14" # the newest that every pinned package has a wheel for

# program:package
programs_to_run="crontab:cron"
programs_to_test="$programs_to_run zip:zip unzip:unzip 7z:p7zip-full bsdtar:libarchive-tools setfacl:acl setfattr:attr
    restic:restic zstd:zstd postgres:postgresql
    sshd:openssh-server ssh:openssh-client fish:fish csh:csh zsh:zsh mksh:mksh
    dockerd:docker.io docker:docker.io busybox:busybox-static
    mariadb-install-db:mariadb-server sqlite3:sqlite3 openssl:openssl redis-server:redis-server
    age:age chromium:chromium"

fail() {
    echo "set-up: $*" >&2
    exit 1
}

# Runs a command silently; where it fails, shows the end of what it said.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then tail -n 20 "$log" >&2; fi
    rm -f "$log"
    return "$status"
}

may_install_packages() { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; }

# Servers that only the tests start must not be started as services: not on the port of the machine's own, not at all.
# https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
forbid_services() {
    if [ -e "$policy" ]; then return; fi
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}
policy=/usr/sbin/policy-rc.d

# Package lists may be missing (a fresh container) or old (then a download answers 404): both are cured by an update.
install_packages() {
    echo "Installing system packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    if [ -n "${without_services:-}" ]; then forbid_services; fi
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 </dev/null && return
    quietly apt-get update -qq && quietly apt-get install -y -qq --no-install-recommends "$@"
}

has_program() {
    case "$1" in
        postgres) compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || command -v postgres >/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# Sets missing_programs and missing_packages for a list of program:package.
find_missing() {
    missing_programs=() missing_packages=()
    local pair
    for pair in $1; do
        has_program "${pair%%:*}" && continue
        missing_programs+=("${pair%%:*}")
        missing_packages+=("${pair##*:}")
    done
}

ensure_programs() {
    find_missing "$1"
    if [ "${#missing_packages[@]}" -eq 0 ]; then return; fi
    if may_install_packages; then
        install_packages "${missing_packages[@]}" || true
        find_missing "$1"
        if [ "${#missing_packages[@]}" -eq 0 ]; then return; fi
    fi
    echo "Missing programs: ${missing_programs[*]}. $2"
    if command -v apt-get >/dev/null; then
        echo "To install them: sudo apt-get install ${missing_packages[*]}"
    else
        echo "Install them with your system's package manager (on Debian the packages are: ${missing_packages[*]})."
    fi
}

is_usable_python() {
    command -v "$1" >/dev/null && "$1" - "$oldest_python" "$newest_python" 2>/dev/null <<'PYTHON'
import ensurepip, sys, venv

oldest, newest = (tuple(map(int, version.split("."))) for version in sys.argv[1:])
sys.exit(not oldest <= sys.version_info[:2] <= newest)
PYTHON
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if is_usable_python "$name"; then
            echo "$name"
            return
        fi
    done
    return 1
}

ensure_python() {
    python=$(find_python) && return
    if may_install_packages; then
        install_packages python3 python3-venv || true
        python=$(find_python) && return
        # Ubuntu 22.04 has 3.10 under the name python3, and 3.11 beside it.
        install_packages python3.11 python3.11-venv || true
        python=$(find_python) && return
    fi
    fail "Python $oldest_python to $newest_python with its venv module is needed and was not found." \
        "On Debian and Ubuntu: sudo apt-get install python3 python3-venv"
}

# What is installed is known by the copy of the requirements in .venv, so a changed file, and nothing else, means work.
ensure_python_packages() {
    local requirements arguments=() outdated=""
    if ! is_usable_python .venv/bin/python; then
        ensure_python
        echo "Making .venv with $("$python" --version)"
        quietly "$python" -m venv --clear .venv || fail "the virtual environment .venv could not be made."
    fi
    for requirements in "$@"; do
        arguments+=(--requirement "$requirements")
        cmp -s "$requirements" ".venv/installed-$requirements" || outdated="yes"
    done
    if [ -z "$outdated" ]; then return; fi
    echo "Installing Python packages ($*)"
    quietly .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --only-binary :all: "${arguments[@]}" ||
        fail "the Python packages could not be installed. The lines above say why; they come from the network" \
            "(or from the index that your pip is configured for) the first time, and never after that."
    for requirements in "$@"; do cp "$requirements" ".venv/installed-$requirements"; done
}

# Starts are slow without bytecode, and nobody writes it where PYTHONDONTWRITEBYTECODE is set or the folder belongs to
# another user. A syntax error is told better by whoever runs the file.
compile_bytecode() {
    .venv/bin/python -m compileall -q -- *.py $(dirname -- */__init__.py) >/dev/null || true
}

case "${1:-}" in
    run)
        ensure_python_packages requirements.txt
        ensure_programs "$programs_to_run" "Backups work without it; nothing is run on a schedule."
        ;;
    develop)
        ensure_python_packages requirements.txt requirements-dev.txt
        ;;
    test)
        ensure_python_packages requirements.txt requirements-dev.txt
        ensure_programs "$programs_to_run" "Backups work without it; nothing is run on a schedule."
        without_services=yes
        ensure_programs "$programs_to_test" "The tests that need them are skipped, and named at the end."
        ;;
    *)
        fail "say what for: tools/setup.sh run, develop or test."
        ;;
esac
compile_bytecode
