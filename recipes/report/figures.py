"""The figures of an evaluation whose data are the single predictions."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from sklearn.metrics import RocCurveDisplay

from recipes.report.drawing import COLOURS, INK, RUN_COLOURS, frame, legend, plain_numbers, shorten
from recipes.report.evaluation import Evaluation
from rewards.labels import ALL_BANKS, LABELS

_N_BINS = 40
_LONG_TAIL = 12  # longest over median from which lengths are drawn on a logarithmic axis


def token_lengths(runs: Sequence[Evaluation]) -> Figure:
    """Draw Fig. 5: lengths of the first run's answers, and of all runs' with and without loops."""
    rows = [(run, bank) for run in runs for bank in banks_of(run)]
    figure, axes = frame(
        2,
        1,
        height=2.6 + 0.34 * len(rows),
        height_ratios=(2.2, 0.5 + 0.34 * len(rows)),
        sharex=True,
    )
    top, bottom = axes[:, 0]
    _histograms(top, runs[0])
    legend(figure, top)
    _boxes(bottom, rows)
    lengths = np.concatenate([run.judged.n_tokens for run in runs])
    if lengths.max() > _LONG_TAIL * max(1.0, float(np.median(lengths))):
        bottom.set_xscale("log")
        plain_numbers(bottom.xaxis)
    bottom.set_xlabel("tokens of an answer")
    return figure


def banks_of(run: Evaluation) -> list[str]:
    """Return the banks that a run was asked under, in the order of ``ALL_BANKS``."""
    return [bank for bank in ALL_BANKS if bank in set(run.judged.question_bank)]


def _histograms(axis: plt.Axes, run: Evaluation) -> None:
    lengths = np.maximum(run.judged.n_tokens, 1)
    skewed = lengths.max() > _LONG_TAIL * max(1.0, float(np.median(lengths)))
    space = np.geomspace if skewed else np.linspace
    bins = space(lengths.min(), lengths.max() + 1, _N_BINS)
    for bank in banks_of(run):
        in_bank = run.judged.question_bank == bank
        colour = COLOURS[bank]
        axis.hist(lengths[in_bank], bins=bins, color=colour, alpha=0.25)
        axis.hist(
            lengths[in_bank], bins=bins, histtype="step", color=colour, linewidth=1.4, label=bank
        )
    looped = lengths[run.judged.repeats]
    if len(looped):
        axis.hist(looped, bins=bins, color=INK, alpha=0.6, label="repeats itself")
    axis.set_yscale("log")
    plain_numbers(axis.yaxis)
    axis.set_ylabel("answers (log scale)")
    axis.set_title(shorten(run.name, 60), loc="left")


def _boxes(axis: plt.Axes, rows: Sequence[tuple[Evaluation, str]]) -> None:
    names = []
    for place, (run, bank) in enumerate(rows):
        part = run.judged.select(run.judged.question_bank == bank)
        kept = part.n_tokens[~part.repeats]
        n_loops = int(part.repeats.sum())
        for values, shift, filled in ((part.n_tokens, -0.17, True), (kept, 0.17, False)):
            if len(values) and (filled or n_loops):
                _box(axis, values, place + shift * bool(n_loops), COLOURS[bank], filled)
        loops = f", {n_loops:,} loop" if n_loops else ""
        names.append(f"{shorten(run.name, 18)}, {bank}\nn = {len(part.id):,}{loops}")
    axis.set_yticks(range(len(rows)), names, fontsize=7.5)
    axis.invert_yaxis()
    axis.set_title("filled: all answers; hollow: without those that repeat themselves", loc="left")


def _box(axis: plt.Axes, values: np.ndarray, place: float, colour: str, filled: bool) -> None:
    """Draw quartiles as a box, 5 % and 95 % as whiskers, the median a line, the mean a dot."""
    axis.boxplot(
        [np.maximum(values, 1)],
        positions=[place],
        widths=0.28,
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        showmeans=True,
        manage_ticks=False,
        patch_artist=True,
        boxprops={
            "facecolor": colour if filled else "none",
            "edgecolor": colour,
            "alpha": 0.75 if filled else 1.0,
        },
        medianprops={"color": INK, "linewidth": 1.4},
        whiskerprops={"color": colour},
        capprops={"color": colour},
        meanprops={
            "marker": "o",
            "markersize": 4,
            "markerfacecolor": INK,
            "markeredgecolor": "none",
        },
    )


def has_scores(run: Evaluation) -> bool:
    """Return whether p(fake) is known of answers to both classes."""
    known = np.isfinite(run.judged.p_fake)
    return len(set(run.judged.label[known])) == len(LABELS)


def roc(runs: Sequence[Evaluation]) -> Figure:
    """Draw the ROC curves of the first run by bank, and of all runs over all banks."""
    figure, axes = frame(1, 2 if len(runs) > 1 else 1, height=3.6, sharey=True)
    own = runs[0].judged
    for bank in banks_of(runs[0]):
        _roc_curve(axes[0][0], runs[0], own.question_bank == bank, bank, COLOURS[bank])
    axes[0][0].set_title(shorten(runs[0].name, 40), loc="left")
    if len(runs) > 1:
        for run, colour in zip(runs, RUN_COLOURS, strict=False):
            everything = np.ones(len(run.judged.id), dtype=bool)
            _roc_curve(axes[0][1], run, everything, shorten(run.name, 18), colour)
        axes[0][1].set_title("all banks, by run", loc="left")
    for axis in axes[0]:
        axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        axis.set(xlabel="false alarms: share of real images", ylabel="", xlim=(0, 1))
        axis.set_ylim(0, 1.01)
        axis.set_aspect("equal")
        axis.legend(loc="lower right")
    axes[0][0].set_ylabel("recall: share of fake images")
    return figure


def _roc_curve(axis: plt.Axes, run: Evaluation, rows: np.ndarray, name: str, colour: str) -> None:
    part = run.judged.select(rows & np.isfinite(run.judged.p_fake))
    if len(set(part.label)) < len(LABELS):
        return
    RocCurveDisplay.from_predictions(
        part.label,
        part.p_fake,
        name=name,
        ax=axis,
        pos_label=LABELS.index("fake"),
        curve_kwargs={"color": colour, "linewidth": 1.5},
    )


def reliability(run: Evaluation) -> Figure:
    """Draw how often images are fake against p(fake), with Wilson's intervals, and its spread."""
    figure, axes = frame(2, 1, height=4.4, height_ratios=(3, 1), sharex=True)
    top, bottom = axes[:, 0]
    for bank in banks_of(run):
        bins = (run.metrics[bank]["p_fake"] or {}).get("reliability", ())
        if not bins:
            continue
        said = [b["mean_p_fake"] for b in bins]
        top.plot(said, [b["share_fake"] for b in bins], "o-", markersize=4, color=COLOURS[bank])
        spans = zip(*(b["ci95"] for b in bins), strict=True)
        top.vlines(said, *spans, color=COLOURS[bank], linewidth=1, alpha=0.6)
        part = run.judged.p_fake[run.judged.question_bank == bank]
        edges = np.linspace(0, 1, run.metrics[bank]["p_fake"]["n_bins"] + 1)
        known = part[np.isfinite(part)]
        bottom.hist(known, edges, histtype="step", color=COLOURS[bank], linewidth=1.4, label=bank)
    top.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    top.set(ylabel="share that is fake", ylim=(-0.02, 1.02))
    bottom.set(xlabel="p(fake), mean of the bin", ylabel="answers", xlim=(-0.01, 1.01))
    legend(figure, bottom)
    return figure


def confusion(run: Evaluation) -> Figure:
    """Draw label against verdict, one panel a bank, unparsed answers in a column of their own."""
    banks = banks_of(run)
    figure, axes = frame(1, len(banks), height=2.3, sharey=True)
    for axis, bank in zip(axes[0], banks, strict=True):
        part = run.judged.select(run.judged.question_bank == bank)
        counts = np.zeros((len(LABELS), len(LABELS) + 1), dtype=int)
        np.add.at(counts, (part.label, part.verdict), 1)
        shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        axis.imshow(shares, cmap=_fading(), vmin=0, vmax=1, aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            text = f"{count:,}\n{100 * shares[row, column]:.1f} %"
            axis.text(column, row, text, ha="center", va="center", fontsize=8)
        axis.set_xticks(range(len(LABELS) + 1), [*LABELS, "unparsed"])
        axis.set_yticks(range(len(LABELS)), LABELS)
        axis.set(title=f"{bank}, n = {len(part.id):,}", xlabel="verdict")
        axis.grid(visible=False)
    axes[0][0].set_ylabel("label")
    return figure


def _fading() -> LinearSegmentedColormap:
    """Return a colour map from transparent to blue: it fits a dark page and a light one."""
    return LinearSegmentedColormap.from_list("fading", [(0, 0.45, 0.7, 0.0), (0, 0.45, 0.7, 0.6)])
