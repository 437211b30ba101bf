"""An evaluation folder made up for tests, with every file that one can hold."""

import json
import random
from pathlib import Path

from rewards.answer_format import render_answer
from rewards.labels import ALL_BANKS, LABELS
from rewards.records import Prediction, format_lines

N_IMAGES, N_SAMPLES = 40, 5
THINKING_RATE = {"simple": 0.1, "hard": 0.9, "neutral": 0.5}


def make_predictions(seed: int, mode: str | None = None, p_wrong: float = 0.25) -> list[Prediction]:
    """Return answers to ``N_IMAGES`` images of 20 photographs under every bank."""
    draw = random.Random(seed)
    predictions = []
    for i in range(N_IMAGES):
        label = LABELS[i % 2]
        for bank in ALL_BANKS:
            says = label if draw.random() > p_wrong else LABELS[(i + 1) % 2]
            thinks = draw.random() < THINKING_RATE[bank] if mode is None else mode == "think"
            reasoning = f"The grain at spot {i} is uneven. So the image is {says}." * thinks
            predictions.append(
                Prediction(
                    id=f"chameleon/{i}.png" if i < 4 else f"doc/{i}.png",
                    label=label,
                    question_bank=bank,
                    completion=render_answer(says, reasoning),
                    n_completion_tokens=7 + 15 * thinks,
                    source=f"photograph-{i // 2}",
                    generator="SD" if label == "fake" else None,
                    category=("animal", "doc")[i // 4 % 2],
                    p_fake=round(min(1, max(0, draw.gauss(0.3 + 0.4 * (label == "fake"), 0.2))), 2),
                    width=100 + 40 * i,
                    height=90,
                    reference="The grain is uneven. The image is fake." if bank == "hard" else None,
                )
            )
    return predictions


def write_folder(folder: Path, seed: int = 0) -> Path:
    """Write predictions, forced modes, samples and one changed copy of the images."""
    (folder / "robustness").mkdir(parents=True)
    files = {
        "predictions": make_predictions(seed),
        "forced_direct": make_predictions(seed + 1, "direct"),
        "forced_think": make_predictions(seed + 2, "think"),
        "robustness/jpeg-50": make_predictions(seed + 3, p_wrong=0.4),
    }
    for name, predictions in files.items():
        (folder / f"{name}.jsonl").write_text(format_lines(predictions), encoding="utf-8")
    draw = random.Random(seed)
    lines = []
    for p in files["predictions"]:
        completions = [render_answer(draw.choice(LABELS)) for _ in range(N_SAMPLES)]
        record = {
            "id": p.id,
            "question_bank": p.question_bank,
            "label": p.label,
            "completions": completions,
            "n_completion_tokens": [7] * N_SAMPLES,
        }
        lines.append(json.dumps(record) + "\n")
    (folder / "samples.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder
