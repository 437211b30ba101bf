"""The vLLM server of a GRPO job in server mode: one on a node of its own (``VLLM_NODES=1``).

    python -m launch.vllm_server --config recipes/configs/fake_hr1_7b/grpo.yaml \
        --model_name_or_path runs/fake_hr1_7b/sft --port 20001 --tensor_parallel 4

It becomes vLLM's own server, with the options that TRL's trainer needs. NOT RUN ON A GPU: weights
go from the trainer to the server over NCCL, which nothing without GPUs can do.
"""

import argparse
import os
import shlex
import sys

from transformers import AutoConfig
from trl.scripts.vllm_serve import ScriptArguments, build_command

from recipes.config import read_yaml
from rewards.errors import UserError, run_cli


def check_split(model: str, tensor_parallel: int) -> None:
    """Refuse a number of GPUs that does not divide the attention heads.

    Raises:
        UserError: It does not; the message names those that do.
    """
    config = AutoConfig.from_pretrained(model)
    text = config.get_text_config()
    heads = [text.num_attention_heads, text.num_key_value_heads]
    if any(n % tensor_parallel for n in heads):
        fit = [n for n in range(1, min(heads) + 1) if not any(h % n for h in heads)]
        raise UserError(
            f"VLLM_TP={tensor_parallel} does not divide the {heads[0]} query heads and {heads[1]} "
            f"key heads of {model}; set VLLM_TP to one of {fit}."
        )


def server_command(config: str, model: str, port: int, tensor_parallel: int) -> list[str]:
    """Return the command line of the server that fits a GRPO configuration."""
    values = read_yaml(config)
    arguments = ScriptArguments(
        model=model,
        port=port,
        tensor_parallel_size=tensor_parallel,
        dtype=str(values.get("dtype", "auto")),
        max_model_len=values.get("vllm_max_model_length"),
        log_level="warning",
    )
    return build_command(arguments)


def main() -> None:
    """Become the server."""
    parser = argparse.ArgumentParser(prog="python -m launch.vllm_server", description=__doc__)
    parser.add_argument("--config", required=True, help="the GRPO configuration")
    parser.add_argument("--model_name_or_path", required=True, help="what the policy starts from")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tensor_parallel", type=int, required=True, help="GPUs of the server")
    args = parser.parse_args()
    check_split(args.model_name_or_path, args.tensor_parallel)
    command = server_command(args.config, args.model_name_or_path, args.port, args.tensor_parallel)
    sys.stderr.write(f"{shlex.join(command)}\n")
    # Behind vLLM's development mode: taking weights, emptying the prefix cache.
    os.execve(command[0], command, {**os.environ, "VLLM_SERVER_DEV_MODE": "1"})


if __name__ == "__main__":
    run_cli(main)
