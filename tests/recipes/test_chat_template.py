"""A model whose chat template drops or adds think tags is refused, or given another template."""

from pathlib import Path
from typing import Any

import pytest
from trl import chat_template_utils

from recipes.chat_template import find_faults
from recipes.demo import BASE_MODEL
from recipes.vlm import load_processor
from rewards.errors import UserError

MODEL = str(Path(__file__).parents[2] / BASE_MODEL)
TRLS = Path(chat_template_utils.__file__).parent / "chat_templates"
TURN = (
    "<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}TEXT{% endif %}{% endfor %}<|im_end|>\n"
)
EACH = "{% for message in messages %}" + TURN + "{% endfor %}"
OPENING = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
THINKING = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
DIRECT = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
VERBATIM = "{{ part['text'] }}"
# Qwen3's text models keep what stands after the block only.
STRIPPED = (
    "{{ part['text'].split('</think>')[-1] if message['role'] == 'assistant' else part['text'] }}"
)
TRIMMED = (
    "{{ part['text'].replace('\\n', ' ') if message['role'] == 'assistant' else part['text'] }}"
)
# Adds an empty block to each answer, as some templates do for answers without reasoning.
ADDED = "{{ '<think>\\n\\n</think>\\n\\n' if message['role'] == 'assistant' else '' }}" + VERBATIM


def faults_of(template: str) -> list[str]:
    processor: Any = load_processor(MODEL)
    processor.chat_template = template
    return find_faults(processor)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
def test_templates_of_the_configurations_models_bring_answers_as_they_are(name: str) -> None:
    assert faults_of((TRLS / f"{name}.jinja").read_text(encoding="utf-8")) == []


def test_plain_template_is_fine() -> None:
    assert faults_of(EACH.replace("TEXT", VERBATIM) + OPENING) == []


@pytest.mark.parametrize(
    ("text", "opening", "message"),
    [
        pytest.param(STRIPPED, OPENING, "changes the answer", id="drops the block"),
        pytest.param(TRIMMED, OPENING, "changes the answer", id="changes line breaks"),
        pytest.param(ADDED, OPENING, "does not continue", id="adds an empty block"),
        pytest.param(VERBATIM, THINKING, "before the answer", id="opens a block"),
        pytest.param(VERBATIM, DIRECT, "before the answer", id="closes a block"),
    ],
)
def test_template_that_touches_answers_is_found(text: str, opening: str, message: str) -> None:
    assert message in faults_of(EACH.replace("TEXT", text) + opening)[0]


def test_template_with_another_prompt_for_generation_is_found() -> None:
    template = "{% if add_generation_prompt %}Think!{% endif %}" + EACH.replace("TEXT", VERBATIM)
    assert "another way" in faults_of(template)[0]


def test_loading_such_a_model_is_refused_unless_it_is_given_a_template(tmp_path: Path) -> None:
    processor: Any = load_processor(MODEL)
    processor.chat_template = EACH.replace("TEXT", VERBATIM) + THINKING
    processor.save_pretrained(tmp_path / "thinking")
    config = (Path(MODEL) / "config.json").read_text(encoding="utf-8")
    (tmp_path / "thinking" / "config.json").write_text(config, encoding="utf-8")
    model = str(tmp_path / "thinking")
    with pytest.raises(UserError, match=r"puts a think tag before the answer.*chat_template_file"):
        load_processor(model)
    own = tmp_path / "own.jinja"
    own.write_text(EACH.replace("TEXT", VERBATIM) + OPENING, encoding="utf-8")
    given: Any = load_processor(model, chat_template_file=str(own))
    assert given.chat_template == own.read_text(encoding="utf-8")
    # The next stage finds it with the checkpoint.
    given.save_pretrained(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "config.json").write_text(config, encoding="utf-8")
    assert find_faults(load_processor(str(tmp_path / "checkpoint"))) == []


def test_missing_template_file_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"nowhere\.jinja does not exist"):
        load_processor(MODEL, chat_template_file="nowhere.jinja")
