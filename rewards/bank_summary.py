"""What ``metrics.json`` says about the predictions under one bank, Table 1's numbers apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rewards.bootstrap import estimate, ratio
from rewards.breakdowns import PassRates, breakdowns, group_columns
from rewards.calibration import calibration, calibration_intervals
from rewards.explanations import compare_explanations, consistency
from rewards.judged import Judged
from rewards.ranking import ranking, ranking_intervals
from rewards.records import Prediction
from rewards.token_lengths import token_lengths


@dataclass(frozen=True)
class BankSettings:
    """What the sections of a bank need besides the predictions.

    Attributes:
        n_bootstrap: Rounds of the bootstrap.
        seed: Its seed.
        max_completion_length: Where generation stopped, in tokens; None if not known.
        embedding_model: Folder of a text model; None: no embedding similarity.
        pass_rates: id and bank -> right answers, samples; None if there are none.
    """

    n_bootstrap: int = 1000
    seed: int = 0
    max_completion_length: int | None = None
    embedding_model: str | None = None
    pass_rates: PassRates | None = None


def bank_sections(
    predictions: Sequence[Prediction], judged: Judged, settings: BankSettings
) -> dict[str, Any]:
    """Return the sections of one bank; ``judged`` is what ``judge`` makes of the predictions."""
    n_bootstrap, seed = settings.n_bootstrap, settings.seed
    columns = group_columns(predictions, settings.pass_rates)
    return {
        "p_fake": p_fake_metrics(judged, n_bootstrap, seed),
        "tokens": token_lengths(judged, settings.max_completion_length),
        "modes": modes(judged, n_bootstrap, seed),
        "consistency": consistency(p.completion for p in predictions),
        "explanations": compare_explanations(
            predictions, judged.unit, n_bootstrap, seed, settings.embedding_model
        ),
        "breakdowns": breakdowns(judged, columns, n_bootstrap, seed),
    }


def p_fake_metrics(judged: Judged, n_bootstrap: int, seed: int) -> dict[str, Any] | None:
    """Return ranking and calibration of the scores; None where no prediction has one.

    Over the predictions with p(fake), whether their verdict could be parsed or not; ``n_without``
    counts the others.
    """
    scored = ~np.isnan(judged.p_fake)
    if not scored.any():
        return None
    columns = (judged.label[scored], judged.p_fake[scored])
    unit = judged.unit[scored]
    metrics: dict[str, Any] = {
        "n": int(scored.sum()),
        "n_without": int((~scored).sum()),
        **ranking(*columns),
        **calibration(*columns),
    }
    if n_bootstrap:
        metrics["ci95"] = {
            **ranking_intervals(*columns, unit, n_bootstrap, seed),
            **calibration_intervals(*columns, unit, n_bootstrap, seed),
        }
    return metrics


def modes(judged: Judged, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return how predictions that think do, and those that answer directly.

    ``n_hidden_thinking`` counts completions whose think block is there and empty while reasons
    stand outside of it: reasoning that hides from a reward on the block (TNT, arXiv:2601.04805).
    They count as thinking.
    """
    return {
        **{
            name: {
                "n": int(mask.sum()),
                "accuracy": estimate(
                    ratio,
                    [mask & (judged.verdict == judged.label), mask],
                    judged.unit,
                    n_bootstrap,
                    seed,
                ),
                "mean_completion_tokens": estimate(
                    ratio, [mask * judged.n_tokens, mask], judged.unit, n_bootstrap, seed
                ),
            }
            for name, mask in (("thinking", judged.thinking), ("direct", ~judged.thinking))
        },
        "n_hidden_thinking": int(judged.hidden_thinking.sum()),
        "hidden_thinking_rate": float(judged.hidden_thinking.mean()),
    }
