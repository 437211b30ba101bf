"""``--questions_from`` of a build: a language model extends the banks, then the rows are built.

The bank file is written before the plan, in ``.NAME.questions`` beside the output folder, where a
killed build finds it again; a finished set has it as ``prompts.yaml``, and ``build.json`` says who
wrote it. The same command asks no model twice.
"""

import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from data_prep.bank_request import BANK_FILE, BankRequest
from data_prep.question_writer import QuestionRequest, write_questions
from data_prep.shard_process import end_with_parent
from rewards.errors import UserError
from rewards.files import write_json

REQUEST_FILE = "request.json"


def questions_folder(output_dir: Path) -> Path:
    """Return where the bank file of a build is kept until the build is finished."""
    return output_dir.with_name(f".{output_dir.name}.questions")


def bank_file_for(output_dir: Path, request: BankRequest, *, overwrite: bool) -> Path:
    """Return the bank file that ``request`` asks for; have it written unless it is there.

    Raises:
        UserError: See ``write_questions``; or the folder beside ``output_dir`` holds the questions
            of another request, or cannot be written.
    """
    record = request.record()
    finished = output_dir / "build.json"
    built = json.loads(finished.read_text(encoding="utf-8")) if finished.is_file() else {}
    if built.get("questions") == record and (output_dir / BANK_FILE).is_file():
        return output_dir / BANK_FILE
    folder = questions_folder(output_dir)
    try:
        _check_earlier(folder, record, overwrite=overwrite)
        write_json(folder / REQUEST_FILE, record)
    except OSError as error:
        raise UserError(
            f"writing to {folder} failed: {error.strerror or error}. Free some space, mend the "
            "folder, or give another --output_dir."
        ) from error
    path = folder / BANK_FILE
    if not path.is_file():
        _write(path, request)
    return path


def _check_earlier(folder: Path, record: dict[str, Any], *, overwrite: bool) -> None:
    path = folder / REQUEST_FILE
    if not path.is_file():
        return
    earlier = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name, value in record.items() if earlier.get(name) != value]
    if not changed:
        return
    if not overwrite:
        raise UserError(
            f"{folder} holds the questions of an unfinished build with another "
            f"{', '.join(changed)}. Give that command to go on with it, or --overwrite to throw "
            "them away."
        )
    shutil.rmtree(folder)


def _write(path: Path, request: BankRequest) -> None:
    """Extend one bank after the other; the file of the last is the whole."""
    before = request.prompts_file
    for number, bank in enumerate(request.question_banks, start=1):
        is_last = number == len(request.question_banks)
        target = path if is_last else path.with_name(f"{bank}.yaml")
        if not target.is_file():
            asked = QuestionRequest(
                bank=bank,
                questions_from=request.questions_from,
                num=request.num_questions,
                questions_model=request.questions_model,
                prompts_file=before,
                seed=request.seed,
            )
            print(f"asking {asked.questions_from} for {asked.num} {bank} questions", flush=True)
            _write_apart(asked, target)
        before = str(target)


def _write_apart(asked: QuestionRequest, target: Path) -> None:
    """Write a bank in a process of its own, which gives a model's memory back."""
    context = multiprocessing.get_context("spawn")
    command = f"--questions_from of a build, {asked.bank} bank"
    try:
        with ProcessPoolExecutor(1, context, initializer=end_with_parent) as pool:
            pool.submit(write_questions, asked, target, command=command).result()
    except BrokenProcessPool as error:
        raise UserError(
            f"the process that ran {asked.questions_from} was killed, perhaps for want of memory. "
            "Take a smaller model, or an endpoint; the same command goes on where it was."
        ) from error
