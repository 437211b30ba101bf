"""How often answers think, and whether that is where thinking helps."""

from collections.abc import Sequence
from pathlib import Path

from recipes.report import estimates
from recipes.report.breakdowns import groups_of, in_words
from recipes.report.drawing import Chart, draw
from recipes.report.evaluation import Evaluation
from recipes.report.figures import banks_of
from recipes.report.page import Section
from recipes.report.tables import Row, Table, count, estimated, per_cent, text, with_interval
from rewards.labels import ALL_BANKS, QUESTION_BANKS
from rewards.pareto import mark_front


def thinking_section(runs: Sequence[Evaluation], folder: Path) -> Section:
    """Return how often answers think, and whether that is where thinking helps."""
    run = runs[0]
    section = Section(
        "thinking",
        "Thinking",
        [
            "An answer thinks when its think block holds text, or when it reasons outside of it. "
            "The paper's question bank alone marks a question as hard; whether the image decides, "
            "too, is what the tables by difficulty and the neutral questions show."
        ],
    )
    section.charts += _thinking_charts(run, folder)
    section.charts.append(_pareto_chart(runs, folder))
    section.tables.append(_modes_table(runs))
    _difficulty(run, section, folder)
    swaps = _swap_table(runs)
    if swaps:
        section.tables.append(swaps)
    _routing(runs, section)
    return section


def _thinking_charts(run: Evaluation, folder: Path) -> list[Chart]:
    charts = []
    for dimension in ("label", "category"):
        banks = groups_of(run, dimension)
        if banks:
            charts.append(
                draw(
                    f"thinking_by_{dimension}",
                    f"Thinking rate of {run.name} by {dimension} and question bank, with 95 % "
                    "intervals.",
                    in_words(banks, "thinking_rate", "thinking rate"),
                    folder,
                    estimates.by_group,
                    banks,
                    "thinking_rate",
                    "thinking rate",
                )
            )
    return charts


def _pareto_chart(runs: Sequence[Evaluation], folder: Path) -> Chart:
    points = [{**p, "run": run.name} for run in runs for p in run.metrics["pareto"]]
    points = mark_front(points)
    best = "; ".join(
        f"{p['run']}, {p['mode']}: {100 * p['accuracy']:.1f} % with "
        f"{p['mean_completion_tokens']:.1f} tokens"
        for p in points
        if p["on_front"]
    )
    sizes = sorted({p["n"] for p in points})
    n = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    return draw(
        "pareto",
        "Accuracy against tokens, with 95 % intervals; hollow: the mode was forced. "
        f"n = {n} answers a point.",
        f"Accuracy against mean tokens of {len(points)} settings. Beaten by no other: {best}.",
        folder,
        estimates.pareto,
        points,
    )


def _modes_table(runs: Sequence[Evaluation]) -> Table:
    rows = []
    for run in runs:
        for bank in banks_of(run):
            modes = run.metrics[bank]["modes"]
            link = {"run": run.name, "questions": bank, "thinking": "yes"}
            rows.append(
                Row(
                    [
                        text(run.name),
                        text(bank),
                        per_cent(*with_interval(run.metrics[bank], "thinking_rate")),
                        count(modes["thinking"]["n"], link),
                        estimated(modes["thinking"]["accuracy"]),
                        estimated(modes["direct"]["accuracy"]),
                        estimated(modes["thinking"]["mean_completion_tokens"], factor=1, digits=1),
                        estimated(modes["direct"]["mean_completion_tokens"], factor=1, digits=1),
                        count(modes["n_hidden_thinking"]),
                    ]
                )
            )
    columns = [
        *("Run", "Questions", "Thinking rate", "n thinking", "Acc if thinking", "Acc if direct"),
        *("Tokens if thinking", "Tokens if direct", "Hidden thinking"),
    ]
    caption = (
        "Answers that think and answers that do not; hidden thinking stands outside of an empty "
        "think block. The images of the two are different ones: forced modes compare like with like"
    )
    return Table(caption, columns, rows, n_text=2)


def _difficulty(run: Evaluation, section: Section, folder: Path) -> None:
    difficulty = run.metrics["difficulty"]
    if difficulty is None:
        section.missing.append(
            "Question bank by difficulty of the image: evaluate with `--forced_modes true` or "
            "`--num_samples 8` to know which images are difficult."
        )
        return
    section.charts.append(
        draw(
            "bank_by_difficulty",
            f"Question bank by difficulty of the image: {difficulty['rule']}. "
            f"{difficulty['n_easy']:,} easy and {difficulty['n_difficult']:,} difficult images.",
            "Thinking rates: "
            + "; ".join(
                f"{bank} questions, {image} images {estimated(cell['thinking_rate']).text} %"
                for bank, cells in difficulty["cells"].items()
                for image, cell in cells.items()
            ),
            folder,
            estimates.two_by_two,
            difficulty["cells"],
        )
    )
    effects = difficulty["question_effect"] or {}
    rows = [
        Row([text(f"difficult minus easy images, {bank} questions"), estimated(effect)])
        for bank, effect in difficulty["image_effect"].items()
    ]
    rows += [
        Row([text(f"hard minus simple questions, {image} images"), estimated(effect)])
        for image, effect in effects.items()
    ]
    caption = "What moves the thinking rate: the image or the question (points)"
    section.tables.append(Table(caption, ["Difference", "Thinking rate"], rows))


def _routing(runs: Sequence[Evaluation], section: Section) -> None:
    rows = []
    for run in runs:
        routing = run.metrics["routing"] or {}
        for bank in (b for b in ALL_BANKS if b in routing):
            of = routing[bank]
            rows.append(
                Row(
                    [
                        text(run.name),
                        text(bank),
                        *(estimated(of["accuracy"][m]) for m in ("routed", "direct", "think")),
                        estimated(of["accuracy"]["oracle"]),
                        estimated(of["regret"]),
                        estimated(of["hybrid_accuracy"]),
                        estimated(of["token_saving"]),
                        count(of["n"]),
                    ]
                )
            )
    if not rows:
        section.missing.append(
            "Hybrid accuracy and routing regret: evaluate with `--forced_modes true`."
        )
        return
    columns = [
        *("Run", "Questions", "Own choice", "Forced direct", "Forced thinking", "Best of both"),
        *("Regret", "Hybrid accuracy", "Token saving", "n"),
    ]
    caption = (
        "Routing: accuracy of the model's own choice of mode, of either mode forced, and of an "
        "oracle; regret is oracle minus own choice, saving is against always thinking"
    )
    section.tables.append(Table(caption, columns, rows, n_text=2))


def _swap_table(runs: Sequence[Evaluation]) -> Table | None:
    """Return what changes when the same images are asked under the other bank."""
    rows = []
    for run in runs:
        swap = run.metrics["bank_swap"]
        if swap is None:
            continue
        rows.append(
            Row(
                [
                    text(run.name),
                    *(estimated(swap[k]) for k in ("mode_changes", "verdict_changes")),
                    estimated(swap["accuracy_change"]),
                    *(count(swap["counts"][k]) for k in ("both_right", "simple_alone")),
                    *(count(swap["counts"][k]) for k in ("hard_alone", "neither")),
                    count(swap["n"]),
                ]
            )
        )
    columns = [
        *("Run", "Mode changes, %", "Verdict changes, %", "Accuracy, points", "Right under both"),
        *("under simple alone", "under hard alone", "under neither", "Images"),
    ]
    caption = f"The same images under {' and '.join(QUESTION_BANKS)} questions"
    return Table(caption, columns, rows) if rows else None
