"""New questions for a bank, written by a language model (planned in Sec. 5 of the paper).

In rounds the model is asked for questions; what passes ``question_rules`` is kept until there are
enough. After every round the state is saved beside the output: a killed run, or one that found too
few, goes on with the same command. The output is a prompts file as ``load_prompts`` reads it.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from data_prep.prompts import Prompts, load_prompts, stable_integer
from data_prep.question_rules import (
    KnownQuestions,
    Rejected,
    examine,
    instruction,
    split_answer,
)
from data_prep.writer_model import WriterModel, open_writer_model
from rewards.errors import UserError
from rewards.files import write_json, write_text
from rewards.labels import ALL_BANKS, check_question_bank

# New questions shown to the model as ones not to repeat: enough to steer, short enough to fit.
MAX_SHOWN = 20


@dataclass(frozen=True)
class QuestionRequest:
    """What is asked for.

    Attributes:
        bank: One of ``ALL_BANKS``.
        questions_from: Folder or hub id of a model, or the base URL of an endpoint.
        num: New questions wanted.
        questions_model: Which model of the endpoint; None: its only one.
        prompts_file: Banks to extend; None: the paper's.
        only_new: The bank holds the new questions alone, not the ones before them.
        seed: Decides each round's sampling and what the model is shown.
        temperature: Of the sampling.
        questions_per_round: Questions asked for at a time.
        max_rounds: None: 4, and 4 more for each ``questions_per_round`` wanted.
        max_completion_length: An answer's length at most, in tokens.
        max_model_len: Prompt and answer in tokens, for vLLM; None: the model's own.
        timeout_s: Seconds an endpoint may take for an answer.
    """

    bank: str
    questions_from: str
    num: int
    questions_model: str | None = None
    prompts_file: str | None = None
    only_new: bool = False
    seed: int = 0
    temperature: float = 1.0
    questions_per_round: int = 20
    max_rounds: int | None = None
    max_completion_length: int = 1024
    max_model_len: int | None = None
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        check_question_bank(self.bank)
        for name in ("num", "questions_per_round", "max_completion_length"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1.")

    @property
    def round_limit(self) -> int:
        """Rounds after which the run gives up."""
        if self.max_rounds is not None:
            return self.max_rounds
        return 4 + 4 * -(-self.num // self.questions_per_round)


@dataclass
class _State:
    """What is saved after every round."""

    made_by: dict[str, Any]
    n_rounds: int = 0
    kept: list[str] = field(default_factory=list)
    rejected: list[dict[str, str]] = field(default_factory=list)


def write_questions(request: QuestionRequest, output_file: str | Path, *, command: str) -> Prompts:
    """Have ``request.num`` new questions written and save them as a prompts file.

    Beside ``output_file``, ``<name>.rejected.jsonl`` lists what was not taken and why, and while
    the run is not complete ``<name>.partial.json`` holds its state.

    Args:
        request: What is asked for.
        output_file: Prompts file to write, whole or not at all; must not exist.
        command: The command that makes this file again, for its header.

    Returns:
        The content of ``output_file``.

    Raises:
        UserError: ``output_file`` exists, the state of another run is beside it, the model cannot
            be reached, or the rounds ended with too few questions; what was kept is saved then.
    """
    output_file = Path(output_file)
    if output_file.exists():
        raise UserError(f"{output_file} exists; remove it or name another --output_file.")
    prompts = load_prompts(request.prompts_file)
    state = _load_state(output_file, request, prompts)
    if len(state.kept) < request.num and state.n_rounds < request.round_limit:
        model = open_writer_model(
            request.questions_from,
            endpoint_model=request.questions_model,
            temperature=request.temperature,
            max_completion_length=request.max_completion_length,
            timeout_s=request.timeout_s,
            max_model_len=request.max_model_len,
        )
        _run_rounds(model, request, prompts, state, output_file)
    if len(state.kept) < request.num:
        raise _too_few(request, state, output_file)
    new = _extended(prompts, request, state.kept[: request.num])
    _save_rejected(state, output_file)
    write_text(output_file, render(new, _header(request, state, command)))
    _partial(output_file).unlink(missing_ok=True)
    return new


def _run_rounds(
    model: WriterModel,
    request: QuestionRequest,
    prompts: Prompts,
    state: _State,
    output_file: Path,
) -> None:
    """Ask until there are enough questions or no rounds left; save after every round."""
    known = KnownQuestions(
        [*(q for bank in ALL_BANKS for q in getattr(prompts, bank)), *state.kept]
    )
    progress = tqdm(total=request.num, initial=len(state.kept), unit="question", desc=request.bank)
    with progress:
        while len(state.kept) < request.num and state.n_rounds < request.round_limit:
            seed = stable_integer(f"{request.seed}/{request.bank}/round-{state.n_rounds}")
            answer = model(_conversation(request, prompts, state.kept, seed), seed % 2**31)
            kept, rejected = examine(request.bank, split_answer(answer), known)
            state.n_rounds += 1
            state.kept += kept
            state.rejected += [{"round": str(state.n_rounds), **asdict(line)} for line in rejected]
            if not kept and not rejected:
                empty = Rejected("", "an empty answer")
                state.rejected.append({"round": str(state.n_rounds), **asdict(empty)})
            write_json(_partial(output_file), asdict(state))
            progress.update(len(kept))
            progress.set_postfix(round=state.n_rounds, rejected=len(state.rejected))


def _conversation(
    request: QuestionRequest, prompts: Prompts, kept: list[str], seed: int
) -> list[dict[str, str]]:
    """Return a round's request; which kept questions it shows is drawn with the round's seed."""
    examples = getattr(prompts, request.bank)
    if not examples:
        raise UserError(f"the prompts file has no {request.bank!r} bank to take examples from.")
    shown = sorted(kept, key=lambda question: stable_integer(f"{seed}/{question}"))[:MAX_SHOWN]
    return instruction(request.bank, request.questions_per_round, examples, shown)


def _extended(prompts: Prompts, request: QuestionRequest, new: list[str]) -> Prompts:
    banks = {bank: getattr(prompts, bank) for bank in ALL_BANKS}
    banks[request.bank] = (*(() if request.only_new else banks[request.bank]), *new)
    return Prompts(prompts.system, **banks)


def render(prompts: Prompts, header: list[str]) -> str:
    """Return the text of a prompts file with ``header`` as comments at its top."""
    content: dict[str, Any] = {"system": prompts.system}
    content |= {bank: list(getattr(prompts, bank)) for bank in ALL_BANKS if getattr(prompts, bank)}
    body = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return "".join(f"# {line}\n" for line in header) + "\n" + body


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as one reads it."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _header(request: QuestionRequest, state: _State, command: str) -> list[str]:
    reasons = Counter(line["reason"] for line in state.rejected)
    counts = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common()) or "none"
    model = request.questions_from + (
        f" ({request.questions_model})" if request.questions_model else ""
    )
    how = "replaced by" if request.only_new else "extended by"
    lines = [
        f"Bank {request.bank!r} {how} {request.num} questions that a language model wrote.",
        f"model: {model}",
        f"command: {command}",
        f"rounds: {state.n_rounds}; kept: {request.num}; "
        f"rejected: {len(state.rejected)} ({counts})",
    ]
    return [" ".join(line.split()) for line in lines]


def _made_by(request: QuestionRequest, prompts: Prompts) -> dict[str, Any]:
    """Return what must not change from one part of a run to the next."""
    names = ("bank", "questions_from", "questions_model", "seed", "temperature")
    settings = {name: getattr(request, name) for name in (*names, "questions_per_round")}
    return settings | {"prompts": f"{stable_integer(repr(prompts)):016x}"}


def _load_state(output_file: Path, request: QuestionRequest, prompts: Prompts) -> _State:
    """Return what an earlier part of the same run saved, or a fresh state."""
    path = _partial(output_file)
    made_by = _made_by(request, prompts)
    if not path.exists():
        return _State(made_by)
    try:
        state = _State(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); remove it to start anew.") from error
    changed = [name for name, value in made_by.items() if state.made_by.get(name) != value]
    if changed:
        raise UserError(
            f"{path} is of a run with another {', '.join(changed)}; go on with the same, or remove "
            "it to start anew."
        )
    return state


def _too_few(request: QuestionRequest, state: _State, output_file: Path) -> UserError:
    _save_rejected(state, output_file)
    reasons = Counter(line["reason"] for line in state.rejected).most_common(3)
    mostly = ", ".join(f"{reason} {n}" for reason, n in reasons) or "nothing was rejected"
    return UserError(
        f"after {state.n_rounds} rounds only {len(state.kept)} of {request.num} questions were "
        f"kept ({mostly}; all of them in {_rejected(output_file)}). Those are saved in "
        f"{_partial(output_file)}: the same command with a larger --max_rounds goes on, or choose "
        "another model."
    )


def _save_rejected(state: _State, output_file: Path) -> None:
    lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in state.rejected)
    write_text(_rejected(output_file), "".join(lines))


def _partial(output_file: Path) -> Path:
    return output_file.with_name(f"{output_file.name}.partial.json")


def _rejected(output_file: Path) -> Path:
    return output_file.with_name(f"{output_file.name}.rejected.jsonl")
