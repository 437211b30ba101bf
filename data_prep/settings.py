"""What decides the bytes of a built data set, and nothing else (no number of processes)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from data_prep.bank_request import BankRequest
from data_prep.prompts import Prompts, stable_integer
from rewards import QUESTION_BANKS

FORMAT_VERSION = 3  # raised when the same settings give other bytes

BankPolicy = Literal["by_reasoning", "drawn"]
ImageStorage = Literal["embed", "path"]
Check = Literal["full", "header"]


@dataclass(frozen=True)
class BuildSettings:
    """Settings of a build; together with the sources' items they decide every byte.

    Attributes:
        split: Name of the only split.
        seed: Decides questions, drawn banks, the order of rows and every sample.
        prompts: System prompt and question banks.
        bank_policy: "by_reasoning": hard for a row that has reasoning, simple otherwise. "drawn":
            hard with probability ``hard_share``, by id and seed.
        hard_share: See ``bank_policy``.
        image_storage: "embed" the encoded image, or write the absolute "path" of its file.
        check: "full": every pixel is decoded; "header": no pixel is (an audit decodes them later).
        unbiased: GenImage as in ``data_prep.unbiased``.
        n_genimage: Size of the balanced sample of GenImage; None: all of it.
        rows_per_shard: Planned rows of a shard; rows that are dropped leave it smaller. None: see
            ``data_prep.shards.default_rows_per_shard``.
    """

    split: str
    seed: int
    prompts: Prompts
    bank_policy: BankPolicy = "by_reasoning"
    hard_share: float = 0.5
    image_storage: ImageStorage = "embed"
    check: Check = "full"
    unbiased: bool = False
    n_genimage: int | None = None
    rows_per_shard: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON holds them."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}


def bank_of(settings: BuildSettings, row_id: str, reasoning: str) -> str:
    """Return the question bank of a row; it depends on id, reasoning and seed alone."""
    simple, hard = QUESTION_BANKS
    if settings.bank_policy == "by_reasoning":
        return hard if reasoning else simple
    drawn = stable_integer(f"{settings.seed}/rl/{row_id}") / 2**64
    return hard if drawn < settings.hard_share else simple


@dataclass(frozen=True)
class Source:
    """One published data set on the disk.

    Attributes:
        name: Of its reader, in ``data_prep.sources.READERS``.
        root: Folder (or file) as the user gave it.
        split: "train" or "test", as the reader takes it.
        options: What else its reader takes, by name.
    """

    name: str
    root: Path
    split: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildRequest:
    """A build and everything about it that does not decide its rows.

    Attributes:
        output_dir: Folder to make.
        sources: Published data sets, each once.
        settings: What decides the rows.
        title: Heading of the card.
        description: Markdown for the card.
        command: The command that makes the set again.
        num_proc: Processes.
        overwrite: Replace a folder that is there, and an unfinished build of another plan.
        audit: Look for leaks, biases and lacking balance at the end.
        against: Data set folders that the audit looks for leaks in.
        drop_leaks: Leave out rows that leak.
        questions: What a language model was asked for, if one was.
        bank_file: The prompts file that came of it.
    """

    output_dir: Path
    sources: Sequence[Source]
    settings: BuildSettings
    title: str
    description: str
    command: str
    num_proc: int = 1
    overwrite: bool = False
    audit: bool = True
    against: Sequence[Path] = ()
    drop_leaks: bool = False
    questions: BankRequest | None = None
    bank_file: Path | None = None
