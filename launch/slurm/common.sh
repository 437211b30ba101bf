# Sourced by the job scripts. Site settings come from launch/site.env, nothing of a site stands here.
# shellcheck shell=bash
if [[ -f launch/site.env ]]; then
    set -a
    # shellcheck source=/dev/null
    source launch/site.env
    set +a
fi
# An empty setting is none: HF_HOME= would mean the folder "".
for name in HF_HOME HF_HUB_OFFLINE WANDB_MODE HTTPS_PROXY; do
    [[ -n ${!name:-} ]] || unset "$name"
done
[[ -z ${SLURM_CPUS_PER_TASK:-} ]] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

say() { echo "[$(date '+%F %T')] job ${SLURM_JOB_ID:-?}, start ${SLURM_RESTART_COUNT:-0}: $*"; }

first_node() {
    local node
    node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
    # No fallback: with "localhost" every node would train alone.
    [[ -n $node ]] || { say "error: no host in SLURM_JOB_NODELIST '$SLURM_JOB_NODELIST'" >&2; exit 1; }
    echo "$node"
}

free_port() { # on this node, which is the first of the job; asked for again at every start
    .venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}

prepare_node() {
    [[ -z ${SITE_SETUP:-} ]] || eval "$SITE_SETUP"
    local scratch=${SITE_SCRATCH:-/tmp}/fake-hr1-$SLURM_JOB_ID
    mkdir -p "$scratch"
    # Compiled kernels, one folder a job and node: many ranks in one shared folder would lock each other out.
    export TRITON_CACHE_DIR=$scratch/triton TORCHINDUCTOR_CACHE_DIR=$scratch/inductor \
        VLLM_CACHE_ROOT=$scratch/vllm
}

stage_data() { # DATA_SET goes to the node's own disk, where the site wants that
    [[ ${SITE_STAGE_DATA:-} == 1 ]] || return 0
    local root=${SITE_SCRATCH:-/tmp}/fake-hr1-data
    export FAKE_HR1_STAGE_DATA=$root HF_DATASETS_CACHE=$root/unpacked
    # Before the processes start: they would wait for each other with the clock of their group running.
    # shellcheck disable=SC2086
    [[ -z ${DATA_SET:-} ]] || ${SITE_WRAPPER:-} .venv/bin/python -m data_prep.staging "$DATA_SET"
}

requeue() { # back into the queue, but not for ever
    local limit=${MAX_REQUEUES:-20}
    if ((${SLURM_RESTART_COUNT:-0} < limit)); then
        say "cut off; what is saved is kept; back into the queue"
        # The last task of an array has the array's own number, which stands for all of its tasks.
        local job=$SLURM_JOB_ID
        [[ -z ${SLURM_ARRAY_JOB_ID:-} ]] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
        scontrol requeue "$job"
        sleep 60 # Slurm ends this script
    fi
    say "error: interrupted $limit times, which is SITE_MAX_REQUEUES; submit again to go on" >&2
    exit 75
}

fail() { # $1: exit status
    say "error: the command ended with status $1 and without its result; its last lines stand above." >&2
    [[ $1 == 0 ]] || exit "$1"
    exit 1
}
