"""The alarm that trainer and vLLM disagree."""

from typing import Any

import pytest
from transformers import TrainerControl, TrainerState

from recipes.sampling_agreement import DIFFERENCE, RATIO, SamplingAgreement
from rewards.errors import UserError

ARGUMENTS: Any = None  # not looked at


def alarms(logs: dict[str, float] | None, stop: bool = False) -> int:
    agreement = SamplingAgreement(0.05, 0.05, stop)
    agreement.on_log(ARGUMENTS, TrainerState(global_step=7), TrainerControl(), logs=logs)
    return agreement.n_alarms


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        pytest.param({RATIO: 1.0, DIFFERENCE: 0.005}, 0, id="agree"),
        pytest.param({RATIO: 0.951, DIFFERENCE: 0.049}, 0, id="just inside"),
        pytest.param({RATIO: 0.949, DIFFERENCE: 0.0}, 1, id="ratio too low"),
        pytest.param({RATIO: 1.051, DIFFERENCE: 0.0}, 1, id="ratio too high"),
        pytest.param({RATIO: 1.0, DIFFERENCE: 0.09}, 1, id="doubled image tokens"),
        pytest.param({RATIO: float("nan"), DIFFERENCE: 0.0}, 1, id="not a number"),
        pytest.param({"loss": 1.0}, 0, id="a log without them"),
        pytest.param(None, 0, id="nothing"),
    ],
)
def test_alarm(logs, expected) -> None:
    assert alarms(logs) == expected


def test_alarm_ends_the_run_on_demand() -> None:
    with pytest.raises(UserError, match="step 7: trainer and vLLM disagree"):
        alarms({RATIO: 0.5}, stop=True)
