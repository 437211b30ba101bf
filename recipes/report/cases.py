"""Case studies in the manner of Figure 6 of Fake-HR1, chosen by rule, never by hand.

Where a rule fits several images, the one is shown whose id has the smallest hash: whoever runs the
report again gets the same images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from data_prep.prompts import stable_integer
from recipes.report.evaluation import Evaluation
from rewards.judged import UNPARSED
from rewards.labels import LABELS, QUESTION_BANKS
from rewards.records import Prediction


@dataclass(frozen=True)
class Answer:
    """One answer, judged.

    Attributes:
        run: Name of the run that it is from.
        prediction: The answer itself.
        verdict: "real", "fake"; None where there is none.
        right: Whether the verdict is the label.
        thinking: Whether it reasons.
        repeats: Whether it repeats itself.
    """

    run: str
    prediction: Prediction
    verdict: str | None
    right: bool
    thinking: bool
    repeats: bool


@dataclass(frozen=True)
class Case:
    """One image that a rule chose.

    Attributes:
        title: What the case is.
        rule: How it was chosen, in a sentence.
        n_fit: Images that the rule fits.
        n_all: Images that it was put to.
        answers: To that image; empty where no image fits.
    """

    title: str
    rule: str
    n_fit: int
    n_all: int
    answers: list[Answer] = field(default_factory=list)


ByBank = dict[str, Answer]  # the answers of one run to one image
_HASH = "the image whose id has the smallest hash is shown"


def choose_cases(runs: Sequence[Evaluation]) -> list[Case]:
    """Return the case studies of the first run; answers of the others stand beside its own."""
    answers = [answers_of(run) for run in runs]
    own = answers[0]
    cases = [
        _by_hash(f"{title}, a {label} image", rule, own, _label_is(label, fits))
        for title, rule, fits in _BANK_RULES
        for label in LABELS
    ]
    cases += [
        _longest("Longest answer", "does not repeat itself", own, repeats=False),
        _longest("Longest loop", "repeats itself", own, repeats=True),
        _furthest(own),
        _by_hash("No verdict", "an answer in which no verdict can be read", own, _unparsed),
    ]
    if len(runs) > 1:
        cases += _disagreements(runs, answers)
    return [_with_others(case, answers) for case in cases]


def answers_of(run: Evaluation) -> dict[str, ByBank]:
    """Return the judged answers of a run by image id and bank."""
    images: dict[str, ByBank] = {}
    judged = run.judged
    for i, prediction in enumerate(run.predictions):
        verdict = int(judged.verdict[i])
        images.setdefault(prediction.id, {})[prediction.question_bank] = Answer(
            run=run.name,
            prediction=prediction,
            verdict=None if verdict == UNPARSED else LABELS[verdict],
            right=verdict == judged.label[i],
            thinking=bool(judged.thinking[i]),
            repeats=bool(judged.repeats[i]),
        )
    return images


def _both(banks: ByBank, fits: Callable[[Answer, Answer], bool]) -> bool:
    simple, hard = (banks.get(bank) for bank in QUESTION_BANKS)
    return simple is not None and hard is not None and fits(simple, hard)


def _mode_follows(banks: ByBank) -> bool:
    return _both(
        banks, lambda s, h: not s.thinking and h.thinking and s.right and h.right and not h.repeats
    )


def _thinking_helps(banks: ByBank) -> bool:
    return _both(banks, lambda s, h: not s.thinking and h.thinking and not s.right and h.right)


def _thinking_hurts(banks: ByBank) -> bool:
    return _both(banks, lambda s, h: not s.thinking and h.thinking and s.right and not h.right)


def _wrong_in_both(banks: ByBank) -> bool:
    return _both(banks, lambda s, h: not s.right and not h.right and s.verdict == h.verdict)


_BANK_RULES = (
    (
        "The mode follows the question",
        "a direct answer under the simple bank, reasoning under the hard one, both right",
        _mode_follows,
    ),
    (
        "Right only with reasoning",
        "a direct and wrong answer under the simple bank, a reasoned and right one under the hard",
        _thinking_helps,
    ),
    (
        "Right only without reasoning",
        "a direct and right answer under the simple bank, a reasoned and wrong one under the hard",
        _thinking_hurts,
    ),
    (
        "Wrong under both banks",
        "the same wrong verdict under the simple and the hard bank",
        _wrong_in_both,
    ),
)


def _label_is(label: str, fits: Callable[[ByBank], bool]) -> Callable[[ByBank], bool]:
    return lambda banks: _any(banks).prediction.label == label and fits(banks)


def _any(banks: ByBank) -> Answer:
    return next(iter(banks.values()))


def _unparsed(banks: ByBank) -> bool:
    return any(answer.verdict is None and not answer.repeats for answer in banks.values())


def _by_hash(
    title: str, rule: str, images: dict[str, ByBank], fits: Callable[[ByBank], bool]
) -> Case:
    fitting = [image_id for image_id, banks in images.items() if fits(banks)]
    chosen = min(fitting, key=stable_integer, default=None)
    answers = list(images[chosen].values()) if chosen is not None else []
    return Case(title, f"{rule}; {_HASH}", len(fitting), len(images), answers)


def _longest(title: str, which: str, images: dict[str, ByBank], *, repeats: bool) -> Case:
    fitting = {
        image_id: max(lengths)
        for image_id, banks in images.items()
        if (
            lengths := [
                a.prediction.n_completion_tokens for a in banks.values() if a.repeats == repeats
            ]
        )
    }
    # Of equal lengths, the smallest hash.
    chosen = min(fitting, key=lambda i: (-fitting[i], stable_integer(i)), default=None)
    answers = list(images[chosen].values()) if chosen is not None else []
    rule = f"the answer with the most tokens that {which}"
    return Case(title, rule, len(fitting), len(images), answers)


def _furthest(images: dict[str, ByBank]) -> Case:
    distances = {
        image_id: max(known)
        for image_id, banks in images.items()
        if (
            known := [
                abs(a.prediction.p_fake - LABELS.index(a.prediction.label))
                for a in banks.values()
                if a.prediction.p_fake is not None and not a.right
            ]
        )
    }
    chosen = min(distances, key=lambda i: (-distances[i], stable_integer(i)), default=None)
    answers = list(images[chosen].values()) if chosen is not None else []
    rule = "of the wrong answers, the one whose p(fake) is furthest from the label"
    return Case("Most confidently wrong", rule, len(distances), len(images), answers)


def _disagreements(runs: Sequence[Evaluation], answers: Sequence[dict[str, ByBank]]) -> list[Case]:
    cases = []
    for other, theirs in zip(runs[1:], answers[1:], strict=True):
        for better, worse, first in ((runs[0], other, True), (other, runs[0], False)):

            def fits(
                banks: ByBank, theirs: dict[str, ByBank] = theirs, first: bool = first
            ) -> bool:
                pairs = _pairs(banks, theirs)
                return bool(pairs) and all(
                    own.right == first and other.right != first for own, other in pairs
                )

            cases.append(
                _by_hash(
                    f"{better.name} right, {worse.name} wrong",
                    f"{better.name} is right and {worse.name} wrong under every bank",
                    answers[0],
                    fits,
                )
            )
    return cases


def _pairs(banks: ByBank, theirs: dict[str, ByBank]) -> list[tuple[Answer, Answer]]:
    """Return the answers of two runs to one image, bank by bank."""
    if not banks:
        return []
    other = theirs.get(_any(banks).prediction.id, {})
    return [(answer, other[bank]) for bank, answer in banks.items() if bank in other]


def _with_others(case: Case, answers: Sequence[dict[str, ByBank]]) -> Case:
    """Return the case with the other runs' answers to its image after the first run's."""
    if not case.answers:
        return case
    image_id = case.answers[0].prediction.id
    others = [a for images in answers[1:] for a in images.get(image_id, {}).values()]
    return Case(**{**vars(case), "answers": [*case.answers, *others]})
