"""How fast the training recipes are, beside TRL's example scripts: ``make bench-train``.

    make bench-train                                 some 11 minutes on 2 cores, after `make sft`
    make bench-train ARGS="--stages sft"             one stage
    make bench-train ARGS="--gpu true --model_name_or_path Qwen/Qwen2.5-VL-3B-Instruct"

SFT in samples a second over a whole epoch, GRPO in steps a second, on images of mixed sizes
(``recipes/bench_train_data.py``), with the same model, rows and batch. The contenders, and what is
added to the stock script one at a time, stand in ``recipes/bench_train_ways.py``. Each runs in a
process of its own. Start-up is told apart; the loss must not differ, and is compared.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from datasets import Dataset

from recipes.bench_eval import machine_in_words
from recipes.bench_train_arguments import GPU_WAYS, GRPO_WAYS, SFT_WAYS, BenchArguments
from recipes.bench_train_data import mixed_rows, write_model
from recipes.bench_train_ways import run_way
from recipes.config import parse
from recipes.run_folder import package_versions
from recipes.vlm import check_model
from rewards.errors import UserError, run_cli
from rewards.files import write_json, write_text

UNITS = {"sft": "samples/s", "grpo": "steps/s"}
TARGETS = {"sft": 1.3, "grpo": 1.2}  # times the stock script
MAX_WAIT = 0.05
SAME_LOSS = 1e-4  # relative; float32 sums in another order differ by less


def ways_of(args: BenchArguments) -> list[str]:
    """Return "stage: name" of everything that is to run, in this order.

    Raises:
        UserError: A stage is unknown, or a way that none of the stages has.
    """
    ways = {"sft": SFT_WAYS, "grpo": {**GRPO_WAYS, **(GPU_WAYS if args.gpu else {})}}
    unknown = [stage for stage in args.stages if stage not in ways]
    if unknown:
        raise UserError(f"stages {unknown} are unknown; expected some of {sorted(ways)}.")
    names = {name for stage in args.stages for name in ways[stage]}
    strange = [name for name in args.ways or () if name not in names]
    if strange:
        raise UserError(f"ways {strange} are unknown; expected some of {sorted(names)}.")
    return [
        f"{stage}: {name}"
        for stage in args.stages
        for name in ways[stage]
        if not args.ways or name in {"stock", "ours", *args.ways}
    ]


def run_child(args: BenchArguments, way: str) -> dict[str, Any]:
    """Run a way in a process of its own; return what it wrote.

    Raises:
        UserError: It failed; the end of what it printed is in the message.
    """
    file = Path(args.output_dir) / "result.json"
    file.unlink(missing_ok=True)
    words = [sys.executable, "-m", "recipes.bench_train"]
    for each in fields(args):
        value = way if each.name == "way" else getattr(args, each.name)
        if value is None:
            continue
        words += [f"--{each.name}", *map(str, value if isinstance(value, list) else [value])]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
    )
    if done.returncode or not file.is_file():
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise UserError(f"{way} ended with {done.returncode}:\n{tail}")
    result = json.loads(file.read_text(encoding="utf-8"))
    print(f"{way}: {result['rate']:.3f} {UNITS[result['stage']]}", flush=True)
    return result


def best_turns(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one record for each way, of its fastest turn: what else runs only makes it slower."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        way = (run["stage"], run["name"])
        if way not in best or run["rate"] > best[way]["rate"]:
            best[way] = run
    return list(best.values())


def verdicts(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return a sentence for each target, and one for what was found of the losses."""
    lines = []
    for stage, target in TARGETS.items():
        own = {result["name"]: result for result in results if result["stage"] == stage}
        if not own:
            continue
        ratio = own["ours"]["rate"] / own["stock"]["rate"]
        reached = "reached" if ratio >= target else "NOT reached"
        lines.append(f"{stage}: {ratio:.2f} times stock; target {target}: {reached}.")
        wait = own["ours"]["wait_share"]
        reached = "reached" if wait < MAX_WAIT else "NOT reached"
        lines.append(f"{stage}: {wait:.1%} of a step waits for data; target 5 %: {reached}.")
        lines.append(f"{stage}: {losses_agree(own)}")
    return lines


