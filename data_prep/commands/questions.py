"""``questions``: have a language model write new questions for a bank."""

import argparse
import shlex
from dataclasses import MISSING, fields

from data_prep.commands.options import Commands, add_flag
from data_prep.question_writer import QuestionRequest, write_questions
from rewards.labels import ALL_BANKS


def add_command(commands: Commands) -> None:
    """Add the command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "questions", help="new questions for a bank, written by a language model"
    )
    add = parser.add_argument
    add("--bank", required=True, choices=ALL_BANKS, help="which bank gets the new questions")
    add(
        "--questions_from",
        required=True,
        metavar="MODEL_OR_ENDPOINT",
        help="a model's folder or hub id, run by vLLM here, or the base URL of an "
        "OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1 (key from OPENAI_API_KEY)",
    )
    add("--num", required=True, type=int, help="new questions wanted")
    add("--output_file", required=True, help="prompts file to write; must not exist")
    add("--questions_model", help="model of the endpoint (default: its only one)")
    add("--prompts_file", help="banks to extend (default: the paper's)")
    add_flag(parser, "only_new", "leave the bank's present questions out")
    add("--seed", type=int, help="decides the sampling (default: 0)")
    add("--temperature", type=float, help="of the sampling (default: 1.0)")
    add("--questions_per_round", type=int, help="asked for at a time (default: 20)")
    add("--max_rounds", type=int, help="until the run gives up (default: by --num)")
    add("--max_completion_length", type=int, help="length of an answer (default: 1024)")
    add("--max_model_len", type=int, help="vLLM: prompt and answer (default: the model's own)")
    add("--timeout_s", type=float, help="endpoint: seconds for an answer (default: 120)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write the questions, and say what is there."""
    names = [field.name for field in fields(QuestionRequest)]
    chosen = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    request = QuestionRequest(**chosen)
    limit = f"in at most {request.round_limit} rounds of {request.questions_per_round}"
    print(
        f"Asking {request.questions_from} for {request.num} {request.bank} questions, {limit} …",
        flush=True,
    )
    write_questions(request, args.output_file, command=command_of(request, args.output_file))
    print(f"{args.output_file}: {request.num} new {request.bank} questions", flush=True)
    print(f"  not taken, with the reasons: {args.output_file}.rejected.jsonl", flush=True)
    print(f"  use them with: --prompts_file {args.output_file}", flush=True)


def command_of(request: QuestionRequest, output_file: str) -> str:
    """Return the command that asks for the same again."""
    words = ["python", "-m", "data_prep", "questions"]
    for field in fields(request):
        value = getattr(request, field.name)
        if field.default is MISSING or value != field.default:
            words += [f"--{field.name}"] if value is True else [f"--{field.name}", str(value)]
    return shlex.join([*words, "--output_file", output_file])
