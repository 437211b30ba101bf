"""One evaluation folder summed up: ``metrics.json``, ``table1.md``, ``table1.tex``.

``make eval`` and ``make score`` both call ``summarise_folder``. Content of ``metrics.json``
(fractions, not per cent; null where a number is not defined or was not measured; ``ci95`` is
[low, high] of the percentile bootstrap; an *estimate* is ``{"value", "ci95"}``)::

    all, simple, hard, neutral      all predictions, and each bank that is there
      n, n_unparsed                 predictions; those without a verdict (wrong for their class)
      accuracy                      right / n
      f1_weighted, f1_macro         mean of the classes' F1, weighted by support (Table 1), or not
      f1_real_positive              binary F1, as FakeVLM reports it
      f1_fake_positive              binary F1
      well_formed_rate, thinking_rate, mean_completion_tokens
      real, fake                    n, accuracy (recall), f1 of the class; null where it is absent
      confusion                     {label: {real, fake, unparsed}} counts
      ci95                          unit, n_units, n_bootstrap, and an interval for each of:
                                    accuracy, f1_*, real.*, fake.*, well_formed_rate, thinking_rate,
                                    mean_completion_tokens (no key with n_bootstrap 0)
      p_fake                        null, or: n, n_without (no score), auroc, average_precision,
                                    recall_at_1%, recall_at_5% (of fakes, at that share of false
                                    alarms), brier, ece, ece_equal_mass, n_bins,
                                    reliability [{low, high, n, mean_p_fake, share_fake, ci95}],
                                    ci95 {auroc, average_precision, recall_at_*, brier, ece}
      tokens                        n, mean, median, quantiles {p5, p25, p50, p75, p90, p95},
                                    histogram {edges, counts, counts_without_repeated},
                                    n_clipped (reach the length limit), n_repeated,
                                    without_repeated {n, mean, median, quantiles, accuracy,
                                    f1_weighted, thinking_rate}
      modes                         thinking, direct {n, accuracy, mean_completion_tokens:
                                    estimates}; n_hidden_thinking, hidden_thinking_rate
      consistency                   n_reasoned, n_agree, n_disagree, n_no_conclusion, n_no_verdict,
                                    agreement
      explanations                  null, or: n, n_without_explanation, rouge_l (estimate),
                                    embedding (null or estimate with model)
      breakdowns                    {label, source, generator, category, image_size, pass_rate,
                                    chameleon: {n_groups, n_without, groups {name: {n, accuracy,
                                    f1_weighted, f1_macro, real, fake, n_unparsed, thinking_rate,
                                    mean_completion_tokens, auroc, confusion, ci95}}}}; a dimension
                                    that no prediction has is left out, "chameleon" also where no
                                    image is of that set (its groups: chameleon, without)
    run                             name, n_predictions, n_images, unit, n_bootstrap, seed, files
                                    (those that were read)
    constant_answers                always real, always fake: as a bank's first keys; each image
                                    counts once
    difficulty                      null, or: from, rule, n_easy, n_difficult, n_unknown,
                                    cells {bank: {easy, difficult: {n, thinking_rate, accuracy,
                                    mean_completion_tokens: estimates}}},
                                    image_effect {bank: estimate}, question_effect {easy, difficult:
                                    estimate}: differences of thinking rates
    bank_swap                       null, or: n, mode_changes, verdict_changes, accuracy_change
                                    (estimates), counts {both_right, simple_alone, hard_alone,
                                    neither}
    routing                         null, or: n_common, n_left_out, n_forced_direct_that_think,
                                    n_forced_think_that_do_not and {bank: {n, n_samples_per_mode,
                                    accuracy {routed, direct, think, oracle: estimate},
                                    mean_completion_tokens {same: number}, token_saving, regret,
                                    gain_over_best_mode, hybrid_accuracy,
                                    hybrid_accuracy_where_it_matters, thinking_rate,
                                    thinking_rate_where_think_alone_is_right,
                                    thinking_rate_where_direct_alone_is_right (estimates),
                                    counts {both_right, direct_alone, think_alone, neither}}}
    forced                          {direct, think: {bank: as a bank's first keys}} of the forced
                                    modes' files; empty if none
    samples                         null, or {all, bank: {n, samples_per_row [least, most],
                                    pass_rate, n_by_right_answers, majority, n_ties,
                                    n_without_vote, agreement, fleiss_kappa, pass_at_k {k: estimate}, thinking_rate,
                                    mean_completion_tokens, n_rows_of_both_modes}}
    robustness                      {variant: {bank: as a group of breakdowns, ci95 with auroc too,
                                    n_left_out, n_not_asked, difference {accuracy, real_accuracy,
                                    fake_accuracy, thinking_rate, mean_completion_tokens, auroc:
                                    estimates of changed minus unchanged}}}; empty if none
    pareto                          [{run, mode, n, accuracy, mean_completion_tokens, accuracy_ci95,
                                    tokens_ci95, on_front}]: banks, and the forced modes of each
    notes                           sentences on what a reader must know
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rewards.bank_summary import BankSettings, bank_sections
from rewards.breakdowns import PassRates
from rewards.difficulty import bank_swap, difficulty_table, easy_images
from rewards.errors import UserError
from rewards.files import write_json, write_text
from rewards.judged import Judged, judge
from rewards.labels import ALL_BANKS
from rewards.metrics import compute_metrics
from rewards.notes import notes_on
from rewards.pareto import mark_front, points_of
from rewards.published import published
from rewards.records import Prediction, read_predictions
from rewards.robustness import robustness
from rewards.routing import routing
from rewards.sample_records import read_pass_rates, read_samples
from rewards.sampled import count_votes, sampled_metrics
from rewards.table import constant_rows, table1, table1_latex

FORCED = ("direct", "think")


@dataclass(frozen=True)
class SummarySettings:
    """How an evaluation is summed up.

    Attributes:
        name: Of the method, in the table.
        n_bootstrap: Rounds of the bootstrap; 0: no intervals.
        seed: Of the bootstrap.
        bootstrap_unit: See ``rewards.judged.choose_unit``.
        required_banks: Banks that must have predictions.
        max_completion_length: Where generation stopped, in tokens; None if not known.
        embedding_model: Folder of a text model for the explanations' similarity; None: none.
        pass_rates: ``pass_rates.jsonl`` of ``make filter`` on the same rows; None: the folder's
            own, if it is there, else the folder's samples.
        with_published: Whether the tables begin with published rows.
    """

    name: str = "predictions"
    n_bootstrap: int = 1000
    seed: int = 0
    bootstrap_unit: str | None = None
    required_banks: Sequence[str] = ()
    max_completion_length: int | None = None
    embedding_model: str | None = None
    pass_rates: str | Path | None = None
    with_published: bool = True


def summarise_folder(
    folder: str | Path,
    settings: SummarySettings | None = None,
    output_dir: str | Path | None = None,
) -> dict[str, Any]:
    """Write ``table1.md``, ``table1.tex`` and, last, ``metrics.json`` of an evaluation.

    Args:
        folder: Evaluation folder; everything that is there counts: ``predictions.jsonl`` (must be),
            ``forced_direct.jsonl``, ``forced_think.jsonl``, ``samples.jsonl``,
            ``pass_rates.jsonl``, ``robustness/*.jsonl``. Or a predictions file, which then counts
            alone.
        settings: How to sum up; None: the defaults.
        output_dir: Gets the three files; None: the folder.

    Returns:
        What ``metrics.json`` holds, see the module's docstring.

    Raises:
        UserError: A file is missing or bad, or a bank that is required is not there.
    """
    settings = settings or SummarySettings()
    folder = Path(folder)
    output_dir = Path(output_dir or (folder if folder.is_dir() else folder.parent))
    metrics, judged = _summarise(folder, settings)
    rows = [(settings.name, metrics), *constant_rows(judged)]
    theirs = published() if settings.with_published else None
    try:
        write_text(output_dir / "table1.md", table1(rows, theirs))
        write_text(output_dir / "table1.tex", table1_latex(rows, theirs))
        # Written last: a folder with metrics is a finished evaluation.
        write_json(output_dir / "metrics.json", metrics)
    except OSError as error:
        raise UserError(
            f"cannot write into {output_dir} ({error.strerror}); set --output_dir to a folder "
            "that can be made or written."
        ) from error
    return metrics


def _summarise(folder: Path, settings: SummarySettings) -> tuple[dict[str, Any], Judged]:
    files = _Files(folder)
    n_bootstrap, seed = settings.n_bootstrap, settings.seed
    predictions = read_predictions(files.predictions)
    judged = judge(predictions, settings.bootstrap_unit)
    metrics = compute_metrics(judged, n_bootstrap, seed, settings.required_banks)
    samples = read_samples(files.samples) if files.samples else None
    votes = count_votes(samples) if samples else None
    pass_rates = _pass_rates(files, settings)
    if pass_rates is None and samples and votes:
        pass_rates = {
            (row.id, row.question_bank): (int(right), int(n))
            for row, right, n in zip(samples, votes.n_right, votes.n_samples, strict=True)
        }
    for bank, part in _by_bank(predictions, judged).items():
        bank_settings = BankSettings(
            n_bootstrap,
            seed,
            settings.max_completion_length,
            settings.embedding_model,
            pass_rates,
        )
        metrics[bank] |= bank_sections(*part, bank_settings)
    forced = {
        mode: judge(read_predictions(path), judged.unit_name) for mode, path in files.forced.items()
    }
    sampled = (samples, votes) if samples and votes else None
    easy = easy_images(forced.get("direct"), sampled, pass_rates)
    unit_of = dict(zip(judged.id, judged.unit, strict=True))
    result: dict[str, Any] = {
        **metrics,
        "run": {
            "name": settings.name,
            "n_predictions": len(predictions),
            "n_images": len(unit_of),
            "unit": judged.unit_name,
            "n_bootstrap": n_bootstrap,
            "seed": seed,
            "files": files.names(),
        },
        "constant_answers": {name: part["all"] for name, part in constant_rows(judged)},
        "difficulty": difficulty_table(judged, *easy, n_bootstrap, seed) if easy else None,
        "bank_swap": bank_swap(judged, n_bootstrap, seed),
        "routing": routing(judged, forced["direct"], forced["think"], n_bootstrap, seed)
        if set(FORCED) <= set(forced)
        else None,
        "forced": {mode: compute_metrics(part, n_bootstrap, seed) for mode, part in forced.items()},
        "samples": sampled_metrics(*sampled, unit_of, n_bootstrap, seed) if sampled else None,
        "robustness": {
            variant: robustness(
                judged, judge(read_predictions(path), judged.unit_name), n_bootstrap, seed
            )
            for variant, path in files.robustness.items()
        },
    }
    result["pareto"] = _pareto(settings.name, result)
    result["notes"] = notes_on(result, predictions)
    return result, judged


class _Files:
    """Which files an evaluation folder holds."""

    def __init__(self, path: Path) -> None:
        folder = path if path.is_dir() else None
        self.predictions = path / "predictions.jsonl" if folder else path
        self.samples = self._if_there(folder, "samples.jsonl")
        self.pass_rates = self._if_there(folder, "pass_rates.jsonl")
        found = {mode: self._if_there(folder, f"forced_{mode}.jsonl") for mode in FORCED}
        self.forced = {mode: file for mode, file in found.items() if file}
        changed = sorted((folder / "robustness").glob("*.jsonl")) if folder else []
        # A file that is still being written has a further suffix ("jpeg-50.partial.jsonl").
        self.robustness = {file.stem: file for file in changed if "." not in file.stem}

    @staticmethod
    def _if_there(folder: Path | None, name: str) -> Path | None:
        return folder / name if folder and (folder / name).is_file() else None

    def names(self) -> list[str]:
        """Return the names of all files that are there."""
        others = [self.samples, self.pass_rates, *self.forced.values()]
        names = [file.name for file in (self.predictions, *others) if file]
        return [*names, *(f"robustness/{file.name}" for file in self.robustness.values())]


def _pass_rates(files: _Files, settings: SummarySettings) -> PassRates | None:
    path = settings.pass_rates or files.pass_rates
    return read_pass_rates(path) if path else None


def _by_bank(
    predictions: Sequence[Prediction], judged: Judged
) -> dict[str, tuple[Sequence[Prediction], Judged]]:
    parts: dict[str, tuple[Sequence[Prediction], Judged]] = {"all": (predictions, judged)}
    for bank in ALL_BANKS:
        rows = np.flatnonzero(judged.question_bank == bank)
        if len(rows):
            parts[bank] = ([predictions[i] for i in rows], judged.select(rows))
    return parts


def _pareto(name: str, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    points = points_of(name, metrics, ALL_BANKS)
    for mode, forced in metrics["forced"].items():
        points += [
            {**point, "mode": f"{point['mode']}, {mode} forced"}
            for point in points_of(name, forced, ALL_BANKS)
        ]
    return mark_front(points)
