"""Small data sets and a stand-in for vLLM."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from PIL import Image

from data_prep.prompts import load_prompts
from data_prep.rows import ROW_FEATURES, make_row
from data_prep.writer import write_datasets
from recipes.generation import EngineArguments, Generated, Request


def _image(shade: int) -> dict[str, bytes | str]:
    buffer = io.BytesIO()
    Image.new("RGB", (56, 56), (shade, 64, 128)).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": f"{shade}.png"}


def small_rows(n_rows: int) -> Dataset:
    """Return rows of both labels and both banks, four to a photograph."""
    rows = [
        make_row(
            row_id=f"row-{index}",
            image=_image(index),
            label=("real", "fake")[index % 2],
            question_bank=("simple", "hard")[index // 2 % 2],
            reasoning="Edges are soft.",
            source=f"photograph-{index // 4}",
            generator=("camera", "network")[index % 2],
            category=("photograph", "subtle")[index % 2],
            prompts=load_prompts(),
            seed=0,
        )
        for index in range(n_rows)
    ]
    return Dataset.from_list(rows, features=ROW_FEATURES)


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[[Dataset, str], Path]:
    """Return a function that writes rows as a data set folder with one split."""

    def write(rows: Dataset, split: str) -> Path:
        folder = tmp_path / f"rows-{split}"
        write_datasets({split: rows}, folder, title="rows", description="rows", command="test")
        return folder

    return write


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """Return a folder that passes for a model where none is loaded."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


class StubGenerator:
    """Answers by the request alone, as vLLM does; may be killed before a call."""

    killed_at_call: int | None = None
    n_calls = 0
    n_started = 0

    def __init__(self, args: EngineArguments, seed: int) -> None:
        type(self).n_started += 1

    def __call__(
        self,
        requests: Sequence[Request],
        *,
        num_generations: int = 1,
        temperature: float = 0.0,
        max_completion_length: int = 512,
        score_verdicts: bool = False,
    ) -> list[list[Generated]]:
        cls = type(self)
        if cls.n_calls == cls.killed_at_call:
            raise KeyboardInterrupt
        cls.n_calls += 1
        return [
            [self._answer(request, index) for index in range(num_generations)]
            for request in requests
        ]

    def stream(
        self, requests: Sequence[Request], **settings: Any
    ) -> Iterator[list[tuple[int, list[Generated]]]]:
        yield list(enumerate(self(requests, **settings)))

    def _answer(self, request: Request, index: int) -> Generated:
        red = request.image.getpixel((0, 0))[0]
        verdict = ("real", "fake")[(red + (request.seed + index) % 3 // 2) % 2]
        text = f"{request.start or '<think></think>'}{verdict}"
        return Generated(text, len(text))


@pytest.fixture
def stub_generator(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[StubGenerator]]:
    """Put ``StubGenerator`` in the place of vLLM."""

    class Stub(StubGenerator):
        pass

    monkeypatch.setattr("recipes.row_samples.Generator", Stub)
    monkeypatch.setattr("recipes.eval.Generator", Stub)
    yield Stub
