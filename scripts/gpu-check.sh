#!/bin/sh
# Installs this folder beside the Python that has torch, without a network, and runs `eas-bench gpu-check`.
# Usage: ./gpu-check.sh [its options, e.g. --only G1]; PYTHON=... names the interpreter.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
python=${PYTHON:-python3}
venv="$here/.venv"

if [ ! -e "$venv/.done" ]; then
    rm -rf "$venv"
    if "$python" -m venv "$venv" >"$here/.venv.log" 2>&1; then
        installer() { "$venv/bin/pip" "$@"; }
    else # Debian's Python has no ensurepip unless somebody installed it; its own pip will do
        rm -rf "$venv"
        "$python" -m venv --without-pip "$venv"
        installer() { "$python" -m pip --python "$venv/bin/python" "$@"; }
    fi
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # Whatever that Python has and this folder hasn't: torch, NVML's package, what they need.
    "$python" -c 'import site, sys, sysconfig
known = {*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path("purelib")}
print("\n".join(known | {path for path in sys.path if path.endswith("-packages")}))' \
        >"$site/beside.pth"
    pip() { installer --quiet --disable-pip-version-check install --no-index --no-deps "$@"; }
    pip --no-compile wheels/*.whl
    EAS_ENGINE_COMPILE=0 pip --no-build-isolation --editable source
    if command -v "${CC:-cc}" >/dev/null 2>&1; then
        echo "compiling the engine; half a minute"
        pip --no-build-isolation --target compiled ./source || echo "it isn't compiled: figures will be lower"
    else
        echo "there is no C compiler: the engine isn't compiled, and its figures will be lower"
    fi
    touch "$venv/.done"
fi

PYTHONPATH="$here/source/benchmarks:$here/compiled${PYTHONPATH:+:$PYTHONPATH}" exec "$venv/bin/eas-bench" gpu-check \
    --json "$here/results/gpu-check.json" "$@"
