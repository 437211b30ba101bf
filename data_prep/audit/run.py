"""One audit from beginning to end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.audit import balance as spread
from data_prep.audit import figures
from data_prep.audit.biases import BiasTable, measure_biases
from data_prep.audit.corpus import Corpus, load_corpus
from data_prep.audit.findings import (
    WARNING,
    Finding,
    balance_findings,
    bias_findings,
    sort_findings,
    unreadable_findings,
)
from data_prep.audit.groups import find_groups
from data_prep.audit.leak_findings import leak_findings
from data_prep.audit.leaks import (
    CONTRADICTING,
    EXACT,
    NEAR,
    REPEATED,
    Leak,
    find_leaks,
    find_repeats,
    summarise,
)
from data_prep.audit.limits import TokenLimits
from data_prep.audit.near import MAX_DISTANCE
from data_prep.audit.report import Report, write_report
from data_prep.audit.texts import Texts, read_texts
from rewards.errors import UserError
from rewards.files import write_text

LEAKS_FILE = "leaks.jsonl"
REASONS = {
    EXACT: "leak: the same pixels are in {other_part}",
    NEAR: "leak: a near duplicate is in {other_part}",
    REPEATED: "repeated: the same pixels are in an earlier row",
    CONTRADICTING: "contradicting: the same pixels have the other label, too",
}


@dataclass(frozen=True)
class AuditOptions:
    """What an audit may be told.

    Attributes:
        max_distance: Bits in which the perceptual hashes of near duplicates differ at most. On 940
            real crops of the embedded set, 4 bits find 98 % of the copies saved as JPEG of quality
            50, all that are halved or doubled, 91 % of those with 1 px of 112 cut off each side;
            of 428,400 pairs of different photographs none is nearer than 10.
        max_bias_rows: Rows of a source whose biases are measured, at most.
        tokenizer: Checkpoint whose tokenizer counts tokens; None: reasoning in words.
        limits: Pixel limits and maximal length of the training to come.
        num_proc: Processes that decode images.
    """

    max_distance: int = 4
    max_bias_rows: int = 20_000
    tokenizer: str | None = None
    limits: TokenLimits = field(default_factory=TokenLimits)
    num_proc: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.max_distance <= MAX_DISTANCE:
            raise UserError(
                f"max_distance is {self.max_distance}; expected 0 to {MAX_DISTANCE} of 64 bits "
                "(unrelated images differ in about 32)."
            )
        if self.limits.min_pixels > self.limits.max_pixels:
            raise UserError(
                f"min_pixels {self.limits.min_pixels} is above max_pixels "
                f"{self.limits.max_pixels}; swap them."
            )


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Attributes:
        findings: Warnings first.
        leaks: Training rows that should not be there, see ``data_prep.audit.leaks.Leak``: one
            record a row and reason, with ``id``, ``part``, ``kind``, ``other_id``, ``other_part``.
        numbers: The content of ``audit.json``.
        output_dir: Where the pages are.
    """

    findings: tuple[Finding, ...]
    leaks: tuple[dict[str, str], ...]
    numbers: dict[str, Any]
    output_dir: Path

    @property
    def n_warnings(self) -> int:
        """How many findings are warnings."""
        return sum(finding.level == WARNING for finding in self.findings)


def audit_build(
    folder: str | Path,
    against: Sequence[str | Path] = (),
    options: AuditOptions | None = None,
    *,
    output_dir: str | Path | None = None,
    name: str | None = None,
) -> AuditResult:
    """Audit a data set folder and write ``audit.html``, ``audit.md``, ``audit.json``, leaks.

    Args:
        folder: The set, whose rows are the training side.
        against: Sets that must share no picture with it.
        options: See ``AuditOptions``.
        output_dir: Where to write; None: ``audit`` in the folder, or beside one whose card does not
            name its data files.
        name: What the report calls the set; None: the folder's name.

    Raises:
        UserError: A folder cannot serve, or an option is out of range.
    """
    options = options or AuditOptions()
    corpus = load_corpus(folder, against, options.num_proc, name)
    groups = find_groups(corpus, options.max_distance, options.num_proc)
    summary, leaks = summarise(corpus, groups), find_leaks(corpus, groups)
    biases = measure_biases(corpus, groups.group, options.max_bias_rows)
    texts = read_texts(corpus, options.tokenizer)
    balance, pictures = _balance(corpus, texts, options.limits)
    unreadable = _unreadable(corpus)
    findings = sort_findings(
        [
            *unreadable_findings(corpus, unreadable),
            *leak_findings(corpus, groups, summary, leaks),
            *bias_findings(corpus, biases),
            *balance_findings(balance, int((corpus.set_number == 0).sum())),
        ]
    )
    records = _leak_records(corpus, leaks + find_repeats(corpus, groups))
    numbers = _numbers(corpus, options, summary, biases, balance, unreadable, findings)
    report = Report(corpus, tuple(findings), numbers, _figures(corpus, biases, texts, pictures))
    target = Path(output_dir) if output_dir is not None else corpus.folders[0].audit_dir
    try:
        write_text(
            target / LEAKS_FILE,
            "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records),
        )
        write_report(report, target)
    except OSError as error:
        raise UserError(
            f"the report cannot be written to {target} ({error}); name another folder with "
            "--output_dir."
        ) from error
    return AuditResult(tuple(findings), tuple(records), numbers, target)


