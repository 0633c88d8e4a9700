#!/bin/sh
# Builds dist/waman-*.whl. On Linux for x86-64 with a C++ compiler it carries the kernels of every level of instructions,
# and is tagged for the oldest C library that they run with; elsewhere it is for any platform, and the user's
# `waman build-kernels` compiles them.
#
#   scripts/wheel.sh PYTHON
set -eu

python=$1
built=waman/quantization/native/built

# setuptools copies into build/ and never removes from it: a deleted file would come back in the next wheel.
rm -rf build "$built"

platform=
if [ "$(uname -sm)" = "Linux x86_64" ] && command -v g++ >/dev/null; then
    "$python" -m waman build-kernels --every-level --out "$built"
    glibc=$(cat "$built"/*.so | tr -c '[:alnum:]_.' '\n' | grep -x 'GLIBC_[0-9.]*' | cut -d_ -f2 | sort -Vu | tail -n 1)
    platform=manylinux_$(echo "$glibc" | tr . _)_x86_64
else
    printf 'wheel: no g++ on Linux for x86-64, so the wheel carries no compiled kernels\n' >&2
fi
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist \
    ${platform:+--config-settings=--build-option=--plat-name="$platform"} .
