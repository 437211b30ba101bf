"""Ask a model behind an OpenAI-compatible endpoint, in the place of ``recipes.generation``.

Retries with exponential back-off, ``Retry-After`` included, are the ``openai`` client's. The key is
read from OPENAI_API_KEY. Answers are handed on as they come, so that what was paid for is kept.
"""

import asyncio
import base64
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai

from recipes.generation import Generated, Request
from recipes.verdict_probability import TOP_LOGPROBS, verdict_probability
from rewards.errors import UserError

# Of one request, not of the endpoint: the image is too large, or refused by a content policy.
_REFUSALS = (openai.BadRequestError, openai.UnprocessableEntityError)
_MANY_REFUSALS = 8


@dataclass
class EndpointArguments:
    """An OpenAI-compatible endpoint; ``--model_name_or_path`` is the model's name there."""

    endpoint: str | None = field(
        default=None, metadata={"help": "Base URL, as in http://127.0.0.1:8000/v1; none: vLLM."}
    )
    concurrency: int = field(default=16, metadata={"help": "Requests under way at a time."})
    requests_per_minute: float | None = field(
        default=None, metadata={"help": "At most so many are sent, retries included; none: all."}
    )
    max_retries: int = field(
        default=6, metadata={"help": "Of a request: 0.5 s, then twice as long, up to 8 s."}
    )
    request_timeout: float = field(default=120.0, metadata={"help": "Of one try, in seconds."})

    def __post_init__(self) -> None:
        """Refuse values that nothing can be asked with."""
        if self.concurrency < 1 or self.max_retries < 0 or self.request_timeout <= 0:
            raise ValueError(
                f"concurrency={self.concurrency}, max_retries={self.max_retries} and "
                f"request_timeout={self.request_timeout} must be at least 1, 0 and above 0."
            )
        if self.requests_per_minute is not None and self.requests_per_minute <= 0:
            raise ValueError(
                f"requests_per_minute={self.requests_per_minute} must be above 0, or left out."
            )


def data_uri(request: Request) -> str:
    """Return a request's image in a URI: the file as it is, or a PNG of the pixels."""
    encoded = request.encoded
    if encoded is None:
        buffer = io.BytesIO()
        request.image.save(buffer, format="PNG")
        encoded = buffer.getvalue()
    kind = "jpeg" if encoded.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def messages(request: Request) -> list[dict[str, Any]]:
    """Return a request's conversation, the image before the text of the first user turn."""
    turns: list[dict[str, Any]] = [dict(turn) for turn in request.prompt]
    user = next(turn for turn in turns if turn["role"] == "user")
    image = {"type": "image_url", "image_url": {"url": data_uri(request)}}
    user["content"] = [image, {"type": "text", "text": user["content"]}]
    return turns


def read_completion(reply: Any, score_verdicts: bool) -> Generated:
    """Return the one answer of an endpoint's reply.

    A refusal in words is its text. Reasoning that the server took out of the text is put back.

    Raises:
        ValueError: The reply is not a chat completion with token counts.
    """
    try:
        (choice,), usage = reply.choices, reply.usage
        message = choice.message
        text = message.content or getattr(message, "refusal", None) or ""
        counts = (usage.completion_tokens, usage.prompt_tokens)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"expected one choice and its usage, found {str(reply)[:200]!r}"
        ) from error
    if not isinstance(text, str) or not all(isinstance(count, int) for count in counts):
        raise ValueError(f"expected text and token counts, found {text!r} and {counts}")
    reasoning = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if isinstance(reasoning, str):
        text = f"<think>\n{reasoning.strip()}\n</think>{text}"
    p_fake = _p_fake(text, choice) if score_verdicts else None
    return Generated(text, counts[0], counts[1], p_fake)


def _p_fake(text: str, choice: Any) -> float | None:
    content = getattr(getattr(choice, "logprobs", None), "content", None)
    if not content:  # the endpoint gives none
        return None

    def alternatives_at(index: int) -> list[tuple[str, float]]:
        token = content[index]
        listed = {top.token: top.logprob for top in token.top_logprobs or ()}
        return list({**listed, token.token: token.logprob}.items())

    found = verdict_probability(text, [token.token for token in content], alternatives_at)
    return found.p_fake if found else None


