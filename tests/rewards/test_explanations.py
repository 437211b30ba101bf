import numpy as np
import pytest
from transformers import BertConfig, BertModel, BertTokenizer

from rewards.embedding import cosine_similarity
from rewards.errors import UserError
from rewards.explanations import compare_explanations, explanation, rouge_l
from tests.rewards.made_up import prediction

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "grain", "is", "even", "soft", "fake"]


@pytest.fixture(scope="module")
def embedding_model(tmp_path_factory):
    """Return the folder of a small text encoder with random weights."""
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=12,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


def test_rouge_l_by_hand():
    # longest common subsequence "the grain is": 3 of 4 and 3 of 6 words; F = 2 * 3 / (4 + 6)
    scores = rouge_l(["the grain is even"], ["the grain in shadows is soft"])
    assert scores == pytest.approx([2 * 3 / (4 + 6)])


def test_what_explains_a_verdict():
    assert explanation("<think>\nthe grain is even\n</think>real") == "the grain is even"
    assert (
        explanation("<think></think>The grain is even, so real.") == "The grain is even, so real."
    )


def explained(reasoning: str, row_id: str, reference: str | None):
    return prediction(row_id, completion=f"<think>{reasoning}</think>real", reference=reference)


def test_only_what_thinks_and_has_a_reference_is_compared():
    predictions = [
        explained("the grain is even", "a", "the grain is even"),
        explained("", "b", "the grain is even"),
        explained("the grain is even", "c", None),
        explained("no word in common", "d", "the grain is even"),
    ]
    result = compare_explanations(predictions, np.arange(4), 50, 0)
    assert result is not None
    assert (result["n"], result["n_without_explanation"]) == (2, 1)
    assert result["rouge_l"]["value"] == pytest.approx((1 + 0) / 2)
    assert result["rouge_l"]["ci95"] == [0, 1]
    assert result["embedding"] is None
    assert compare_explanations(predictions[2:3], np.arange(1), 50, 0) is None


def test_similarity_is_that_of_each_pair_whatever_the_batch(embedding_model):
    texts = ["the grain is even", "soft", "fake fake " * 20] + ["the grain is soft"] * 40
    others = ["the grain is even", "the grain is even", "fake"] + ["fake"] * 40
    together = cosine_similarity(texts, others, embedding_model)
    assert together[0] == pytest.approx(1, abs=1e-5)
    assert together[1] < 0.999
    alone = [
        cosine_similarity([a], [b], embedding_model)[0] for a, b in zip(texts, others, strict=True)
    ]
    assert together == pytest.approx(np.array(alone), abs=1e-5)


def test_the_similarity_names_its_model(embedding_model):
    predictions = [explained("the grain is even", str(i), "the grain is even") for i in range(3)]
    result = compare_explanations(predictions, np.arange(3), 10, 0, embedding_model)
    assert result is not None
    assert result["embedding"]["model"] == embedding_model
    assert result["embedding"]["value"] == pytest.approx(1, abs=1e-5)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a folder with a config"):
        cosine_similarity(["a"], ["b"], tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load embedding model"):
        cosine_similarity(["a"], ["b"], tmp_path)
