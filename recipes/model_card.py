"""The card of a trained model: how it was made, and what its evaluation found."""

import json
from pathlib import Path
from typing import Any

from rewards.files import write_text

CARD = "README.md"
_WHAT_IT_DOES = (
    "Answers whether an image is AI-generated: `<think>…</think>` and then `real` or `fake`; with "
    "nothing to think about, the block is empty. The terms of the base model and of the training "
    "data hold for this model."
)
_EVALUATION = "## Evaluation\n"
# What decides the result, in the order in which one asks for it; the rest stands in run.json.
_SHOWN = (
    *("model_name_or_path", "dataset_name", "seed", "learning_rate", "lr_scheduler_type"),
    *("num_train_epochs", "max_steps", "per_device_train_batch_size"),
    *(
        "gradient_accumulation_steps",
        "dtype",
        "min_pixels",
        "max_pixels",
        "train_vision",
        "use_peft",
    ),
    *("num_generations", "loss_type", "beta", "epsilon", "scale_rewards", "reward_weights"),
    *("hard_bank", "neutral_bank", "temperature", "max_completion_length"),
)


def write_model_card(output_dir: str | Path, stage: str, summary: dict[str, Any]) -> None:
    """Write the model's card from ``run.json`` and the run's summary.

    Args:
        output_dir: Folder of the run, which is the model's.
        stage: "hybrid fine-tuning" or what else made the model.
        summary: Content of ``summary.json``.
    """
    output_dir = Path(output_dir)
    run = json.loads((output_dir / "run.json").read_text(encoding="utf-8"))
    config = run["config"]
    lines = ["---", "library_name: transformers", "pipeline_tag: image-text-to-text"]
    lines += [f"base_model: {json.dumps(str(config['model_name_or_path']))}"]
    lines += ["tags: [trl, fake-hr1, ai-generated-image-detection]", "---", ""]
    lines += [f"# {output_dir.name}: {stage} with fake-hr1", ""]
    lines += [_WHAT_IT_DOES, "", "## Training", ""]
    facts = {
        **{key: config[key] for key in _SHOWN if config.get(key) is not None},
        "steps": summary.get("global_step"),
        "training rows": run["n_rows"],
        "data set fingerprint": run["dataset_fingerprint"],
        "base model fingerprint": run["model_fingerprint"],
        "git commit": run["git_commit"],
        "packages": ", ".join(f"{name} {version}" for name, version in run["packages"].items()),
        "best checkpoint": summary.get("best_checkpoint"),
    }
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in facts.items() if value is not None]
    lines += ["", "Every setting stands in `run.json`.", "", _EVALUATION]
    lines += ["Not evaluated yet: `make eval MODEL=<this folder>` writes its table here.", ""]
    write_text(output_dir / CARD, "\n".join(lines))


def add_evaluation(model: str | Path, table: str, data: str) -> None:
    """Put the table of an evaluation into the model's card, in the place of an earlier one.

    A folder whose card is not ours, and a model that is not a folder, are left alone.

    Args:
        model: What was evaluated.
        table: Markdown, as ``table1.md``.
        data: Name of the data set.
    """
    card = Path(model) / CARD
    if not (Path(model) / "run.json").is_file() or not card.is_file():
        return
    head, heading, _ = card.read_text(encoding="utf-8").partition(_EVALUATION)
    if heading:
        write_text(card, f"{head}{heading}\nOn `{data}`; per cent.\n\n{table.strip()}\n")


def _cell(value: Any) -> str:
    return str(value).replace("|", r"\|").replace("\n", " ")