def leaking_ids(result: AuditResult) -> dict[str, str]:
    """Return what ``--drop_leaks`` leaves out of the audited set: id to the reason."""
    reasons: dict[str, str] = {}
    for leak in result.leaks:  # a leak into another set is the weightier reason, and comes first
        reasons.setdefault(leak["id"], REASONS[leak["kind"]].format(**leak))
    return reasons


def _balance(
    corpus: Corpus, texts: Texts, limits: TokenLimits
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the numbers of the section on balance, and the lengths to draw."""
    tables = spread.label_tables(corpus)
    tokens, each = spread.token_summary(corpus, texts, limits)
    numbers = {
        "label": tables,
        "association": {column: spread.association(table) for column, table in tables.items()},
        "questions": spread.question_use(corpus, texts),
        "reasoning": spread.reasoning_lengths(corpus, texts),
        "image_tokens": tokens,
    }
    return numbers, {"image tokens": each.n_tokens.astype(float)}


def _figures(
    corpus: Corpus, biases: BiasTable, texts: Texts, tokens: dict[str, np.ndarray]
) -> dict[str, str | None]:
    own = corpus.set_number == 0
    shown = own & corpus.readable
    lengths = texts.reasoning_length.astype(float)
    reasoning = {f"reasoning, {texts.unit.split()[0]}": np.where(lengths > 0, lengths, np.nan)}
    rows = np.flatnonzero(shown)
    tables = spread.label_tables(corpus)
    return {
        "biases": figures.plot_biases(list(biases.biases)),
        "files": figures.plot_by_label(figures.file_panels(corpus, rows), corpus.is_fake[rows]),
        **{
            f"label_by_{column}": figures.plot_labels(tables[column], column)
            for column in ("source", "generator", "category", "question_bank")
            if len(tables[column]) > 1
        },
        "reasoning": figures.plot_by_label(reasoning, corpus.is_fake[own]),
        "image_tokens": figures.plot_by_label(tokens, corpus.is_fake[rows]),
    }


def _unreadable(corpus: Corpus) -> list[dict[str, str]]:
    rows = np.flatnonzero(~corpus.readable)
    reasons = corpus.names("unreadable", rows)
    ids = corpus.names("id", rows)
    return [
        {"id": i, "part": corpus.parts[corpus.part_number[row]], "reason": reason}
        for i, row, reason in zip(ids, rows, reasons, strict=True)
    ]


def _leak_records(corpus: Corpus, leaks: list[Leak]) -> list[dict[str, str]]:
    ids = corpus.names("id", np.array([leak.row for leak in leaks], np.int64))
    others = corpus.names("id", np.array([leak.other for leak in leaks], np.int64))
    return [
        {
            "id": row_id,
            "part": corpus.parts[corpus.part_number[leak.row]],
            "kind": leak.kind,
            "other_id": other_id,
            "other_part": corpus.parts[corpus.part_number[leak.other]],
        }
        for leak, row_id, other_id in zip(leaks, ids, others, strict=True)
    ]


def _numbers(
    corpus: Corpus,
    options: AuditOptions,
    summary: dict[str, Any],
    biases: BiasTable,
    balance: dict[str, Any],
    unreadable: list[dict[str, str]],
    findings: list[Finding],
) -> dict[str, Any]:
    return {
        "parts": {
            name: int((corpus.part_number == i).sum()) for i, name in enumerate(corpus.parts)
        },
        "options": {
            "max_distance": options.max_distance,
            "max_bias_rows": options.max_bias_rows,
            "tokenizer": options.tokenizer,
        },
        "findings": [
            {"level": finding.level, "title": finding.title, "text": finding.text}
            for finding in findings
        ],
        "unreadable": unreadable,
        "leaks": summary,
        "biases": biases.to_dict(),
        "balance": balance,
    }
