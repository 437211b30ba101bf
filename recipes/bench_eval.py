"""How fast the evaluation asks, beside what a user would write otherwise: ``make bench-eval``.

    make bench-eval ARGS="--model_name_or_path runs/demo/sft --n_images 300"

Three ways to ask the same questions of the same model, greedy, with the same limit of new tokens,
one after the other in one run: (a) transformers' ``generate``, one image at a time, as the scripts
of other detectors do; (b) ``generate`` in left-padded batches; (c) this repository's, vLLM.
Start-up (loading, and a warm-up on other images) is timed apart. Prints a Markdown table, writes
JSON, and says how often the three give the same text.
"""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import AutoModelForImageTextToText

from data_prep.prompts import load_prompts
from recipes.config import parse
from recipes.eval_images import open_rows, read_image, stored_rows
from recipes.generation import EngineArguments, Generator, Request
from recipes.run_folder import package_versions
from recipes.vlm import check_model, load_processor
from rewards import QUESTION_BANKS
from rewards.errors import UserError, run_cli
from rewards.files import write_json, write_text

N_WARM_UP = 4  # images
Answer = Callable[[Sequence[Request]], list[str]]


@dataclass
class BenchArguments:
    """What is asked, and how the slower ways run."""

    dataset_name: str = field(metadata={"help": "Data set folder or hub id with the images."})
    output_dir: str = field(metadata={"help": "Gets bench_eval.json and bench_eval.md."})
    split: str = field(default="test", metadata={"help": "Of the data set."})
    n_images: int = field(default=300, metadata={"help": "First images; each under both banks."})
    batch_size: int = field(default=32, metadata={"help": "Of batched generate, in questions."})
    max_completion_length: int = field(default=64, metadata={"help": "In tokens."})
    seed: int = field(default=0, metadata={"help": "Decides the questions."})


class PlainGenerate:
    """transformers' ``generate``, as its documentation has it."""

    def __init__(self, engine_args: EngineArguments, batch_size: int, max_new_tokens: int) -> None:
        """Load model and processor onto the GPU, if there is one."""
        model = engine_args.model_name_or_path
        self._processor: Any = load_processor(model, engine_args.min_pixels, engine_args.max_pixels)
        self._processor.tokenizer.padding_side = "left"
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded: Any = AutoModelForImageTextToText.from_pretrained(model, dtype=engine_args.dtype)
        self._model = loaded.to(self._device).eval()
        self._batch_size, self._max_new_tokens = batch_size, max_new_tokens

    @torch.inference_mode()
    def __call__(self, requests: Sequence[Request]) -> list[str]:
        """Return the answers, batch by batch."""
        texts: list[str] = []
        for start in tqdm(range(0, len(requests), self._batch_size), desc="batches"):
            batch = requests[start : start + self._batch_size]
            inputs = self._processor(
                text=[self._render(request) for request in batch],
                images=[request.image for request in batch],
                padding=True,
                return_tensors="pt",
            ).to(self._device)
            output = self._model.generate(
                **inputs, max_new_tokens=self._max_new_tokens, do_sample=False
            )
            new = output[:, inputs["input_ids"].shape[1] :]
            texts += self._processor.batch_decode(new, skip_special_tokens=True)
        return texts

    def _render(self, request: Request) -> str:
        turns: list[dict[str, Any]] = [dict(turn) for turn in request.prompt]
        content = [{"type": "image"}, {"type": "text", "text": turns[-1]["content"]}]
        turns[-1]["content"] = content
        return self._processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False
        )


def make_requests(args: BenchArguments) -> list[Request]:
    """Return the questions, those of one image side by side, decoded; the warm-up's are last."""
    rows = open_rows(args.dataset_name, args.split, args.n_images + N_WARM_UP)
    if len(rows) < args.n_images + N_WARM_UP:
        raise UserError(
            f"data set {args.dataset_name} has {len(rows)} images, and n_images={args.n_images} "
            f"with {N_WARM_UP} for the warm-up need more; lower n_images."
        )
    prompts = load_prompts()
    requests = []
    for row in stored_rows(rows, range(len(rows))):
        image = read_image(row["images"]).image
        for bank in QUESTION_BANKS:
            question = prompts.question(bank, row["id"], args.seed)
            requests.append(Request(prompts.messages(question), image, 0))
    return requests


def measure(
    name: str, start: Callable[[], Answer], requests: Sequence[Request]
) -> tuple[dict[str, Any], list[str]]:
    """Start one way of asking, warm it up, ask; return its times and its answers."""
    print(f"{name}: {len(requests)} questions", flush=True)
    begin = time.perf_counter()
    answer = start()
    n_asked = len(requests) - N_WARM_UP * len(QUESTION_BANKS)
    answer(requests[n_asked:])
    started = time.perf_counter()
    texts = answer(requests[:n_asked])
    seconds = time.perf_counter() - started
    n_images = n_asked / len(QUESTION_BANKS)
    times = {"start_s": started - begin, "seconds": seconds, "images_per_s": n_images / seconds}
    return {"name": name, **times}, texts


def table_of(results: Sequence[dict[str, Any]], machine: str) -> str:
    """Return the results as a Markdown table, ratios against ours, the last."""
    lines = [
        f"{machine}\n",
        "| Way | Start, s | Asking, s | Images/s | Ours is faster by | Same text as ours |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    ours = results[-1]
    for result in results:
        lines.append(
            f"| {result['name']} | {result['start_s']:.1f} | {result['seconds']:.1f} | "
            f"{result['images_per_s']:.2f} | "
            f"{ours['images_per_s'] / result['images_per_s']:.2f} | {result['same_text']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def machine_in_words() -> str:
    """Return processor or GPU, and the threads that PyTorch takes."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    flags = Path("/proc/cpuinfo")
    names = flags.read_text().splitlines() if flags.is_file() else []
    model = next((line.split(": ")[1] for line in names if line.startswith("model name")), "CPU")
    return f"{model} ({platform.machine()}), {torch.get_num_threads()} threads, no GPU"


def main() -> None:
    """Measure the three ways and report."""
    args, engine_args = parse((BenchArguments, EngineArguments))
    check_model(engine_args.model_name_or_path)
    requests = make_requests(args)
    machine = f"{machine_in_words()}; {args.n_images} images x {len(QUESTION_BANKS)} questions"
    limit = args.max_completion_length

    def start_vllm() -> Answer:
        generate = Generator(engine_args, args.seed)
        return lambda asked: [
            found[0].text for found in generate(asked, max_completion_length=limit)
        ]

    ways: dict[str, Callable[[], Answer]] = {
        "(a) generate, one at a time": lambda: PlainGenerate(engine_args, 1, limit),
        f"(b) generate, batches of {args.batch_size}": lambda: PlainGenerate(
            engine_args, args.batch_size, limit
        ),
        "(c) ours, vLLM": start_vllm,
    }
    measured = [measure(name, start, requests) for name, start in ways.items()]
    ours = measured[-1][1]
    results = [
        {**times, "same_text": sum(map(str.__eq__, texts, ours)) / len(ours)}
        for times, texts in measured
    ]
    folder = Path(args.output_dir)
    write_json(
        folder / "bench_eval.json",
        {"machine": machine, "packages": package_versions(), "results": results},
    )
    table = table_of(results, machine)
    write_text(folder / "bench_eval.md", table)
    print(table)


if __name__ == "__main__":
    run_cli(main)
