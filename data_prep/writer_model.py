"""A language model that answers a conversation: behind an OpenAI-compatible endpoint, or in vLLM.

A model too large for one GPU, or one that runs elsewhere, is served (``vllm serve MODEL``) and
named by its endpoint.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rewards.errors import UserError

Messages = Sequence[dict[str, str]]
# Conversation and seed in, text out; the same seed gives the same text where the engine allows.
WriterModel = Callable[[Messages, int], str]
# Of a request that failed for the moment; the client waits half a second first, then ever longer.
MAX_RETRIES = 4


def is_endpoint(model_or_endpoint: str) -> bool:
    """Whether a name is the base URL of an endpoint, not a model."""
    return model_or_endpoint.startswith(("http://", "https://"))


def open_writer_model(
    model_or_endpoint: str,
    *,
    endpoint_model: str | None = None,
    temperature: float,
    max_completion_length: int,
    timeout_s: float,
    max_model_len: int | None = None,
) -> WriterModel:
    """Return a model that writes.

    Args:
        model_or_endpoint: Base URL of an endpoint ("http://127.0.0.1:8000/v1"), or a model's folder
            or hub id, which vLLM then runs in this process.
        endpoint_model: Which model of the endpoint; None: its only one.
        temperature: Of the sampling.
        max_completion_length: An answer's length at most, in tokens.
        timeout_s: Seconds an endpoint may take for an answer.
        max_model_len: Prompt and answer in tokens, for vLLM; None: the model's own.

    Raises:
        UserError: The endpoint or the model cannot be reached, or is not what is expected.
    """
    if is_endpoint(model_or_endpoint):
        return _Endpoint(
            model_or_endpoint, endpoint_model, temperature, max_completion_length, timeout_s
        )
    return _VllmModel(model_or_endpoint, temperature, max_completion_length, max_model_len)


class _Endpoint:
    """Asks an OpenAI-compatible endpoint; the client waits and tries again on 429 and 5xx."""

    def __init__(
        self,
        base_url: str,
        model: str | None,
        temperature: float,
        max_tokens: int,
        timeout_s: float,
    ) -> None:
        import openai

        self._openai = openai
        self._url = base_url
        self._client = openai.OpenAI(
            base_url=base_url,
            # A local server needs no key, and the client refuses to start without one.
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            timeout=timeout_s,
            max_retries=MAX_RETRIES,
        )
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._limit_name = "max_tokens"
        self._model = model or self._only_model()

    def _only_model(self) -> str:
        try:
            models = [model.id for model in self._client.models.list()]
        except self._openai.OpenAIError as error:
            raise self._failed(error) from error
        except (AttributeError, TypeError, ValueError) as error:
            raise self._not_a_server(error) from error
        if len(models) != 1:
            raise UserError(
                f"endpoint {self._url} serves {len(models)} models ({models[:10]}); choose one "
                "with --questions_model."
            )
        return models[0]

    def __call__(self, messages: Messages, seed: int) -> str:
        try:
            return self._ask(messages, seed)
        except self._openai.BadRequestError as error:
            # OpenAI's reasoning models know the limit by its newer name alone, many servers by its
            # older one.
            if self._limit_name != "max_tokens" or "max_completion_tokens" not in str(error):
                raise self._failed(error) from error
            self._limit_name = "max_completion_tokens"
            return self(messages, seed)
        except self._openai.OpenAIError as error:
            raise self._failed(error) from error
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise self._not_a_server(error) from error

    def _ask(self, messages: Messages, seed: int) -> str:
        conversation: Any = list(messages)
        limit: Any = {self._limit_name: self._max_tokens}
        answer = self._client.chat.completions.create(
            model=self._model,
            messages=conversation,
            temperature=self._temperature,
            seed=seed,
            **limit,
        )
        return answer.choices[0].message.content or ""

    def _failed(self, error: Exception) -> UserError:
        advice = "Check the address and the server, then run the same command again."
        if isinstance(error, self._openai.AuthenticationError):
            advice = "Set OPENAI_API_KEY to a key that the endpoint knows."
        elif isinstance(error, self._openai.NotFoundError):
            advice = "The base URL mostly ends with /v1; name the model with --questions_model."
        text = " ".join(str(error).split())
        return UserError(f"endpoint {self._url}: {type(error).__name__}: {text[:300]} {advice}")

    def _not_a_server(self, error: Exception) -> UserError:
        return UserError(
            f"endpoint {self._url} does not answer in the form of the OpenAI protocol ({error}). "
            "The base URL mostly ends with /v1."
        )


class _VllmModel:
    """Runs a model with vLLM in this process."""

    def __init__(
        self, model: str, temperature: float, max_tokens: int, max_model_len: int | None
    ) -> None:
        looks_local = Path(model).exists() or model.startswith((".", "/", "runs/"))
        if looks_local and not (Path(model) / "config.json").is_file():
            raise UserError(
                f"there is no model at {model} (no config.json); name a model's folder or hub id, "
                "or the http:// address of an endpoint."
            )
        from data_prep.vllm_settings import prepare_engine

        prepare_engine()
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        import torch
        import vllm

        self._vllm = vllm
        self._temperature = temperature
        self._max_tokens = max_tokens
        try:
            self._engine = vllm.LLM(
                model=model,
                max_model_len=max_model_len,
                enforce_eager=True,  # a few dozen answers do not repay a compilation
                # As in recipes.generation: seeded requests on the CPU need their prompt read whole.
                enable_chunked_prefill=None if torch.cuda.is_available() else False,
            )
        except (OSError, ValueError) as error:
            raise UserError(
                f"vLLM cannot run {model}: {' '.join(str(error).split())[:300]} Name a model's "
                "folder or hub id, or the http:// address of an endpoint."
            ) from error

    def __call__(self, messages: Messages, seed: int) -> str:
        parameters = self._vllm.SamplingParams(
            temperature=self._temperature, max_tokens=self._max_tokens, seed=seed
        )
        conversation: Any = list(messages)
        try:
            (output,) = self._engine.chat(conversation, parameters, use_tqdm=False)
        except ValueError as error:
            text = " ".join(str(error).split())
            raise UserError(
                f"vLLM refuses the request ({text[:300]}); raise --max_model_len or lower "
                "--questions_per_round."
            ) from error
        return output.outputs[0].text
