"""What an evaluation asks and writes, and that a killed one goes on to the same result."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.prompts import load_prompts
from recipes import eval as eval_recipe
from rewards.errors import UserError
from rewards.records import Prediction
from tests.recipes.conftest import StubGenerator, small_rows


def run_eval(monkeypatch, data: Path, model: Path, output_dir: Path, **options) -> None:
    words = {"model_name_or_path": model, "dataset_name": data, "output_dir": output_dir}
    words |= {"chunk_rows": 2, "n_bootstrap": 20, **options}
    argv = [word for key, value in words.items() for word in (f"--{key}", str(value))]
    monkeypatch.setattr(sys, "argv", ["eval", *argv])
    eval_recipe.main()


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_image_is_asked_under_both_banks(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator: type[StubGenerator]
) -> None:
    asked = []
    answer = stub_generator._answer
    monkeypatch.setattr(
        stub_generator,
        "_answer",
        lambda self, request, index: asked.append(request) or answer(self, request, index),
    )
    run_eval(monkeypatch, write_rows(small_rows(6), "test"), model_folder, tmp_path / "out")
    lines = read_lines(tmp_path / "out" / "predictions.jsonl")
    assert [(line["id"], line["question_bank"]) for line in lines] == [
        (f"row-{index}", bank) for index in range(6) for bank in ("simple", "hard")
    ]
    prompts = load_prompts()
    for line, request in zip(lines, asked, strict=True):
        bank = line["question_bank"]
        system, user = request.prompt
        assert system["content"] == prompts.system
        assert user["content"] == prompts.question(bank, line["id"], 0)
        assert line["completion"].startswith("<think></think>")
        assert line["n_completion_tokens"] == len(line["completion"])
        assert line["question"] == user["content"]
        assert (line["width"], line["height"]) == (56, 56)
    assert set(lines[0]) == {*Prediction.__dataclass_fields__, "n_prompt_tokens"}
    # Rows 2 and 3 of every four reason; the others' gold answers explain nothing.
    references = {line["id"]: line["reference"] for line in lines}
    assert references["row-2"] == "Edges are soft."
    assert references["row-0"] is None


def test_output_files(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    out = tmp_path / "out"
    data = write_rows(small_rows(8), "test")
    run_eval(monkeypatch, data, model_folder, out, name="stub", bootstrap_unit="source")
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"all", "simple", "hard"} < set(metrics)
    assert "neutral" not in metrics
    assert (metrics["all"]["n"], metrics["simple"]["n"], metrics["hard"]["n"]) == (16, 8, 8)
    table = (out / "table1.md").read_text()
    assert "| stub | simple |" in table
    assert "| always fake |" in table
    assert (out / "token_lengths.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "predictions.partial.jsonl").exists()


@pytest.mark.parametrize("cut_lines", [0, 1], ids=["between chunks", "between an image's banks"])
def test_killed_evaluation_goes_on_to_the_same_files(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator, cut_lines: int
) -> None:
    data = write_rows(small_rows(6), "test")
    run_eval(monkeypatch, data, model_folder, tmp_path / "whole", name="stub")
    stub_generator.n_calls, stub_generator.killed_at_call = 0, 2
    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        run_eval(monkeypatch, data, model_folder, out, name="stub")
    assert not (out / "metrics.json").exists()
    assert not (out / "predictions.jsonl").exists()
    if cut_lines:
        partial = out / "predictions.partial.jsonl"
        lines = partial.read_bytes().splitlines(keepends=True)
        partial.write_bytes(b"".join(lines[:-cut_lines]) + lines[-1][:9])
    stub_generator.killed_at_call = None
    run_eval(monkeypatch, data, model_folder, out, name="stub")
    for name in ("predictions.jsonl", "metrics.json", "table1.md"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_another_model_is_not_answered_from_the_old_predictions(
    monkeypatch, tmp_path, write_rows: Callable, model_folder, stub_generator
) -> None:
    data = write_rows(small_rows(4), "test")
    run_eval(monkeypatch, data, model_folder, tmp_path / "out")
    (model_folder / "model.safetensors").write_bytes(b"trained again")
    with pytest.raises(UserError, match="model_fingerprint"):
        run_eval(monkeypatch, data, model_folder, tmp_path / "out")
    run_eval(monkeypatch, data, model_folder, tmp_path / "out", restart="true")
    assert stub_generator.n_started == 2