def losses_agree(own: dict[str, dict[str, Any]]) -> str:
    """Return in words how far the losses of a stage's ways are apart."""
    stock = own["stock"]
    if "pass_loss" in stock:
        worst = max(_apart(way["pass_loss"], stock["pass_loss"]) for way in own.values())
        what = "the loss of a pass over all rows differs by"
    else:
        pairs = [(w["loss_shared"], w["loss_unshared"]) for w in own.values() if "loss_shared" in w]
        pairs += [(own["ours"]["losses"][0], stock["losses"][0])]
        worst = max(_apart(*pair) for pair in pairs)
        what = "the loss of a batch, and that of the first step beside stock, differ by"
    if not any(way["losses"][0] for way in own.values()):
        return "every loss is 0: NOTHING WAS COMPARED; take a model that earns rewards."
    return f"{what} {worst:.1e} at most: {'the same' if worst < SAME_LOSS else 'NOT THE SAME'}."


def _apart(value: float, other: float) -> float:
    return abs(value - other) / max(abs(other), 1e-8)


def table_of(results: Sequence[dict[str, Any]], heading: str) -> str:
    """Return the results as a Markdown table, with the verdicts below it."""
    lines = [
        f"{heading}\n",
        "| Stage | Way | Rate | Times stock | Waits for data | Start, s | Pre-sizing, s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        stock = next(r for r in results if r["stage"] == result["stage"] and r["name"] == "stock")
        lines.append(
            f"| {result['stage']} | {result['name']} | {result['rate']:.3f} "
            f"{UNITS[result['stage']]} | {result['rate'] / stock['rate']:.2f} | "
            f"{100 * result['wait_share']:.1f} % | {result['start_s']:.1f} | "
            f"{result['prepare_s']:.1f} |"
        )
    return "\n".join([*lines, "", *(f"- {line}" for line in verdicts(results))]) + "\n"


def plot(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw how many times the stock script's rate each way has."""
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(result["stage"] for result in results))
    figure = Figure(figsize=(9, 1.2 + 2.4 * len(stages)), layout="constrained")
    for axes, stage in zip(figure.subplots(len(stages), squeeze=False)[:, 0], stages, strict=True):
        own = [result for result in results if result["stage"] == stage][::-1]
        stock = next(result["rate"] for result in own if result["name"] == "stock")
        bars = axes.barh([r["name"] for r in own], [r["rate"] / stock for r in own])
        axes.bar_label(bars, [f" {r['rate']:.3g} {UNITS[stage]}" for r in own], fontsize=8)
        axes.axvline(TARGETS[stage], color="grey", linestyle="--", linewidth=0.8)
        axes.set_title(f"{stage}: times stock (dashed: to reach)", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.margins(x=0.2)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def main() -> None:
    """Measure every way and report; as a child, run one."""
    (args,) = parse((BenchArguments,))
    check_model(args.model_name_or_path)
    folder = Path(args.output_dir)
    rows_folder = folder / "rows"
    if args.way is not None:
        model = write_model(args.model_name_or_path, args.max_pixels, folder / "model")
        result = run_way(args, Dataset.load_from_disk(str(rows_folder)), model)
        write_json(folder / "result.json", result)
        return
    mixed_rows(args.n_rows, args.seed).save_to_disk(str(rows_folder))
    ways = ways_of(args)
    runs = [
        run_child(args, way)
        for turn in range(args.n_turns)
        for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]
    ]
    order = [f"{run['stage']}: {run['name']}" for run in runs]
    results = sorted(best_turns(runs), key=lambda r: ways.index(f"{r['stage']}: {r['name']}"))
    heading = (
        f"{machine_in_words()}; {args.n_rows} rows of mixed image sizes, at most "
        f"{args.max_pixels} pixels for the model; best of {args.n_turns}"
    )
    about = {"machine": heading, "packages": package_versions(), "order": order}
    write_json(folder / "bench_train.json", {**about, "results": results, "runs": runs})
    table = table_of(results, heading)
    write_text(folder / "bench_train.md", table)
    plot(results, folder / "bench_train.png")
    print(table)


if __name__ == "__main__":
    run_cli(main)
