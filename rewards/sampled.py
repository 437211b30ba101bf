"""Several samples a row: pass rate, majority vote, agreement, pass@k."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import comb
from statsmodels.stats.inter_rater import fleiss_kappa

from rewards.bootstrap import estimate, ratio
from rewards.judged import UNPARSED
from rewards.labels import ALL_BANKS, LABELS
from rewards.sample_records import SampledRow
from rewards.scoring import score_completion


@dataclass(frozen=True)
class Votes:
    """Judged samples, one entry for each of n rows.

    Attributes:
        counts: Samples by verdict, unparsed last, shape (n, n_labels + 1).
        label: Gold label as an index into ``LABELS``.
        thinking: Samples that think.
        thinking_right: Samples that think and are right.
        n_tokens: Tokens of all samples.
    """

    counts: np.ndarray
    label: np.ndarray
    thinking: np.ndarray
    thinking_right: np.ndarray
    n_tokens: np.ndarray

    @property
    def n_samples(self) -> np.ndarray:
        """Samples of each row."""
        return self.counts.sum(axis=1)

    @property
    def n_right(self) -> np.ndarray:
        """Right samples of each row."""
        return self.counts[np.arange(len(self.label)), self.label]


def count_votes(rows: Sequence[SampledRow]) -> Votes:
    """Judge every sample of every row."""
    counts = np.zeros((len(rows), UNPARSED + 1), dtype=int)
    thinking, thinking_right = np.zeros(len(rows), dtype=int), np.zeros(len(rows), dtype=int)
    for i, row in enumerate(rows):
        for text, times in Counter(row.completions).items():
            scored = score_completion(text, row.label)
            verdict = LABELS.index(scored.verdict) if scored.verdict else UNPARSED
            counts[i, verdict] += times
            thinking[i] += times * scored.thinking
            thinking_right[i] += times * (scored.thinking and scored.correct)
    return Votes(
        counts=counts,
        label=np.array([LABELS.index(row.label) for row in rows]),
        thinking=thinking,
        thinking_right=thinking_right,
        n_tokens=np.array([sum(row.n_completion_tokens) for row in rows]),
    )


def sampled_metrics(
    rows: Sequence[SampledRow],
    votes: Votes,
    unit_of: Mapping[str, Any],
    n_bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Return ``votes_metrics`` of all rows and of each bank that is there.

    Args:
        rows: The rows.
        votes: ``count_votes`` of them.
        unit_of: id -> what the bootstrap draws; ids that are not there are their own unit.
        n_bootstrap: Rounds of the bootstrap.
        seed: Seed of the bootstrap.
    """
    bank = np.array([row.question_bank for row in rows])
    unit = np.array([str(unit_of.get(row.id, f"id {row.id}")) for row in rows], dtype=object)
    parts = {"all": np.ones(len(rows), dtype=bool)}
    parts |= {name: bank == name for name in ALL_BANKS if (bank == name).any()}
    return {
        name: votes_metrics(
            Votes(**{key: value[mask] for key, value in vars(votes).items()}),
            unit[mask],
            n_bootstrap,
            seed,
        )
        for name, mask in parts.items()
    }


def votes_metrics(votes: Votes, unit: np.ndarray, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return the metrics of several samples a row.

    * ``pass_rate``: the share of a row's samples that are right, mean over rows.
    * ``majority``: the accuracy of the verdict with most samples. An unparsed sample casts no vote;
      a tie, and a row without a vote, is no answer and so wrong (``n_ties``, ``n_without_vote``).
    * ``agreement``: the share of pairs of a row's samples with the same verdict, unparsed being one
      of three; ``fleiss_kappa`` is the same, corrected for chance, over the same three.
    * ``pass_at_k``: the probability that one of k samples is right, estimated without bias from the
      K that there are (Chen et al. 2021, arXiv:2107.03374), for k = 1, 2, 4, … up to the least K.

    None for what needs two samples a row, or the same number for every row, where that is not so.
    """
    n, k = len(votes.label), votes.n_samples
    ones = np.ones(n)
    ballots = votes.counts[:, : len(LABELS)]
    top = ballots.max(axis=1)
    tied = (ballots == top[:, None]).sum(axis=1) > 1
    majority_right = (ballots.argmax(axis=1) == votes.label) & ~tied

    def mean(values: np.ndarray) -> dict[str, Any]:
        return estimate(ratio, [values, ones], unit, n_bootstrap, seed)

    same_k = bool((k == k[0]).all())
    paired = bool((k >= 2).all())
    least = int(k.min())
    pairs = (votes.counts * (votes.counts - 1)).sum(axis=1) / np.maximum(k * (k - 1), 1)
    return {
        "n": n,
        "samples_per_row": [least, int(k.max())],
        "pass_rate": mean(votes.n_right / k),
        "n_by_right_answers": np.bincount(votes.n_right, minlength=least + 1).tolist()
        if same_k
        else None,
        "majority": mean(majority_right),
        "n_ties": int((tied & (top > 0)).sum()),
        "n_without_vote": int((top == 0).sum()),
        "agreement": mean(pairs) if paired else None,
        "fleiss_kappa": _kappa(votes.counts) if same_k and paired else None,
        "pass_at_k": {str(i): mean(_pass_at(i, votes.n_right, k)) for i in _powers(least)},
        "thinking_rate": mean(votes.thinking / k),
        "mean_completion_tokens": float(votes.n_tokens.sum() / k.sum()),
        "n_rows_of_both_modes": int(((votes.thinking > 0) & (votes.thinking < k)).sum()),
    }


def _pass_at(k: int, n_right: np.ndarray, n_samples: np.ndarray) -> np.ndarray:
    """Return 1 - C(n - c, k) / C(n, k) of each row."""
    return 1 - comb(n_samples - n_right, k) / comb(n_samples, k)


def _powers(most: int) -> list[int]:
    return sorted({2**i for i in range(most.bit_length())} | {most})


def _kappa(counts: np.ndarray) -> float | None:
    """Return Fleiss' kappa; None where all samples have one verdict (chance agreement is 1)."""
    if (counts.sum(axis=0) > 0).sum() < 2:
        return None
    return float(fleiss_kappa(counts, method="fleiss"))
