#!/bin/sh
# Makes a virtual environment that holds the pinned packages; does nothing where it is as asked for already.
#
#   scripts/environment.sh DIR CONSTRAINTS REQUIREMENT...
#
# PYTHON=PATH       the interpreter to make it with; otherwise python3.11, else python3
# TORCH_INDEX=URL   the wheel index for torch, and for torch only
set -eu

tested=3.11
environment=$1
constraints=$2
shift 2

fail() {
    printf 'set-up: %s\n' "$1" >&2
    exit 2
}

fail_at_pip() {
    fail "the packages could not be installed; see pip's message above, then run the same command again"
}

# The stamp holds what the packages were chosen by, so that later calls take milliseconds.
asked_for() {
    printf '%s\n' "$@"
    cat "$constraints" pyproject.toml
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" || fail "found no $PYTHON, which PYTHON names; expected Python $tested or later"
        return
    fi
    command -v "python$tested" || command -v python3 || fail "found no python3 on the PATH, expected Python $tested or later.
Install it (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python@$tested), or name one: PYTHON=/path/to/python3"
}

check_python() {
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
        fail "$1 does not run; expected Python $tested or later, or name another: PYTHON=/path/to/python3"
    case $version in
    2.* | 3.? | 3.10)
        fail "found Python $version ($1), expected $tested or later.
Install a later one, or name it: PYTHON=/path/to/python$tested"
        ;;
    "$tested") ;;
    *) printf 'set-up: Python %s is untested, %s is what we test with; going on\n' "$version" "$tested" >&2 ;;
    esac
    "$1" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$1 (Python $version) cannot make virtual environments: it has no venv or no ensurepip.
Install them (Debian and Ubuntu: apt install python3-venv), or name another interpreter: PYTHON=/path/to/python3"
}

pip_install() {
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$@"
}

pin_of() {
    grep "^$1==" "$constraints" || true
}

# Build backends come before what they build: left to itself, pip fetches unpinned ones for each build. A pip too old for
# what a requirement asks for (Debian 12 has 23.0) is replaced with them.
install_backends() {
    backends=$(for name in pip cmake ninja scikit-build-core setuptools; do pin_of "$name"; done)
    # shellcheck disable=SC2086  # one pin a word
    [ -z "$backends" ] || pip_install --constraint "$constraints" $backends || fail_at_pip
}

# Torch comes alone and before what needs it, so that no resolver chooses another one; its own needs follow with the rest.
install_torch() {
    torch=$(pin_of torch)
    [ -n "$torch" ] || return 0
    printf 'set-up: installing %s; this is the largest part\n' "$torch" >&2
    pip_install --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$torch" ||
        fail "$torch could not be installed from ${TORCH_INDEX:-the index that pip is set to}; see pip's message above.
TORCH_INDEX=URL chooses another wheel index for torch"
}

install_rest() {
    printf 'set-up: installing %s\n' "$*" >&2
    pip_install --no-build-isolation --constraint "$constraints" "$@" || fail_at_pip
}

works() {
    [ -x "$environment/bin/python" ] && "$environment/bin/python" -c '' 2>/dev/null
}

if works && asked_for "$@" | cmp -s - "$environment/asked_for"; then
    exit 0
fi
if ! works; then
    python=$(find_python)
    check_python "$python"
    rm -rf "$environment"
    printf 'set-up: making %s with %s\n' "$environment" "$python" >&2
    "$python" -m venv "$environment" || {
        rm -rf "$environment"
        fail "$python -m venv $environment failed; see its message above"
    }
fi
install_backends
install_torch
install_rest "$@"
asked_for "$@" >"$environment/asked_for"
