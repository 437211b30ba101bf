"""Similarity of texts by a local embedding model, through transformers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from rewards.errors import UserError

_BATCH = 32


def cosine_similarity(
    texts: Sequence[str], others: Sequence[str], model_folder: str | Path
) -> np.ndarray:
    """Return the cosine of the embeddings of each text and its counterpart, shape (n,).

    A text's embedding is the mean of the model's last hidden state over its tokens, as sentence
    embedding models with mean pooling have it. FakeVLM's "CSS" is a cosine of embeddings too; with
    which model and pooling is not published, so the two numbers must not be compared.

    Args:
        texts: n texts.
        others: n texts.
        model_folder: Folder of a transformers text encoder with its tokenizer.

    Raises:
        UserError: The folder holds no such model.
    """
    if not (Path(model_folder) / "config.json").is_file():
        raise UserError(
            f"embedding model {str(model_folder)!r} is not a folder with a config.json; give the "
            "folder of a transformers text encoder, or none."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_folder, local_files_only=True)
        model = AutoModel.from_pretrained(model_folder, local_files_only=True).eval()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot load embedding model {str(model_folder)!r}: {error}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    both = [*texts, *others]
    order = sorted(range(len(both)), key=lambda i: len(both[i]))  # little padding in a batch
    embeddings: list[torch.Tensor] = [torch.empty(0)] * len(both)
    for start in tqdm(range(0, len(both), _BATCH), desc="embeddings", disable=len(both) < 1000):
        indices = order[start : start + _BATCH]
        batch = tokenizer(
            [both[i] for i in indices],
            padding=True,
            truncation=True,
            max_length=_max_length(model, tokenizer),
            return_tensors="pt",
        ).to(device)
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state  # [batch, tokens, width]
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        for i, vector in zip(indices, pooled.float().cpu(), strict=True):
            embeddings[i] = vector
    first, second = torch.stack(embeddings).split(len(texts))
    return torch.nn.functional.cosine_similarity(first, second).numpy()


def _max_length(model: torch.nn.Module, tokenizer: object) -> int:
    """Return how many tokens the model reads; longer texts are cut."""
    limits = (
        getattr(model.config, "max_position_embeddings", None),
        getattr(tokenizer, "model_max_length", None),
    )
    return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=512)
