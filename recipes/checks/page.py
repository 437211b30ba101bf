"""The check as one page of text: what is wrong first, then one column a stage."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from recipes.checks.findings import ERROR, Finding
from rewards import ALL_BANKS, LABELS

WIDTH = 112
LONG = 18  # characters; a longer cell that all stages share stands once
BARS = " ▁▂▃▄▅▆▇█"
Report = dict[str, Any]
Cell = Callable[[Report], str]
LEVELS = ("error", "warning", "note")


def render(
    title: str,
    reports: Sequence[Report],
    findings: Sequence[Finding],
    paper: Report | None,
    footer: str,
) -> str:
    """Return the page."""
    lines = [title, "=" * min(len(title), WIDTH), *_findings(findings), ""]
    lines += _table(reports)
    lines += [line for report in reports for line in _histogram(report)]
    if paper is not None:
        lines += ["", *_paper(paper)]
    lines += ["", *textwrap.wrap(footer, WIDTH)]
    return "\n".join(lines) + "\n"


def _findings(findings: Sequence[Finding]) -> list[str]:
    lines = []
    # The same note for several stages stands once.
    stages: dict[tuple[str, str], list[str]] = {}
    for finding in sorted(findings, key=lambda f: LEVELS.index(f.level)):
        stages.setdefault((finding.level, finding.text), []).append(finding.stage)
    for (level, text), where in stages.items():
        mark = {"error": "ERROR  ", "warning": "warning", "note": "note   "}[level]
        head = f"{mark} {', '.join(where)}: "
        lines += textwrap.wrap(head + text, WIDTH, subsequent_indent=" " * 8)
    n_errors = sum(1 for level, _ in stages if level == ERROR)
    if not n_errors:
        lines.insert(0, "No errors.")
    return lines


def _table(reports: Sequence[Report]) -> list[str]:
    rows = [(name, [_try(cell, report) for report in reports]) for name, cell in CELLS]
    rows = [(name, cells) for name, cells in rows if name.isupper() or any(cells)]
    rows = [
        row
        for row, following in zip(rows, [*rows[1:], ("END", [])], strict=True)
        if not (row[0].isupper() and following[0].isupper())
    ]
    name_width = max(len(name) for name, _ in CELLS) + 2
    apart = [cells for name, cells in rows if _shared(name, cells, name_width) is None]
    widths = [max((len(cells[i]) for cells in apart), default=0) + 3 for i in range(len(reports))]
    return [
        _shared(name, cells, name_width)
        or (
            name.ljust(name_width) + "".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
        ).rstrip()
        for name, cells in rows
    ]


def _shared(name: str, cells: Sequence[str], name_width: int) -> str | None:
    """Return a row whose long cells are all the same as one text; None for another row."""
    if len(set(cells)) > 1 or len(cells) < 2 or len(cells[0]) <= LONG:
        return None
    return f"{name.ljust(name_width)}   {cells[0]}"


def _try(cell: Cell, report: Report) -> str:
    """Return a cell, empty where the stage has no such number."""
    try:
        return cell(report)
    except (KeyError, TypeError):
        return ""


def _histogram(report: Report) -> list[str]:
    if "tokens" not in report:
        return []
    histogram = report["tokens"]["histogram"]
    counts, last = histogram["counts"], histogram["edges"][-1]
    top = max(counts)
    bars = "".join(BARS[-(-8 * n // top)] for n in counts)
    return [f"tokens a row, {report['stage']:<7} 0 {bars} {last:,.0f}"]


def _paper(paper: Report) -> list[str]:
    def stage(name: str) -> str:
        used = paper[name]
        return (
            f"{used['hours']} h x 32 A100: {100 * used['model_utilisation']:.1f} % by model FLOPs "
            f"({used['model_flops']:.2g}), {100 * used['hardware_utilisation']:.1f} % by executed "
            f"FLOPs ({used['hardware_flops']:.2g})"
        )

    return [
        "THE PAPER'S HOURS (Sec. 4.1) IMPLY",
        f"SFT  {stage('sft')}; {paper['sft']['steps_at_1_a_gpu']:,} passes of one row a GPU",
        f"RL   {stage('rl')}; {paper['rl']['steps_at_32_prompts']:,} steps of 32 prompts, "
        f"{paper['rl']['seconds_per_step']:.0f} s each",
        *textwrap.wrap(f"Assumed, as the paper is silent: {paper['assumed']}.", WIDTH),
    ]


def _billions(n: float) -> str:
    return f"{n / 1e9:.2f} B" if n >= 1e8 else f"{n / 1e6:.2f} M"


def _gib(n: float) -> str:
    return f"{n / 2**30:.1f} GiB" if n >= 2**28 else f"{n / 2**20:.1f} MiB"


def _counts(counts: dict[str, int], names: Sequence[str]) -> str:
    return " / ".join(f"{counts.get(name, 0):,}" for name in names)


def _spread(numbers: dict[str, float]) -> str:
    return f"{numbers['p50']:,.0f} / {numbers['p99']:,.0f} / {numbers['max']:,.0f}"


def _memory(item: str) -> Cell:
    return lambda r: _gib(r["memory"][item])


def _limits(report: Report) -> str:
    shares = [limit["share_over"] for limit in report["limits"]]
    return f"{100 * max(shares):.2f} %" if shares else "none set"


def _cell(*keys: str, form: str = "{:,}") -> Cell:
    def cell(report: Report) -> str:
        value: Any = report
        for key in keys:
            value = value[key]
        return form.format(value)

    return cell


def _sending(report: Report) -> str:
    traffic = report["traffic"]
    if not traffic["bytes_per_step"]:
        return ""
    return f"{traffic['seconds_per_step']:.2f} ({traffic['bytes_per_step'] / 1e9:.0f} GB)"


CELLS: list[tuple[str, Cell]] = [
    ("STAGE", _cell("stage", form="{}")),
    ("model", lambda r: r["model"].split("/")[-1]),
    ("data set", lambda r: r["dataset"]),
    ("processes", lambda r: f"{r['n_processes']}" + (f", {r['sharding']}" * bool(r["sharding"]))),
    ("parameters", lambda r: _billions(r["parameters"]["total"])),
    ("of these trained", lambda r: _billions(r["parameters"]["trainable"]) * bool(r["sharding"])),
    ("DATA", lambda r: ""),
    ("rows", _cell("rows", "total")),
    ("real / fake", lambda r: _counts(r["rows"]["labels"], LABELS)),
    ("simple / hard / neutral", lambda r: _counts(r["rows"]["banks"], ALL_BANKS)),
    ("TOKENS: MEDIAN / 99 % / MAX", lambda r: ""),
    ("prompt with image", lambda r: _spread(r["tokens"]["prompt"])),
    ("answer", lambda r: _spread(r["tokens"]["answer"])),
    ("row", lambda r: _spread(r["tokens"]["row"])),
    ("image patches", lambda r: _spread(r["tokens"]["patches"])),
    ("image tiles", lambda r: _spread(r["tokens"]["tiles"])),
    ("most rows over a limit", _limits),
    ("SCHEDULE", lambda r: ""),
    ("rows (prompts) a step", _cell("schedule", "rows_per_step", form="{:,g}")),
    ("steps an epoch", _cell("schedule", "steps_per_epoch")),
    ("steps", _cell("schedule", "steps")),
    ("epochs", _cell("schedule", "epochs", form="{:.3g}")),
    ("rows left out of an epoch", _cell("schedule", "rows_unused")),
    ("completions", lambda r: f"{r['schedule']['completions']:,}" * (r["stage"] != "sft")),
    ("MEMORY OF A GPU", lambda r: ""),
    ("weights", _memory("weights")),
    ("gradients", _memory("gradients")),
    ("optimizer", _memory("optimizer")),
    ("reference", _memory("reference")),
    ("gathered layers, buffers *", _memory("gathered layers, buffers")),
    ("activations *", _memory("activations")),
    ("vLLM", lambda r: _gib(r["vllm"]["share"])),
    ("  its KV cache, in sequences", lambda r: f"{r['vllm']['n_sequences']:.0f}"),
    ("in all, with the runtime *", _memory("total")),
    ("COST", lambda r: ""),
    ("FLOPs, method", _cell("flops", "model", form="{:.3g}")),
    ("FLOPs, executed", _cell("flops", "hardware", form="{:.3g}")),
    ("hours, computing", _cell("hours", "computing", form="{:.2f}")),
    ("hours, writing tokens", lambda r: f"{r['hours']['writing']:.2f}" * (r["stage"] != "sft")),
    ("hours", _cell("hours", "total", form="{:.2f}")),
    ("seconds a step", _cell("seconds_per_step", form="{:.2f}")),
    ("  beside it, sending", _sending),
]
