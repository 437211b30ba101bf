"""What the rewards log by question bank and by label while GRPO trains."""

from collections.abc import Callable, Sequence

from rewards.answer_format import parse_answer
from rewards.labels import LABELS
from rewards.repetition import repeated_share
from rewards.thinking import thinks


def log_by_bank(
    texts: Sequence[str],
    question_banks: Sequence[str],
    completion_ids: Sequence[Sequence[int]] | None,
    log_metric: Callable[[str, float], None],
) -> None:
    """Log ``thinking_rate``, ``repeated_share`` and ``completion_length`` (tokens) by bank.

    The names are ``thinking_rate/<bank>`` and so on. One call a completion: TRL averages the calls
    over all processes, so that each completion weighs the same, however the banks fall on the
    processes.
    """
    for index, (text, bank) in enumerate(zip(texts, question_banks, strict=True)):
        log_metric(f"thinking_rate/{bank}", float(thinks(text)))
        log_metric(f"repeated_share/{bank}", repeated_share(text))
        if completion_ids is not None:
            log_metric(f"completion_length/{bank}", float(len(completion_ids[index])))


def log_verdicts(
    texts: Sequence[str], labels: Sequence[str], log_metric: Callable[[str, float], None]
) -> None:
    """Log ``says_fake/<label>``: the share of "fake" among the verdicts on images of a label.

    Completions without a verdict do not count. A policy that says the same of every image moves
    both shares to 0 or both to 1, whatever its accuracy on a lopsided batch.
    """
    for text, label in zip(texts, labels, strict=True):
        verdict = parse_answer(text).verdict
        if verdict is not None:
            log_metric(f"says_fake/{label}", float(verdict == LABELS[1]))
