"""Thinking rate and completion length by question bank, logged while GRPO trains."""

from collections.abc import Callable, Sequence

from rewards.thinking import thinks


def log_by_bank(
    texts: Sequence[str],
    question_banks: Sequence[str],
    completion_ids: Sequence[Sequence[int]] | None,
    log_metric: Callable[[str, float], None],
) -> None:
    """Log ``thinking_rate/<bank>`` and ``completion_length/<bank>`` (tokens).

    One call a completion: TRL averages the calls over all processes, so that each completion weighs
    the same, however the banks fall on the processes.
    """
    for index, (text, bank) in enumerate(zip(texts, question_banks, strict=True)):
        log_metric(f"thinking_rate/{bank}", float(thinks(text)))
        if completion_ids is not None:
            log_metric(f"completion_length/{bank}", float(len(completion_ids[index])))
