"""``--questions_from`` and what goes with it, as options of a build."""

import argparse

from data_prep.bank_request import N_QUESTIONS, BankRequest
from rewards.errors import UserError
from rewards.labels import QUESTION_BANKS

_NEED_A_MODEL = ("questions_model", "num_questions", "question_banks")


def add_question_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of a build."""
    parser.add_argument(
        "--questions_from",
        metavar="MODEL_OR_ENDPOINT",
        help="have a language model extend the question banks first: a model's folder or hub id, "
        "run by vLLM here, or the base URL of an OpenAI-compatible endpoint, such as "
        "http://127.0.0.1:8000/v1 (key from OPENAI_API_KEY); the folder gets the banks as "
        "prompts.yaml",
    )
    parser.add_argument("--questions_model", help="model of the endpoint (default: its only one)")
    parser.add_argument(
        "--num_questions", type=int, help=f"new questions of each bank (default: {N_QUESTIONS})"
    )
    parser.add_argument(
        "--question_banks",
        nargs="+",
        choices=QUESTION_BANKS,
        help="banks that are extended (default: both)",
    )


def bank_request(args: argparse.Namespace) -> BankRequest | None:
    """Return what the options ask of a language model; None if nothing.

    Raises:
        UserError: An option needs ``--questions_from``, or its value cannot serve.
    """
    if getattr(args, "questions_from", None) is None:
        given = [name for name in _NEED_A_MODEL if getattr(args, name, None) is not None]
        if given:
            raise UserError(f"--{given[0]} needs --questions_from MODEL_OR_ENDPOINT.")
        return None
    num = N_QUESTIONS if args.num_questions is None else args.num_questions
    if num < 1:
        raise UserError(f"--num_questions is {num}; expected at least 1.")
    banks = args.question_banks or QUESTION_BANKS
    return BankRequest(
        questions_from=args.questions_from,
        questions_model=args.questions_model,
        question_banks=[bank for bank in QUESTION_BANKS if bank in banks],
        num_questions=num,
        seed=args.seed,
        prompts_file=str(args.prompts_file) if args.prompts_file else None,
    )