class _Pace:
    """Lets HTTP requests go, each try of them, at even intervals."""

    def __init__(self, per_minute: float) -> None:
        self._interval_s, self._next = 60.0 / per_minute, 0.0

    async def __call__(self, http_request: Any) -> None:
        now = asyncio.get_running_loop().time()
        start = max(now, self._next)
        self._next = start + self._interval_s
        await asyncio.sleep(start - now)


class Endpoint:
    """A model behind an endpoint, with ``recipes.generation.Generator``'s ``stream``."""

    def __init__(self, args: EndpointArguments, model: str) -> None:
        """Make the client; nothing is sent yet."""
        pace = [_Pace(args.requests_per_minute)] if args.requests_per_minute else []
        self._args, self._model = args, model
        self._loop = asyncio.new_event_loop()
        self._under_way = asyncio.Semaphore(args.concurrency)
        self._client = openai.AsyncOpenAI(
            base_url=args.endpoint,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",  # a server of one's own needs none
            max_retries=args.max_retries,
            timeout=args.request_timeout,
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"request": pace}),
        )
        self.n_answered = self.n_refused = 0

    def stream(
        self,
        requests: Sequence[Request],
        *,
        num_generations: int = 1,
        temperature: float = 0.0,
        max_completion_length: int = 512,
        score_verdicts: bool = False,
    ) -> Iterator[list[tuple[int, list[Generated] | str]]]:
        """Yield answers with the places of their requests as they come; for a refused one, why.

        Raises:
            UserError: The endpoint is down, too slow, answers nonsense, or refuses nearly all.
        """
        settings: dict[str, Any] = {
            "temperature": temperature,
            "max_completion_tokens": max_completion_length,
        }
        if score_verdicts:
            settings |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        place = {
            self._loop.create_task(
                self._answer(request, num_generations, settings, score_verdicts)
            ): index
            for index, request in enumerate(requests)
        }
        waiting = set(place)
        try:
            while waiting:
                ended, waiting = self._loop.run_until_complete(
                    asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                )
                failure = next((e for task in ended if (e := task.exception())), None)
                yield [(place[t], t.result()) for t in ended if t.exception() is None]
                if failure is not None:
                    raise failure
        finally:
            for task in waiting:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))

    async def _answer(
        self, request: Request, num_generations: int, settings: dict[str, Any], score: bool
    ) -> list[Generated] | str:
        """Ask once for each sample: one reply would tell the tokens of all samples together."""
        try:
            answers = []
            for index in range(num_generations):
                seed = {"seed": request.seed + index} if settings["temperature"] else {}
                async with self._under_way:
                    reply: Any = await self._client.chat.completions.create(
                        model=self._model, messages=messages(request), **settings, **seed
                    )
                answers.append(read_completion(reply, score))
        except _REFUSALS as error:
            self.n_refused += 1
            if self.n_refused > max(_MANY_REFUSALS, self.n_answered):
                raise self._failure(error) from error
            return f"the endpoint refused it: {_said(error)}"
        except (openai.OpenAIError, ValueError) as error:
            raise self._failure(error) from error
        self.n_answered += 1
        return answers

    def _failure(self, error: Exception) -> UserError:
        if isinstance(error, openai.APIStatusError):
            what = f"answered with status {error.status_code} ({_said(error)})"
        elif isinstance(error, openai.APITimeoutError):
            what = f"gave no answer within request_timeout={self._args.request_timeout:g} s"
        elif isinstance(error, openai.APIConnectionError):
            what = f"cannot be reached ({error.__cause__ or error})"
        else:
            what = f"answers with something else than a chat completion: {_said(error)}"
        return UserError(
            f"the endpoint {self._args.endpoint} {what}, after up to {self._args.max_retries} "
            f"retries. Check the address, OPENAI_API_KEY, the model's name {self._model!r} and, for status "
            "400, --score_verdicts false. What was answered is kept: the same command goes on."
        )


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", error)).split())[:300]
