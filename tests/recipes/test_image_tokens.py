"""One image, one placeholder: see also test_pipeline.py, which counts them in a real engine."""

import pytest
from trl import GRPOTrainer

from recipes import image_tokens
from recipes.image_tokens import ImageTokenGRPOTrainer, collapse_runs, vision_token_ban
from rewards.errors import UserError

PAD = 9


@pytest.mark.parametrize(
    ("token_ids", "expected"),
    [
        pytest.param([], [], id="empty"),
        pytest.param([1, 2, 3], [1, 2, 3], id="no image"),
        pytest.param([1, PAD, 2], [1, PAD, 2], id="one placeholder stays"),
        pytest.param([1, PAD, PAD, PAD, 2], [1, PAD, 2], id="a run"),
        pytest.param([PAD, PAD, 1], [PAD, 1], id="at the start"),
        pytest.param([1, PAD, PAD], [1, PAD], id="at the end"),
        pytest.param([1, PAD, PAD, 2, PAD, PAD, 3], [1, PAD, 2, PAD, 3], id="two images"),
        pytest.param([1, 1, 2, 2], [1, 1, 2, 2], id="other tokens may repeat"),
    ],
)
def test_runs_of_the_image_token_become_one(token_ids: list[int], expected: list[int]) -> None:
    assert collapse_runs(token_ids, PAD) == expected


@pytest.mark.parametrize(
    ("settings", "images", "collapsed"),
    [
        pytest.param({}, [["image"]], True, id="colocate"),
        pytest.param({}, None, False, id="no image"),
        pytest.param({"vllm_mode": "server"}, [["image"]], False, id="server"),
        pytest.param({"use_vllm": False}, [["image"]], False, id="no vLLM"),
    ],
)
def test_vllm_in_the_same_process_gets_one_placeholder(
    monkeypatch: pytest.MonkeyPatch, settings: dict, images: list | None, collapsed: bool
) -> None:
    monkeypatch.setattr(
        GRPOTrainer, "_generate_single_turn", lambda self, prompt_ids, images: prompt_ids
    )
    trainer = ImageTokenGRPOTrainer.__new__(ImageTokenGRPOTrainer)
    stock = {"_image_pad_token_id": PAD, "use_vllm": True, "vllm_mode": "colocate"}
    vars(trainer).update({**stock, **settings})
    expanded = [[1, PAD, PAD, PAD, 2]]
    assert trainer._generate_single_turn(expanded, images) == (
        [[1, PAD, 2]] if collapsed else expanded
    )
    assert expanded == [[1, PAD, PAD, PAD, 2]]  # the trainer goes on with the expanded prompt


def test_newer_trl_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_tokens.trl, "__version__", "1.17.0")
    with pytest.raises(UserError, match="checked up to"):
        ImageTokenGRPOTrainer()


class _Tokenizer:
    unk_token_id = 0

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int | None]:
        known = {"<|image_pad|>": 5, "<|vision_start|>": 6, "<|vision_end|>": 0}
        return [known.get(token) for token in tokens]


def test_ban_names_the_vision_tokens_that_there_are() -> None:
    assert vision_token_ban(_Tokenizer()) == {5: -100.0, 6: -100.0}
