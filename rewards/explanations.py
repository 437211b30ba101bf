"""Whether a completion's explanation fits its verdict, and the data set's own explanation."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from tqdm import tqdm

from rewards.bootstrap import estimate, ratio
from rewards.labels import LABELS
from rewards.records import Prediction
from rewards.scoring import score_completion
from rewards.verdict import find_verdict

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def conclusion(reasoning: str) -> str | None:
    """Return the verdict of the last sentence of ``reasoning`` that states one.

    Read by ``rewards.verdict.find_verdict``, so in the words "real" and "fake" alone. None where no
    sentence states a single one.
    """
    for sentence in reversed(_SENTENCE_END.split(reasoning)):
        lower = sentence.lower()
        if any(label in lower for label in LABELS):
            verdict = find_verdict(sentence)
            if verdict is not None:
                return verdict
    return None


def consistency(completions: Iterable[str]) -> dict[str, Any]:
    """Return how often the verdict is what the reasoning concludes.

    Over the completions with text in their think block, each in one of four counts: ``n_agree``,
    ``n_disagree``, ``n_no_conclusion`` (the reasoning states no verdict of its own),
    ``n_no_verdict`` (the answer states none). ``agreement`` is agree / (agree + disagree).
    """
    counts = dict.fromkeys(("n_agree", "n_disagree", "n_no_conclusion", "n_no_verdict"), 0)
    kinds: dict[str, str | None] = {}  # many completions are one and the same text
    for text in completions:
        if text not in kinds:
            kinds[text] = _consistency_of(text)
        kind = kinds[text]
        if kind is not None:
            counts[kind] += 1
    n_stated = counts["n_agree"] + counts["n_disagree"]
    return {
        "n_reasoned": sum(counts.values()),
        **counts,
        "agreement": counts["n_agree"] / n_stated if n_stated else None,
    }


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


def _consistency_of(text: str) -> str | None:
    scored = score_completion(text, LABELS[0])
    if not scored.reasoning:
        return None
    if scored.verdict is None:
        return "n_no_verdict"
    concluded = conclusion(scored.reasoning)
    if concluded is None:
        return "n_no_conclusion"
    return "n_agree" if concluded == scored.verdict else "n_disagree"
