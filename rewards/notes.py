"""What a reader of ``metrics.json`` must know before quoting it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.labels import ALL_BANKS, LABELS
from rewards.records import Prediction

_FEW_UNITS = 10


def notes_on(metrics: Mapping[str, Any], predictions: Sequence[Prediction]) -> list[str]:
    """Return sentences on what is missing, thin or not as it seems.

    Args:
        metrics: The content of ``metrics.json``, without its notes.
        predictions: What it was made from.
    """
    whole = metrics["all"]
    notes = [
        f"No image is {label}: that class has no accuracy and no F1, it counts as F1 0 in macro F1 "
        "and has no weight in weighted F1."
        for label in LABELS
        if whole[label]["n"] == 0
    ]
    n_scored = sum(p.p_fake is not None for p in predictions)
    if not n_scored:
        notes.append("No prediction has p_fake: nothing is said about ranking and calibration.")
    elif n_scored < len(predictions):
        notes.append(
            f"{len(predictions) - n_scored} of {len(predictions)} predictions have no p_fake; "
            "ranking and calibration are over the rest."
        )
    n_units = whole.get("ci95", {}).get("n_units")
    if n_units is not None and n_units < 2:
        notes.append(f"All predictions are of one {metrics['run']['unit']}: there is no interval.")
    elif n_units is not None and n_units < _FEW_UNITS:
        notes.append(
            f"The bootstrap draws {metrics['run']['unit']}s, of which there are {n_units}: the "
            "intervals are rough."
        )
    if whole["tokens"]["n_repeated"]:
        notes.append(
            f"{whole['tokens']['n_repeated']} of {whole['n']} completions repeat themselves; they "
            "count everywhere but under tokens.without_repeated."
        )
    n_asked = {bank: metrics[bank]["n"] for bank in ALL_BANKS if bank in metrics}
    if len(set(n_asked.values())) > 1:
        counts = ", ".join(f"{bank} {n}" for bank, n in n_asked.items())
        notes.append(f"The banks were asked about different numbers of images: {counts}.")
    return notes
