#!/usr/bin/env bash
# On the last node of a GRPO job in server mode: vLLM, for all trainers.
set -euo pipefail
source launch/slurm/common.sh
trap '' USR1 # the trainers' business; the server ends with the job
prepare_node
# shellcheck disable=SC2086
exec ${SITE_WRAPPER:-} .venv/bin/python -m launch.vllm_server "$@"
