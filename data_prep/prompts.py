"""The system prompt and the question banks: one place for training, filter and evaluation.

Source: Fake-HR1, Figures 2 (simple questions), 3 (hard questions) and 4 (system prompt), kept in
``prompts.yaml``; the neutral bank is ours. A user's own file of the same form takes their place.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rewards import ALL_BANKS, NEUTRAL_BANK, QUESTION_BANKS
from rewards.errors import UserError

DEFAULT_PROMPTS_FILE = Path(__file__).with_name("prompts.yaml")


@dataclass(frozen=True)
class Prompts:
    """A system prompt and banks of seed questions.

    Attributes:
        system: System prompt of every conversation (Fig. 4).
        simple: Questions that want a direct answer (Fig. 2).
        hard: Questions that want reasoning (Fig. 3).
        neutral: Questions that ask for neither (ours); may be empty.
    """

    system: str
    simple: tuple[str, ...]
    hard: tuple[str, ...]
    neutral: tuple[str, ...] = ()

    def question(self, bank: str, row_id: str, seed: int) -> str:
        """Draw a question from ``bank`` that depends on the row's id and the seed alone.

        Neither the order of rows, nor shards, nor the number of processes changes the draw (Sec.
        2.1: "we randomly sample from the simple seed bank").

        Raises:
            UserError: ``bank`` is not one of ``ALL_BANKS``, or has no questions.
        """
        if bank not in ALL_BANKS:
            raise UserError(f"unknown question bank {bank!r}: expected one of {ALL_BANKS}.")
        questions: tuple[str, ...] = getattr(self, bank)
        if not questions:
            raise UserError(f"the prompts file has no {bank!r} bank; add one to it.")
        return questions[stable_integer(f"{seed}/{bank}/{row_id}") % len(questions)]

    def messages(self, question: str) -> list[dict[str, str]]:
        """Return the conversation that asks ``question``: a ``prompt`` in TRL's terms.

        The image block is not in it: TRL puts it before the text of the first user turn, and
        ``recipes.generation`` does the same for vLLM.
        """
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": question},
        ]


def stable_integer(key: str) -> int:
    """Return 64 bits that depend on ``key`` alone, on every machine and in every process."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def load_prompts(path: str | Path | None = None) -> Prompts:
    """Read a prompts file; without ``path``, the paper's.

    Raises:
        UserError: The file is missing, is not YAML, or lacks a key, or a bank is empty or has a
            question twice.
    """
    import yaml  # the processes of a build hold a finished Prompts and need no parser

    path = Path(path) if path is not None else DEFAULT_PROMPTS_FILE
    if not path.is_file():
        raise UserError(f"prompts file {path} does not exist; copy {DEFAULT_PROMPTS_FILE.name}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}".replace("\n", " ")) from error
    expected = {"system", *QUESTION_BANKS}
    found = set(content) if isinstance(content, dict) else set()
    if found - {NEUTRAL_BANK} != expected:
        raise UserError(
            f"{path} has keys {sorted(found)}; expected {sorted(expected)} and, if wanted, "
            f"{NEUTRAL_BANK!r}."
        )
    banks = [bank for bank in ALL_BANKS if bank in content]
    for bank in banks:
        questions = content[bank]
        if not questions or not all(isinstance(q, str) and q.strip() for q in questions):
            raise UserError(f"{path}: bank {bank!r} must be a list of at least one question.")
        if len(set(questions)) < len(questions):
            raise UserError(f"{path}: bank {bank!r} has a question twice; remove it.")
    return Prompts(content["system"], **{bank: tuple(content[bank]) for bank in banks})
