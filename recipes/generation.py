"""The one way to sample from a model with vLLM: the filter and the evaluation use it.

On a machine without a GPU the same code runs on vLLM's CPU back end.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch._dynamo

from recipes.verdict_probability import TOP_LOGPROBS, verdict_probability
from recipes.vlm import image_limits, load_processor


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
    max_tiles: int | None = field(
        default=None, metadata={"help": "Tiles an image is cut into at most (InternVL)."}
    )
    chat_template_file: str | None = field(
        default=None, metadata={"help": "Jinja file in the place of the model's chat template."}
    )


@dataclass(frozen=True)
class Request:
    """One prompt with its image.

    Attributes:
        prompt: Conversation as in the ``prompt`` column: system turn, user turn.
        image: PIL image, put before the text of the first user turn as TRL does.
        seed: Of the sampling; the same request gives the same samples whatever runs beside it.
        start: What the completion is made to begin with; it is part of the completion.
        encoded: The image as a file's bytes, where ``image`` is what they hold, unchanged.
    """

    prompt: Sequence[dict[str, str]]
    image: Any
    seed: int
    start: str = ""
    encoded: bytes | None = None


@dataclass(frozen=True)
class Generated:
    """One completion.

    Attributes:
        text: With the start that was forced, if any.
        n_tokens: Its length, the start and the end-of-turn token included.
        n_prompt_tokens: Length of its prompt, image tokens included; None if not told.
        p_fake: See ``recipes.verdict_probability``; None if not asked for or not defined.
    """

    text: str
    n_tokens: int
    n_prompt_tokens: int | None = None
    p_fake: float | None = None


def prepare_engine() -> None:
    """Set what vLLM reads from the environment; call before the engine is made."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # nothing is sent anywhere
    if torch.cuda.is_available():
        return
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    # vLLM's CPU sampler would compile a small function with g++, which a machine may lack, and
    # which takes longer here than it saves.
    torch._dynamo.config.disable = True


class Generator:
    """A vLLM engine with the model's own processor and chat template."""

    def __init__(self, args: EngineArguments, seed: int) -> None:
        """Start the engine.

        Raises:
            UserError: There is no model at ``args.model_name_or_path``.
        """
        limits = image_limits(args.min_pixels, args.max_pixels, args.max_tiles)
        self.processor = load_processor(
            args.model_name_or_path,
            args.min_pixels,
            args.max_pixels,
            args.max_tiles,
            args.chat_template_file,
        )
        prepare_engine()
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        import vllm

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
        score_verdicts: bool = False,
    ) -> list[list[Generated]]:
        """Return ``num_generations`` completions of each request; temperature 0 is greedy.

        ``score_verdicts`` asks for their ``p_fake`` too.
        """
        n_start = [self._n_tokens(request.start) for request in requests]
        parameters = [
            self._vllm.SamplingParams(
                n=num_generations,
                temperature=temperature,
                max_tokens=max_completion_length - n,
                seed=request.seed if temperature else None,
                logprobs=TOP_LOGPROBS if score_verdicts else None,
            )
            for request, n in zip(requests, n_start, strict=True)
        ]
        prompts: list[Any] = [
            {"prompt": self._render(request), "multi_modal_data": {"image": request.image}}
            for request in requests
        ]
        outputs = self._engine.generate(prompts, parameters, use_tqdm=False)
        return [
            [
                Generated(
                    text=request.start + sample.text,
                    n_tokens=n + len(sample.token_ids),
                    n_prompt_tokens=len(output.prompt_token_ids or ()) - n,
                    p_fake=_p_fake(request.start, sample) if score_verdicts else None,
                )
                for sample in output.outputs
            ]
            for request, n, output in zip(requests, n_start, outputs, strict=True)
        ]

    def stream(
        self, requests: Sequence[Request], **settings: Any
    ) -> Iterator[list[tuple[int, list[Generated]]]]:
        """Yield the answers with the places of their requests, in one piece: the engine batches."""
        yield list(enumerate(self(requests, **settings)))

    def _n_tokens(self, text: str) -> int:
        tokenizer: Any = self.processor
        return len(tokenizer.tokenizer(text).input_ids) if text else 0

    def _render(self, request: Request) -> str:
        """Return the prompt's text, with one image placeholder."""
        turns: list[dict[str, Any]] = [dict(turn) for turn in request.prompt]
        first_user = next(turn for turn in turns if turn["role"] == "user")
        text = {"type": "text", "text": first_user["content"]}
        first_user["content"] = [{"type": "image"}, text]
        text: Any = self.processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False
        )
        return text + request.start


def _p_fake(start: str, sample: Any) -> float | None:
    """Return the score of a vLLM completion that was made to begin with ``start``."""
    drawn = [
        choices[token_id].decoded_token or ""
        for token_id, choices in zip(sample.token_ids, sample.logprobs, strict=True)
    ]

    def alternatives_at(index: int) -> list[tuple[str, float]]:
        if index == 0:
            return []
        return [(c.decoded_token or "", c.logprob) for c in sample.logprobs[index - 1].values()]

    found = verdict_probability(start + sample.text, [start, *drawn], alternatives_at)
    return found.p_fake if found else None
