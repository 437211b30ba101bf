"""Whether a model's chat template brings the gold answers to the model as they are.

Reasoning models' templates drop the think block of an assistant turn, or open one in the generation
prompt. TRL trains on what the template leaves, without an error: a model that never sees
``<think></think>`` cannot learn to leave the reasoning out.
"""

from pathlib import Path
from typing import Any

from data_prep.prompts import load_prompts
from rewards import render_answer
from rewards.blocks import CLOSE_TAG, OPEN_TAG
from rewards.errors import UserError

GOLD_ANSWERS = (
    render_answer("real"),
    render_answer("fake"),
    render_answer("fake", "The shadows disagree.\n\nThe text is garbled."),
)


def read_chat_template(path: str) -> str:
    """Return the text of a chat template file.

    Raises:
        UserError: The file is missing.
    """
    if not Path(path).is_file():
        raise UserError(f"chat_template_file {path} does not exist; name a Jinja file.")
    return Path(path).read_text(encoding="utf-8")


def render_prompt(processor: Any, prompt: list[dict[str, str]], *, generate: bool) -> str:
    """Return a ``prompt`` column as text, the image before the first user turn's text.

    Args:
        processor: With a chat template.
        prompt: System turn and user turn.
        generate: Whether the assistant's turn is opened, as for generation.
    """
    turns = _with_image(prompt)
    return processor.apply_chat_template(turns, add_generation_prompt=generate, tokenize=False)


def render_row(processor: Any, prompt: list[dict[str, str]], answer: str) -> str:
    """Return prompt and answer as text, as TRL's SFTTrainer renders a row."""
    assistant = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
    turns = [*_with_image(prompt), assistant]
    return processor.apply_chat_template(turns, add_generation_prompt=False, tokenize=False)


def _with_image(prompt: list[dict[str, str]]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = [
        {"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]}
        for turn in prompt
    ]
    first_user = next(turn for turn in turns if turn["role"] == "user")
    first_user["content"].insert(0, {"type": "image"})
    return turns


def find_faults(processor: Any) -> list[str]:
    """Return what the chat template does to the answers; empty where it does nothing."""
    prompt = load_prompts().messages("Is this image real or fake?")
    asked = render_prompt(processor, prompt, generate=False)
    generating = render_prompt(processor, prompt, generate=True)
    if not generating.startswith(asked):
        return ["writes the prompt in another way when it generates"]
    faults = []
    opening = generating[len(asked) :]
    if OPEN_TAG in opening or CLOSE_TAG in opening:
        faults.append(f"puts a think tag before the answer (generation prompt {opening!r})")
    for answer in GOLD_ANSWERS:
        row = render_row(processor, prompt, answer)
        if answer not in row[len(asked) :]:
            faults.append(f"changes the answer {answer!r} to {row[len(asked) :]!r}")
        elif not row.startswith(generating + answer):
            faults.append(f"does not continue the generation prompt with the answer {answer!r}")
    return faults


def check_chat_template(processor: Any, model: str) -> None:
    """Raise a ``UserError`` if the chat template does not bring answers to the model as they are.

    Holds for training and sampling alike: with a tag in the generation prompt no completion would
    have the answer format.
    """
    faults = find_faults(processor)
    if faults:
        raise UserError(
            f"the chat template of {model} {'; it '.join(faults)}. The recipes need the answer as "
            "it is, from <think> on: take the Instruct form of the model, or set "
            "chat_template_file to a template that leaves assistant turns alone (the next stages "
            "take it from the checkpoint)."
        )
