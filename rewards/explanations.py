"""How near a completion's explanation is to the data set's own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from tqdm import tqdm

from rewards.bootstrap import estimate, ratio
from rewards.labels import LABELS
from rewards.records import Prediction
from rewards.scoring import score_completion


def explanation(completion: str) -> str:
    """Return what explains a verdict: the reasoning, or the whole text where no block holds any."""
    reasoning = score_completion(completion, LABELS[0]).reasoning
    return reasoning or completion.replace("<think>", " ").replace("</think>", " ").strip()


def rouge_l(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Return ROUGE-L (F-measure, Porter-stemmed) of each text against its reference."""
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    pairs = tqdm(
        zip(references, texts, strict=True),
        total=len(texts),
        desc="ROUGE-L",
        disable=len(texts) < 1000,
    )
    return np.array([scorer.score(reference, text)["rougeL"].fmeasure for reference, text in pairs])


def compare_explanations(
    predictions: Sequence[Prediction],
    unit: np.ndarray,
    n_bootstrap: int,
    seed: int,
    embedding_model: str | None = None,
) -> dict[str, Any] | None:
    """Return how near the explanations are to the references; None where there is no reference.

    Of the predictions with a reference, those that think are compared; ``n_without_explanation``
    counts the others.

    Args:
        predictions: n predictions.
        unit: What the bootstrap draws, shape (n,).
        n_bootstrap: Rounds of the bootstrap.
        seed: Seed of the bootstrap.
        embedding_model: Folder of a transformers text model; None: no embedding similarity.
    """
    referenced = [i for i, p in enumerate(predictions) if p.reference]
    if not referenced:
        return None
    rows = [i for i in referenced if score_completion(predictions[i].completion, "real").thinking]
    result: dict[str, Any] = {
        "n": len(rows),
        "n_without_explanation": len(referenced) - len(rows),
        "rouge_l": None,
        "embedding": None,
    }
    if not rows:
        return result
    texts = [explanation(predictions[i].completion) for i in rows]
    references = [predictions[i].reference or "" for i in rows]
    ones = np.ones(len(rows))

    def mean(values: np.ndarray) -> dict[str, Any]:
        return estimate(ratio, [values, ones], unit[rows], n_bootstrap, seed)

    result["rouge_l"] = mean(rouge_l(texts, references))
    if embedding_model is not None:
        from rewards.embedding import cosine_similarity  # loads torch and transformers

        similarity = cosine_similarity(texts, references, embedding_model)
        result["embedding"] = {"model": embedding_model, **mean(similarity)}
    return result
