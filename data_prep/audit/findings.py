"""What the numbers mean, in sentences, with the rows to look at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data_prep.audit.biases import TOGETHER, Bias, BiasTable
from data_prep.audit.corpus import Corpus

WARNING, NOTICE, FINE = "warning", "notice", "fine"
LEVELS = (WARNING, NOTICE, FINE)
# An association of label and bank or question below this (Cramér's V) helps nobody guess.
MIN_CRAMERS_V = 0.1
SIGNIFICANCE = 0.001


@dataclass(frozen=True)
class Example:
    """Rows that show a finding.

    Attributes:
        title: What they have in common.
        rows: Their numbers in the corpus.
    """

    title: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Finding:
    """One thing the audit has to say.

    Attributes:
        level: One of ``LEVELS``.
        title: The finding, with its numbers.
        text: What it may mean and what to do.
        examples: Rows to look at.
    """

    level: str
    title: str
    text: str
    examples: tuple[Example, ...] = field(default=())


def plural(n: int, noun: str, nouns: str | None = None) -> str:
    """Return "1 row", "2,000 rows"."""
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def share(n: int, of: int) -> str:
    """Return ``n`` as a percentage."""
    return f"{100 * n / of:.1f} %" if of else "0 %"


def bias_findings(corpus: Corpus, table: BiasTable) -> Iterator[Finding]:
    """Yield a warning for each source whose files tell the label, and what was not computed."""
    warned: dict[str, list[Bias]] = {}
    for bias in table.biases:
        if bias.warns:
            warned.setdefault(bias.source, []).append(bias)
    for source, biases in warned.items():
        told = ", ".join(
            f"{b.feature} {b.auc.value:.2f} [{b.auc.interval[0]:.2f}, {b.auc.interval[1]:.2f}]"
            for b in sorted(biases, key=lambda b: -b.auc.value)
        )
        best = max((b for b in biases if b.feature != TOGETHER), key=_value, default=biases[0])
        yield Finding(
            WARNING,
            f"{source}: the file alone tells the label (AUC {best.auc.value:.2f} by "
            f"{best.feature.replace('_', ' ')})",
            f"Cross-validated AUC, 0.5 is chance: {told}. A detector can learn this instead of the "
            "image. Give both classes the same format, quality and sizes (the --unbiased "
            "protocol), or report scores on images where they are equal.",
            _bias_examples(corpus, source),
        )
    if table.biases and not warned:
        yield Finding(
            FINE,
            "Format, size, bytes and JPEG quality do not tell the label",
            "No source has a cross-validated AUC above 0.6 that differs from chance.",
        )
    one_class = [s for s, reason in table.skipped.items() if "rows only" in reason]
    if one_class:
        yield Finding(
            NOTICE,
            f"{plural(len(one_class), 'source')} with one label only: {_listed(one_class)}",
            "The source itself tells the label, so no AUC is computed within it; whatever marks "
            "the source marks the label.",
        )


def _value(bias: Bias) -> float:
    return bias.auc.value


def _listed(names: list[str], most: int = 8) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _bias_examples(corpus: Corpus, source: str) -> tuple[Example, ...]:
    rows = np.flatnonzero((corpus.set_number == 0) & corpus.readable)
    names = np.asarray(corpus.names("source", rows), dtype=object)
    if source in set(names.tolist()):
        rows = rows[names == source]
    examples = []
    for label, fake in (("real", False), ("fake", True)):
        of_label = rows[corpus.is_fake[rows] == fake]
        chosen = of_label[np.linspace(0, len(of_label) - 1, min(4, len(of_label))).astype(int)]
        examples.append(Example(f"{label}: format, size and bytes", tuple(chosen.tolist())))
    return tuple(examples)


def balance_findings(balance: dict[str, Any], n_rows: int) -> Iterator[Finding]:
    """Yield where bank, question or category tell the label, and what the processor cuts."""
    for column in ("question_bank", "category"):
        yield from _association_finding(column.replace("_", " "), balance["association"][column])
    for bank, use in balance["questions"].items():
        yield from _association_finding(f"question of the {bank} bank", use["label"])
        if use["even_p_value"] is not None and use["even_p_value"] < SIGNIFICANCE:
            counts = [sum(cell.values()) for cell in use["questions"].values()]
            yield Finding(
                NOTICE,
                f"Questions of the {bank} bank are not asked equally often",
                f"From {min(counts):,} to {max(counts):,} times (chi-square test, p = "
                f"{use['even_p_value']:.1g}).",
            )
    yield from _token_findings(balance["image_tokens"], n_rows)


def _association_finding(what: str, found: dict[str, float] | None) -> Iterator[Finding]:
    if found is None or found["cramers_v"] < MIN_CRAMERS_V or found["p_value"] > SIGNIFICANCE:
        return
    # A category may be made by the label (kinds of fakes); a question must not be.
    level = NOTICE if what == "category" else WARNING
    yield Finding(
        level,
        f"The {what} tells something of the label (Cramér's V {found['cramers_v']:.2f})",
        f"Chi-square test of independence: p = {found['p_value']:.1g}. "
        + (
            "By construction where a category is a kind of fake; where it is a kind of content, a "
            "detector can learn the content instead."
            if level == NOTICE
            else "The wording of the request must not give the answer away: draw it again."
        ),
    )


def _token_findings(tokens: dict[str, Any], n_rows: int) -> Iterator[Finding]:
    changes = tokens["changes"]
    if tokens["share_cut"]:
        counted = "image and text" if tokens["text_counted"] else "the image alone"
        yield Finding(
            WARNING,
            f"{100 * tokens['share_cut']:.1f} % of the rows are longer than max_length "
            f"{tokens['max_length']:,} ({counted})",
            "The trainer cuts them, and a cut image token stops training: raise max_length or "
            "lower max_pixels.",
        )
    if changes["refused"]:
        yield Finding(
            WARNING,
            f"{plural(changes['refused'], 'image')} that Qwen2.5-VL's processor refuses",
            "One side is more than 200 times the other: training stops at such a row. Drop it.",
        )
    resized = changes["enlarged"] + changes["shrunk"]
    if resized:
        yield Finding(
            NOTICE,
            f"{share(resized, n_rows)} of the images are resized to the pixel limits",
            f"{changes['shrunk']:,} shrunk to max_pixels {tokens['max_pixels']:,}, "
            f"{changes['enlarged']:,} enlarged to min_pixels {tokens['min_pixels']:,}. Resampling "
            "wipes out fine traces of a generator.",
        )


def unreadable_findings(corpus: Corpus, listed: Iterable[dict[str, str]]) -> Iterator[Finding]:
    """Yield a warning where images cannot be read."""
    listed = list(listed)
    if listed:
        yield Finding(
            WARNING,
            f"{plural(len(listed), 'row')} whose image cannot be read",
            "They are left out of everything below: "
            + "; ".join(f"{e['id']} ({e['reason']})" for e in listed[:8])
            + (" and more, see audit.json." if len(listed) > 8 else "."),
        )


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return warnings first, then notices, then what is fine."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))
