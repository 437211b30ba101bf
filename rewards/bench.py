"""Time and memory of scoring: ``python -m rewards.bench``, about a minute.

Made-up predictions (each image under both banks, direct answers and paragraphs, a score each) go
through what ``make score`` does, in a process of its own. Beside it stand, in the same run:

* a loop that resamples and calls scikit-learn in each round, as one would write it: a few rounds of
  it are timed and multiplied;
* the least that anything must do: parse the file's JSON.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from rewards.answer_format import render_answer
from rewards.errors import run_cli
from rewards.files import write_json
from rewards.judged import judge
from rewards.labels import LABELS, QUESTION_BANKS
from rewards.metrics import split_banks
from rewards.records import Prediction, format_lines, read_predictions
from rewards.summary import SummarySettings, summarise_folder

_ROUNDS_OF_THE_LOOP = 3
_TEXT = """
    the shadow under left chair falls away from lamp while texture of wall looks smooth and grain
    changes near edge hand finger hair background blur light window sky colour pattern letters
"""
_WORDS = _TEXT.split()


def make_predictions(n: int, seed: int = 0) -> list[Prediction]:
    """Return ``n`` made-up predictions, each image under both banks, one in 50 unparsed."""
    rng = np.random.default_rng(seed)
    predictions = []
    for i in range(n):
        bank = QUESTION_BANKS[i % 2]
        label = LABELS[(i // 2) % 2]
        fake = label == "fake"
        says = label if rng.random() < 0.8 else LABELS[int(not fake)]
        n_words = int(rng.integers(30, 120)) if bank == "hard" else 0
        reasoning = " ".join(_WORDS[j] for j in rng.integers(0, len(_WORDS), n_words))
        text = render_answer(says, reasoning)
        predictions.append(
            Prediction(
                id=f"image-{i // 2:06d}",
                label=label,
                question_bank=bank,
                completion=text if rng.random() > 0.02 else f"I cannot tell. {reasoning}",
                n_completion_tokens=7 + n_words,
                generator=f"generator-{i % 8}" if fake else None,
                category=f"category-{i % 7}",
                p_fake=float(np.clip(rng.normal(0.6 if fake else 0.4, 0.2), 0, 1)),
                width=int(rng.integers(100, 1500)),
                height=256,
            )
        )
    return predictions


def main() -> None:
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "predictions.jsonl"
        path.write_text(format_lines(make_predictions(args.n_predictions)), encoding="utf-8")
        # A fresh process: its peak memory is that of the scoring alone.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            ours = pool.apply(_score, (folder, args.n_bootstrap))
        started = time.perf_counter()
        with path.open(encoding="utf-8") as file:
            for line in file:
                json.loads(line)
        parsing_s = time.perf_counter() - started
        loop_s = _loop(path) / _ROUNDS_OF_THE_LOOP * args.n_bootstrap
    result = {
        "n_predictions": args.n_predictions,
        "n_bootstrap": args.n_bootstrap,
        **ours,
        "parsing_json_s": parsing_s,
        "scikit_learn_loop_s": loop_s,
        "loop_over_ours": loop_s / ours["seconds"],
        "ours_over_parsing": ours["seconds"] / parsing_s,
    }
    if args.output is not None:
        write_json(args.output, result)
    for key, value in result.items():
        print(f"{key:22} {value:,.1f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rewards.bench", description=__doc__)
    parser.add_argument("--n_predictions", type=int, default=100_000)
    parser.add_argument("--n_bootstrap", type=int, default=1000)
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    return parser.parse_args()


def _score(folder: Path, n_bootstrap: int) -> dict[str, float]:
    started = time.perf_counter()
    summarise_folder(folder, SummarySettings(n_bootstrap=n_bootstrap))
    seconds = time.perf_counter() - started
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "peak_mib": peak_kib / 1024}


def _loop(path: Path) -> float:
    """Return the seconds of a few rounds of a bootstrap that scores each round anew."""
    parts = split_banks(judge(read_predictions(path))).values()
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    for _ in range(_ROUNDS_OF_THE_LOOP):
        for part in parts:
            drawn = part.select(rng.integers(len(part.label), size=len(part.label)))
            recall_score(drawn.label, drawn.verdict, labels=[0, 1], average="macro")
            for average in ("weighted", "macro"):
                f1_score(drawn.label, drawn.verdict, labels=[0, 1], average=average)
            roc_auc_score(drawn.label, drawn.p_fake)
            average_precision_score(drawn.label, drawn.p_fake)
    return time.perf_counter() - started


if __name__ == "__main__":
    run_cli(main)
