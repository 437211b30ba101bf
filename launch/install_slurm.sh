#!/usr/bin/env bash
# Debian's Slurm, munge and iproute2, for `make test-slurm`, where they are missing.
set -euo pipefail
missing=()
for program in slurmctld slurmd munged sbatch ip; do command -v "$program" >/dev/null || missing+=("$program"); done
((${#missing[@]})) || exit 0
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "error: ${missing[*]} missing; as root on Debian: apt-get install slurmctld slurmd slurm-client munge iproute2" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    slurmctld slurmd slurm-client munge iproute2 >/dev/null
