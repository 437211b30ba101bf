"""What the demo shows at its end: Table 1, token lengths, differences, sample answers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.loading import load_rows
from data_prep.prompts import load_prompts, stable_integer
from recipes.plots import plot_samples, plot_token_lengths
from recipes.reward_gain import reward_gain
from recipes.run_folder import git_commit, read_log
from rewards import QUESTION_BANKS
from rewards.comparison import accuracy_difference, best_constant, constant_answer
from rewards.files import write_json, write_text
from rewards.judged import judge
from rewards.records import Prediction, read_predictions
from rewards.table import constant_rows, table1

METHODS = {"base": "base", "sft": "SFT", "rl": "RL"}
MAX_SHOWN = 400  # characters of a sample answer
SAMPLES = (("real", None), ("real", None), ("fake", "subtle"), ("fake", "obvious"))


def write_report(run: Path, data: Path, seed: int) -> None:
    """Write ``table1.md``, ``results.json``, ``report.md`` and figures; print the table."""
    predictions = {
        name: read_predictions(run / "eval" / name / "predictions.jsonl") for name in METHODS
    }
    metrics = {
        name: json.loads((run / "eval" / name / "metrics.json").read_text(encoding="utf-8"))
        for name in METHODS
    }
    lengths = {METHODS[name]: token_lengths(rows) for name, rows in predictions.items()}
    plot_token_lengths(lengths, run / "token_lengths.png")
    rows = [(METHODS[name], metrics[name]) for name in METHODS]
    table = table1([*rows, *constant_rows(judge(predictions["rl"]))])
    results = compare(predictions, metrics, run, data)
    lines = "".join(f"- {line}\n" for line in describe(results))
    samples = pick_samples(predictions, data)
    plot_samples(samples, run / "samples.png")
    n_images = len({prediction.id for prediction in predictions["rl"]})
    times = json.loads((run / "times.json").read_text(encoding="utf-8"))
    head = f"{n_images} test images under both banks, seed {seed}, commit {git_commit()}"
    took = ", ".join(f"{name} {seconds:.0f}" for name, seconds in times.items())
    write_json(run / "results.json", {"seed": seed, "commit": git_commit(), **results})
    write_text(run / "table1.md", f"{head}\n\n{table}")
    write_text(
        run / "report.md",
        f"# {run.name}\n\n{head}.\n\n{table}\n{lines}- seconds: {took}\n\n"
        f"![token lengths](token_lengths.png)\n\n{sample_text(samples)}\n![samples](samples.png)\n",
    )
    print(f"\n{head}\n\n{table}\n{lines}\nAll of it: {run}/report.md")


def token_lengths(predictions: Sequence[Prediction]) -> dict[str, list[int]]:
    """Return the completion lengths under each bank."""
    return {
        bank: [p.n_completion_tokens for p in predictions if p.question_bank == bank]
        for bank in QUESTION_BANKS
    }


def compare(
    predictions: dict[str, list[Prediction]], metrics: dict[str, Any], run: Path, data: Path
) -> dict[str, Any]:
    """Return the differences that the demo is about, with 95 % intervals by photograph."""
    sft, rl = judge(predictions["sft"]), judge(predictions["rl"])
    constant = best_constant(sft)
    rl_rows = load_rows(data / "rl", "train", ("id", "source"))
    weights = json.loads((run / "grpo" / "run.json").read_text())["config"]["reward_weights"]
    before, after = (run / folder / "samples.jsonl" for folder in ("filter", "rewards-rl"))
    units = dict(zip(rl_rows["id"], rl_rows["source"], strict=True))
    ratios = [
        r["sampling/importance_sampling_ratio/mean"]
        for r in read_log(run / "grpo")
        if "sampling/importance_sampling_ratio/mean" in r
    ]
    return {
        "best_constant": constant,
        "sft_minus_constant": vars(accuracy_difference(sft, constant_answer(sft, constant))),
        "rl_minus_sft": vars(accuracy_difference(rl, sft)),
        "rl_set_reward": reward_gain(before, after, weights, units),
        "importance_ratio_range": [min(ratios), max(ratios)],
        "rl_thinking_rate": {b: metrics["rl"][b]["thinking_rate"] for b in QUESTION_BANKS},
        "rl_unparsed_rate": metrics["rl"]["all"]["n_unparsed"] / metrics["rl"]["all"]["n"],
    }


def with_interval(gain: dict[str, Any], form: str, factor: float = 1.0) -> str:
    """Return a difference and its 95 % interval, times ``factor``."""
    text = f"{factor * gain['difference']:+{form}}"
    if gain["ci95"] is None:
        return f"{text} (too few photographs for an interval)"
    low, high = (factor * value for value in gain["ci95"])
    return f"{text} [{low:+{form}}, {high:+{form}}]"


def describe(results: dict[str, Any]) -> list[str]:
    """Return ``compare``'s result in sentences."""
    gain = results["rl_set_reward"]
    thinking = results["rl_thinking_rate"]
    low, high = results["importance_ratio_range"]
    return [
        f"accuracy, SFT minus always {results['best_constant']}, points: "
        + with_interval(results["sft_minus_constant"], ".1f", 100.0),
        "accuracy, RL minus SFT, points: " + with_interval(results["rl_minus_sft"], ".1f", 100.0),
        f"mean reward on the RL set ({gain['n_rows']} rows, sampled): SFT {gain['before']:.3f}, "
        f"RL {gain['after']:.3f}, difference {with_interval(gain, '.3f')}",
        f"thinking rate after RL: {thinking['simple']:.3f} under simple questions, "
        f"{thinking['hard']:.3f} under hard ones",
        f"unparsed after RL: {100 * results['rl_unparsed_rate']:.1f} %",
        f"importance ratio of trainer and vLLM, mean of a step: {low:.3f} to {high:.3f}",
    ]


def pick_samples(predictions: dict[str, list[Prediction]], data: Path) -> list[dict[str, Any]]:
    """Return four test images with the answers to both banks, drawn by the hash of their ids."""
    rows = load_rows(data / "test", "test", ("id", "images", "label"))
    index = {row_id: i for i, row_id in enumerate(rows["id"])}
    answers = {
        name: {(p.id, p.question_bank): p for p in items} for name, items in predictions.items()
    }
    drawn = sorted(predictions["rl"], key=lambda p: stable_integer(p.id))
    picked: list[Prediction] = []
    for label, category in SAMPLES:
        fits = [p for p in drawn if p.label == label and category in (None, p.category)]
        picked += [p for p in fits if p.id not in {q.id for q in picked}][:1]
    prompts = load_prompts()
    return [
        {
            "image": rows[index[p.id]]["images"][0],
            "truth": f"{p.label} ({p.generator}, {p.category})",
            "answers": [
                (bank, METHODS[name], prompts.question(bank, p.id, 0), answers[name][p.id, bank])
                for bank in QUESTION_BANKS
                for name in METHODS
            ],
        }
        for p in picked
    ]


def sample_text(samples: list[dict[str, Any]]) -> str:
    """Return the samples as Markdown."""
    lines = ["Sample answers, drawn by the hash of the image's id, not picked:", ""]
    for number, sample in enumerate(samples, start=1):
        lines += [f"{number}. {sample['truth']}"]
        for _, method, question, answer in sample["answers"]:
            text = answer.completion.replace("\n", "\\n")[:MAX_SHOWN]
            lines.append(f"   - {question} **{method}**: `{text}`")
    return "\n".join(lines) + "\n"
