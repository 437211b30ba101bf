#!/usr/bin/env bash
# On each node of a training job: torchrun (through accelerate) with a process for each GPU.
set -euo pipefail
source launch/slurm/common.sh
# srun passes the signal to every process of the step. The launcher has no use for it and would die; the
# trainers set handlers of their own.
trap '' USR1
prepare_node
stage_data
# Words of the wrapper are to be split: "apptainer exec --nv image.sif".
# shellcheck disable=SC2086
exec ${SITE_WRAPPER:-} .venv/bin/accelerate launch --config_file "$ACCELERATE_FILE" \
    --num_machines "$TRAIN_NODES" --num_processes "$FAKE_HR1_WORLD_SIZE" --machine_rank "$SLURM_NODEID" \
    --main_process_ip "$MASTER_ADDR" --main_process_port "$MASTER_PORT" --rdzv_backend static "$@"
