"""The completions of a GRPO step as a table: what the curves are made of.

Every N steps all completions of the last generation are appended to ``completions.jsonl``, a line
each, and sent to wandb as a table with their images where wandb is on. TRL's own table
(``log_completions``) gathers every image of every step from all processes; here the main process
reads the images of a table from the data set, by id.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from PIL import Image

from recipes.image_sizing import decode
from recipes.partial import append_chunk
from rewards import parse_answer
from rewards.completions import completion_text
from rewards.thinking import thinks

FILE = "completions.jsonl"
ROW_COLUMNS = ("id", "question_bank", "question", "label")
IMAGE_PX = 256  # longest side of a table's image: enough to see, little to send


class TablesCompletions:
    """Put before ``GRPOTrainer``: writes a table every ``completions_every`` steps, 0 for none."""

    completions_every: int = 0
    args: Any
    state: Any
    train_dataset: Any
    reward_weights: Any
    _logs: dict[str, Any]
    _table_step: int = -1
    _index_by_id: dict[str, int] | None = None

    def _calculate_rewards(self, inputs: list[dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        stock: Any = super()
        rewards = stock._calculate_rewards(inputs, *args, **kwargs)
        if self.completions_every:
            for name in ROW_COLUMNS:
                stock._log_completion_extra(name, [row.get(name) for row in inputs])
        return rewards

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as TRL does; write the table when it is due."""
        stock: Any = super()
        stock.log(logs, start_time)
        step = self.state.global_step
        due = self.completions_every and (step - 1) % self.completions_every == 0
        if due and step != self._table_step and self.state.is_world_process_zero:
            self._table_step = step
            records = self._records(step)
            append_chunk(Path(self.args.output_dir) / FILE, records)
            if "wandb" in self.args.report_to and wandb.run is not None:
                table = self._wandb_table(records)
                wandb.log({"completions": table, "train/global_step": step})

    def _records(self, step: int) -> list[dict[str, Any]]:
        names = list(self._logs["rewards"])
        parts = np.array([list(self._logs["rewards"][name]) for name in names]).T
        weighted = np.nansum(parts * self.reward_weights.cpu().numpy(), axis=1)
        columns = {name: list(self._logs["extra"][name]) for name in ROW_COLUMNS}
        records = []
        for index, completion in enumerate(self._logs["completion"]):
            text = completion_text(completion)
            answer = parse_answer(text)
            values = zip(names, parts[index].tolist(), strict=True)
            records.append(
                {
                    "step": step,
                    **{name: values[index] for name, values in columns.items()},
                    "completion": text,
                    "verdict": answer.verdict,
                    "thinking": thinks(text),
                    "well_formed": answer.well_formed,
                    # None: this reward does not judge this question
                    **{name: None if math.isnan(value) else value for name, value in values},
                    "reward": float(weighted[index]),
                    "advantage": float(self._logs["advantages"][index]),
                }
            )
        return records

    def _wandb_table(self, records: list[dict[str, Any]]) -> wandb.Table:
        images: dict[str, wandb.Image] = {}
        for record in records:
            if record["id"] not in images:
                images[record["id"]] = wandb.Image(self._image(record["id"]))
        columns = list(records[0])
        rows: Any = [
            [images[record["id"]], *(record[name] for name in columns)] for record in records
        ]
        return wandb.Table(columns=["image", *columns], data=rows)

    def _image(self, row_id: str) -> Image.Image:
        if self._index_by_id is None:
            ids = self.train_dataset["id"]
            self._index_by_id = {row_id: index for index, row_id in enumerate(ids)}
        image = decode(self.train_dataset[self._index_by_id[row_id]]["images"][0]).convert("RGB")
        image.thumbnail((IMAGE_PX, IMAGE_PX))
        return image
