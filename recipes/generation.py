"""The one way to sample from a model with vLLM: the filter and the evaluation use it.

On a machine without a GPU the same code runs on vLLM's CPU back end.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from data_prep.vllm_settings import prepare_engine
from recipes.vlm import load_processor


@dataclass
class EngineArguments:
    """The model and how vLLM runs it."""

    model_name_or_path: str = field(metadata={"help": "Checkpoint folder or hub id."})
    dtype: str = field(default="auto", metadata={"help": "auto, bfloat16 or float32."})
    max_model_len: int | None = field(
        default=None, metadata={"help": "Prompt and completion, in tokens; none: the model's own."}
    )
    max_num_seqs: int = field(default=128, metadata={"help": "Sequences generated at a time."})
    gpu_memory_utilization: float = field(default=0.9, metadata={"help": "Share of GPU memory."})
    tensor_parallel_size: int = field(default=1, metadata={"help": "GPUs a model is split over."})
    enforce_eager: bool = field(default=False, metadata={"help": "No compilation, no CUDA graphs."})
    min_pixels: int | None = field(default=None, metadata={"help": "Images are enlarged to this."})
    max_pixels: int | None = field(default=None, metadata={"help": "Images are shrunk to this."})


@dataclass(frozen=True)
class Request:
    """One prompt with its image.

    Attributes:
        prompt: Conversation as in the ``prompt`` column: system turn, user turn.
        image: PIL image, put before the text of the first user turn as TRL does.
        seed: Of the sampling; the same request gives the same samples whatever runs beside it.
    """

    prompt: Sequence[dict[str, str]]
    image: Any
    seed: int


@dataclass(frozen=True)
class Generated:
    """One completion and its length in tokens, the end-of-turn token included."""

    text: str
    n_tokens: int


class Generator:
    """A vLLM engine with the model's own processor and chat template."""

    def __init__(self, args: EngineArguments, seed: int) -> None:
        """Start the engine.

        Raises:
            UserError: There is no model at ``args.model_name_or_path``.
        """
        self.processor = load_processor(args.model_name_or_path, args.min_pixels, args.max_pixels)
        prepare_engine()
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        import vllm

        limits = {"min_pixels": args.min_pixels, "max_pixels": args.max_pixels}
        limits = {name: value for name, value in limits.items() if value is not None}
        self._vllm = vllm
        dtype: Any = args.dtype
        self._engine = vllm.LLM(
            model=args.model_name_or_path,
            dtype=dtype,
            max_model_len=args.max_model_len,
            max_num_seqs=args.max_num_seqs,
            gpu_memory_utilization=args.gpu_memory_utilization,
            tensor_parallel_size=args.tensor_parallel_size,
            enforce_eager=args.enforce_eager,
            limit_mm_per_prompt={"image": 1},
            mm_processor_kwargs=limits or None,
            # vLLM 0.31.0 rewinds a seeded request's generator after half a prompt, which only a
            # CUDA generator can do: on the CPU a prompt is read whole.
            enable_chunked_prefill=None if torch.cuda.is_available() else False,
            seed=seed,
        )

    def __call__(
        self,
        requests: Sequence[Request],
        *,
        num_generations: int = 1,
        temperature: float = 0.0,
        max_completion_length: int = 512,
    ) -> list[list[Generated]]:
        """Return ``num_generations`` completions of each request; temperature 0 is greedy."""
        parameters = [
            self._vllm.SamplingParams(
                n=num_generations,
                temperature=temperature,
                max_tokens=max_completion_length,
                seed=request.seed if temperature else None,
            )
            for request in requests
        ]
        prompts: list[Any] = [
            {"prompt": self._render(request), "multi_modal_data": {"image": request.image}}
            for request in requests
        ]
        outputs = self._engine.generate(prompts, parameters, use_tqdm=False)
        return [[Generated(o.text, len(o.token_ids)) for o in output.outputs] for output in outputs]

    def _render(self, request: Request) -> str:
        """Return the prompt's text, with one image placeholder."""
        turns: list[dict[str, Any]] = [dict(turn) for turn in request.prompt]
        first_user = next(turn for turn in turns if turn["role"] == "user")
        text = {"type": "text", "text": first_user["content"]}
        first_user["content"] = [{"type": "image"}, text]
        return self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
