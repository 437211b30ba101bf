"""Stop when a batch goes wrong, and keep that batch.

It goes wrong when the loss is no number, all completions are empty, or a reward function raises.
What is saved in ``<output_dir>/bad_batch/``: ``rank-<r>.json`` to read (ids, texts, what was
wrong) and, for a loss, ``rank-<r>.pt`` with the very tensors.
"""

from pathlib import Path
from typing import Any

import torch

from rewards.completions import completion_text
from rewards.errors import UserError
from rewards.files import write_json

FOLDER = "bad_batch"
_TOKEN_COLUMNS = ("input_ids", "prompt_ids", "completion_ids")
_ROW_COLUMNS = ("id", "question_bank", "label", "question")


class StopsOnBadLoss:
    """Put before a ``Trainer`` class: a training loss that is not finite ends the run."""

    args: Any
    model: Any
    state: Any
    processing_class: Any

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the loss of the class behind, if it is a number.

        Raises:
            UserError: It is none, in training; the batch is saved.
        """
        stock: Any = super()
        result = stock.compute_loss(model, inputs, *args, **kwargs)
        loss = result[0] if isinstance(result, tuple) else result
        if self.model.training and not torch.isfinite(loss).all():
            problem = f"the loss is {loss.item()} in step {self.state.global_step + 1}"
            saved = self._save_tensors(inputs, problem)
            raise UserError(
                f"{problem}: the batch is saved in {saved}. A lower learning_rate or "
                "max_grad_norm, more warmup_steps or float32 weights are the usual cures; the "
                "last checkpoint is from before, and the same command goes on from it."
            )
        return result

    def _save_tensors(self, inputs: dict[str, Any], problem: str) -> Path:
        file = bad_batch_file(self.args)
        tensors = {key: value.cpu() for key, value in inputs.items() if torch.is_tensor(value)}
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(tensors, file.with_suffix(".pt"))
        tokenizer = getattr(self.processing_class, "tokenizer", self.processing_class)
        texts = {
            key: tokenizer.batch_decode(tensors[key]) for key in _TOKEN_COLUMNS if key in tensors
        }
        shapes = {key: list(tensor.shape) for key, tensor in tensors.items()}
        not_finite = [key for key, t in tensors.items() if not torch.isfinite(t.float()).all()]
        write_json(
            file, {"problem": problem, "texts": texts, "shapes": shapes, "not_finite": not_finite}
        )
        return file


class StopsOnBadCompletions:
    """Put before ``GRPOTrainer``: completions all empty, or that cannot be scored, end the run."""

    args: Any
    state: Any

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Any:
        texts = [completion_text(completion) for completion in completions]
        where = f"in step {self.state.global_step + 1}"
        if not any(text.strip() for text in texts):
            problem = f"all {len(texts)} completions of this process are empty {where}"
            saved = self._save_completions(inputs, texts, problem)
            raise UserError(
                f"{problem}: saved in {saved}. Look at the prompt there; does the model answer "
                "it in the evaluation? Pixel limits, chat template or a broken weight sync are the "
                "usual causes."
            )
        stock: Any = super()
        try:
            return stock._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        except Exception as error:
            problem = f"a reward raised {type(error).__name__} {where}: {error}"
            saved = self._save_completions(inputs, texts, problem)
            raise UserError(f"{problem} (its completions are saved in {saved})") from error

    def _save_completions(self, inputs: Any, texts: list[str], problem: str) -> Path:
        records = [
            {key: row[key] for key in _ROW_COLUMNS if key in row}
            | {"prompt": row.get("prompt"), "completion": text}
            for row, text in zip(inputs, texts, strict=True)
        ]
        file = bad_batch_file(self.args)
        write_json(file, {"problem": problem, "completions": _readable(records)})
        return file


def bad_batch_file(args: Any) -> Path:
    """Return where this process saves what went wrong."""
    return Path(args.output_dir) / FOLDER / f"rank-{args.process_index}.json"


def _readable(value: Any) -> Any:
    """Return ``value`` with everything that JSON has no form for, such as images, as text."""
    if isinstance(value, dict):
        return {str(key): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
