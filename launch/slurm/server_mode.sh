# Sourced by train.sbatch: a vLLM server on the job's last node, up before the trainers start.
# shellcheck shell=bash
last_node() { scontrol show hostnames "$SLURM_JOB_NODELIST" | tail -n 1; }

is_healthy() { # $1: address
    .venv/bin/python - "$1/health" <<'PYTHON' 2>/dev/null
import sys, urllib.request
no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
no_proxy.open(sys.argv[1], timeout=5)
PYTHON
}

start_server() { # sets `server`, the step's process, and `server_options`, which the trainers get
    local host port waited=0
    host=$(last_node)
    port=$((20000 + SLURM_JOB_ID % 10000)) # the node is this job's alone
    say "vLLM server on $host:$port, $VLLM_TP GPUs"
    srun --export=ALL --nodes=1 --ntasks=1 --relative="$TRAIN_NODES" launch/slurm/server.sh \
        --config "$GRPO_CONFIG" --model_name_or_path "$GRPO_MODEL" --port "$port" --tensor_parallel "$VLLM_TP" &
    server=$!
    until is_healthy "http://$host:$port"; do
        if ! kill -0 "$server" 2>/dev/null || ((waited >= 1800)); then
            say "error: the vLLM server on $host did not start; its last lines stand above." >&2
            exit 1
        fi
        sleep 2
        ((waited += 2))
    done
    # shellcheck disable=SC2034 # read by train.sbatch
    server_options=(--vllm_mode server --vllm_server_host "$host" --vllm_server_port "$port"
        --vllm_group_port "$(free_port)")
}
