"""How labels, banks, questions, reasoning and image tokens are spread over a set."""

from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, chisquare

from data_prep.audit.corpus import Corpus
from data_prep.audit.image_tokens import CHANGES, REFUSED, SHRUNK, ImageTokens, image_tokens
from data_prep.audit.limits import TokenLimits
from data_prep.audit.texts import Texts
from rewards.labels import LABELS

COLUMNS = ("source", "generator", "category", "question_bank")
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


def label_tables(corpus: Corpus) -> dict[str, dict[str, dict[str, int]]]:
    """Return how many rows of each label each value of each column has, largest value first."""
    own = np.flatnonzero(corpus.set_number == 0)
    fake = corpus.is_fake[own]
    tables: dict[str, dict[str, dict[str, int]]] = {}
    splits = {"split": corpus.names("split", own)}
    for column in ("split", *COLUMNS):
        values = splits.get(column) or corpus.names(column, own)
        names, code = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True)
        n_fake = np.bincount(code, weights=fake, minlength=len(names)).astype(int)
        n_all = np.bincount(code, minlength=len(names))
        order = np.lexsort((names, -n_all))
        tables[column] = {
            str(names[i]): {"real": int(n_all[i] - n_fake[i]), "fake": int(n_fake[i])}
            for i in order
        }
    return tables


def association(table: dict[str, dict[str, int]]) -> dict[str, float] | None:
    """Return Cramér's V of a table value x label and the chi-square test's p-value.

    None where there is only one value or one label.
    """
    counts = np.array([[cell[label] for label in LABELS] for cell in table.values()])
    counts = counts[counts.sum(axis=1) > 0]
    if len(counts) < 2 or (counts.sum(axis=0) == 0).any():
        return None
    result: Any = chi2_contingency(counts, correction=False)  # scipy's type hides its fields
    # min(rows, columns) - 1 is 1: there are two labels.
    return {
        "cramers_v": float(np.sqrt(result.statistic / counts.sum())),
        "p_value": float(result.pvalue),
    }


def question_use(corpus: Corpus, texts: Texts) -> dict[str, Any]:
    """Return, for each bank, how often each question is asked, by label, and two tests.

    ``even``: chi-square test of equal use. ``label``: association of question and label; a question
    that comes with one label more often would tell the answer.
    """
    if texts.question is None:
        return {}
    own = np.flatnonzero(corpus.set_number == 0)
    fake = corpus.is_fake[own]
    column = texts.question.combine_chunks()
    questions = [str(q) for q in column.dictionary.to_pylist()] + ["(none)"]
    asked = column.indices.fill_null(len(questions) - 1).to_numpy(zero_copy_only=False)
    banks = np.asarray(corpus.names("question_bank", own), dtype=object).astype(str)
    result = {}
    for bank in sorted(set(banks.tolist())):
        rows = banks == bank
        counts = np.bincount(asked[rows] * 2 + fake[rows], minlength=len(questions) * 2).reshape(
            -1, 2
        )
        used = np.flatnonzero(counts.sum(axis=1))
        used = sorted(used.tolist(), key=lambda i: (-counts[i].sum(), questions[i]))
        table = {questions[i]: {"real": int(counts[i, 0]), "fake": int(counts[i, 1])} for i in used}
        totals = counts[used].sum(axis=1)
        even = float(chisquare(totals).pvalue) if len(used) > 1 else None
        result[bank] = {"questions": table, "even_p_value": even, "label": association(table)}
    return result


def spread(values: np.ndarray) -> dict[str, Any]:
    """Return number, mean and quantiles of ``values``."""
    if not len(values):
        return {"n": 0}
    quantiles = np.quantile(values, QUANTILES)
    names = [f"p{round(q * 100)}" for q in QUANTILES]
    return {
        "n": len(values),
        "mean": float(values.mean()),
        **dict(zip(names, quantiles.tolist(), strict=True)),
    }


def reasoning_lengths(corpus: Corpus, texts: Texts) -> dict[str, Any]:
    """Return the spread of the reasoning's length by label, among rows that reason."""
    fake = corpus.is_fake[corpus.set_number == 0]
    reasons = texts.reasoning_length > 0
    lengths = texts.reasoning_length
    return {
        "unit": texts.unit,
        "n_direct": int((~reasons).sum()),
        "n_reasoning": int(reasons.sum()),
        "real": spread(lengths[reasons & ~fake]),
        "fake": spread(lengths[reasons & fake]),
    }


def token_summary(
    corpus: Corpus, texts: Texts, limits: TokenLimits
) -> tuple[dict[str, Any], ImageTokens]:
    """Return the spread of image tokens and the shares of rows that are resized or cut."""
    own = (corpus.set_number == 0) & corpus.readable
    tokens = image_tokens(
        corpus.numbers("width")[own],
        corpus.numbers("height")[own],
        limits.min_pixels,
        limits.max_pixels,
    )
    by_change = np.bincount(tokens.change, minlength=len(CHANGES))
    summary: dict[str, Any] = {
        "min_pixels": limits.min_pixels,
        "max_pixels": limits.max_pixels,
        "tokens": spread(tokens.n_tokens[tokens.change != CHANGES.index(REFUSED)]),
        "changes": dict(zip(CHANGES, by_change.tolist(), strict=True)),
        "share_shrunk": float(by_change[CHANGES.index(SHRUNK)] / max(1, own.sum())),
        "max_length": limits.max_length,
        "share_cut": None,
    }
    if limits.max_length is not None:
        # Without a tokenizer, the image alone: a lower bound, and said so in the report.
        length = tokens.n_tokens
        if texts.text_length is not None:
            length = length + texts.text_length[own[corpus.set_number == 0]]
        summary["share_cut"] = float((length > limits.max_length).mean()) if len(length) else 0.0
        summary["text_counted"] = texts.text_length is not None
    return summary, tokens
