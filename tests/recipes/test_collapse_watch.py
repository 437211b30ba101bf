"""The watch sees a mode die in a log, says so once, and can end the run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState

from recipes.collapse_watch import EVENT, CollapseWatch, rules_for
from recipes.plots import plot_log
from recipes.run_folder import JsonlLogger, read_log
from rewards import ALL_BANKS, HybridReward
from rewards.errors import UserError

W = 3
HEALTHY = {
    "thinking_rate/simple": 0.02,
    "thinking_rate/hard": 0.98,
    "thinking_rate/neutral": 0.5,
    "says_fake/real": 0.2,
    "says_fake/fake": 0.8,
    "repeated_share/hard": 0.0,
    "completions/clipped_ratio": 0.0,
    "entropy": 0.4,
    "kl": 0.01,
    "frac_reward_zero_std": 0.5,
}


class _Arguments:
    def __init__(self, output_dir: Path) -> None:
        self.output_dir = str(output_dir)


def run(
    folder: Path,
    logs: Sequence[dict[str, Any]],
    *,
    reward: HybridReward | None = None,
    stop: bool = False,
    start: int = 0,
) -> tuple[CollapseWatch, TrainerControl]:
    """Pass ``logs`` to logger and watch as a trainer does, from step ``start`` + 1 on."""
    watch = CollapseWatch(rules_for(reward or HybridReward(), ALL_BANKS), W, stop)
    arguments: Any = _Arguments(folder)
    control = TrainerControl()
    callbacks = [JsonlLogger(), watch]
    for callback in callbacks:
        callback.on_train_begin(arguments, TrainerState(global_step=start), control)
    for step, values in enumerate(logs, start=start + 1):
        state = TrainerState(global_step=step, is_world_process_zero=True)
        for callback in callbacks:
            callback.on_log(arguments, state, control, logs=dict(values))
        if control.should_training_stop:
            break
    return watch, control


def with_values(**values: float) -> dict[str, float]:
    return {**HEALTHY, **{name.replace("__", "/"): value for name, value in values.items()}}


def test_a_healthy_run_is_left_alone(tmp_path: Path) -> None:
    watch, control = run(tmp_path, [HEALTHY] * 20, stop=True)
    assert watch.events == []
    assert not control.should_training_stop
    watch.raise_if_stopped(tmp_path)


@pytest.mark.parametrize(
    ("values", "metric", "meaning", "stops"),
    [
        ({"thinking_rate__hard": 0.0}, "thinking_rate/hard", "thinking dies out on hard", True),
        ({"thinking_rate__simple": 1.0}, "thinking_rate/simple", "direct answers die out", True),
        ({"thinking_rate__neutral": 0.0}, "thinking_rate/neutral", "thinking dies out", True),
        ({"thinking_rate__neutral": 1.0}, "thinking_rate/neutral", "direct answers die out", True),
        ({"says_fake__fake": 0.2, "says_fake__real": 0.1}, "says_fake", "drifts to 'real'", True),
        ({"says_fake__fake": 1.0, "says_fake__real": 0.9}, "says_fake", "drifts to 'fake'", True),
        ({"repeated_share__hard": 0.6}, "repeated_share/hard", "repeat themselves", False),
        ({"completions__clipped_ratio": 0.8}, "completions/clipped_ratio", "cut off", False),
        ({"entropy": 0.01}, "entropy", "hardly varies", False),
        ({"kl": 2.0}, "kl", "far from the one", False),
        ({"frac_reward_zero_std": 1.0}, "frac_reward_zero_std", "hardly a group", False),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_each_way_to_collapse_is_one_event(tmp_path, values, metric, meaning, stops) -> None:
    watch, control = run(tmp_path, [HEALTHY] * W + [with_values(**values)] * 12, stop=True)
    # On its way to one verdict the balance also crosses the bound of the warning before it.
    (event,) = [event for event in watch.events if "moves towards" not in event["meaning"]]
    assert len(watch.events) == 1 + (metric == "says_fake")
    assert event["metric"] == metric
    assert meaning in event["meaning"]
    assert event["stops"] == control.should_training_stop == stops
    written = [line for line in read_log(tmp_path) if "event" in line]
    assert written == watch.events


def test_the_average_decides_and_not_one_step(tmp_path: Path) -> None:
    dip, healthy = with_values(thinking_rate__hard=0.0), HEALTHY
    logs = make_folder(tmp_path / "a", [healthy, dip, healthy] * 4)
    assert run(tmp_path / "a", logs)[0].events == []
    # 0.98, 0, 0 averages 0.33; the third 0 in a row makes it 0: step 3 + 3.
    logs = make_folder(tmp_path / "b", [healthy] * 3 + [dip] * 3)
    assert [event["step"] for event in run(tmp_path / "b", logs)[0].events] == [6]


def make_folder(folder: Path, logs: list[dict[str, float]]) -> list[dict[str, float]]:
    folder.mkdir()
    return logs


@pytest.mark.parametrize(
    ("real", "fake", "meaning"),
    [
        # Fake recall from 76 to 57 % while hardly a real image is called fake: both labels still
        # have their answers, and the absolute bounds say nothing.
        (0.08, 0.57, "the verdict moves towards 'real'"),
        (0.50, 0.95, "the verdict moves towards 'fake'"),
        (0.15, 0.70, None),
    ],
)
def test_a_verdict_that_moves_is_told_before_it_collapses(tmp_path, real, fake, meaning) -> None:
    begin = {**HEALTHY, "says_fake/real": 0.27, "says_fake/fake": 0.76}
    drifted = {**begin, "says_fake/real": real, "says_fake/fake": fake}
    watch, control = run(tmp_path, [begin] * W + [drifted] * W, stop=True)
    assert [event["meaning"] for event in watch.events] == ([meaning] if meaning else [])
    assert not control.should_training_stop  # a word of warning; the end is a collapse's


def test_a_bank_that_a_batch_lacks_waits(tmp_path: Path) -> None:
    simple_only = {"thinking_rate/simple": 0.0}
    logs = [simple_only, {"thinking_rate/hard": 0.0}] * W
    watch, _ = run(tmp_path, logs)
    assert [event["step"] for event in watch.events] == [2 * W]


@pytest.mark.parametrize("value", [None, float("nan"), "text"])
def test_values_that_are_no_numbers_are_passed_over(tmp_path: Path, value: Any) -> None:
    logs = [{**HEALTHY, "thinking_rate/hard": value}] * 9
    assert run(tmp_path, logs)[0].events == []


def test_it_speaks_again_only_after_recovery(tmp_path: Path) -> None:
    dead, healthy = with_values(thinking_rate__hard=0.0), HEALTHY
    watch, _ = run(tmp_path, [dead] * 8 + [healthy] * 4 + [dead] * 8)
    assert [event["step"] for event in watch.events] == [3, 15]


@pytest.mark.parametrize(
    ("hard_bank", "rate", "n_events"),
    [
        pytest.param("require_thinking", 0.0, 1, id="thinking is asked for"),
        pytest.param("neutral", 0.0, 1, id="the paper's letter: degeneration"),
        pytest.param("off", 0.0, 1, id="off: degeneration"),
        pytest.param("require_direct", 0.0, 0, id="always direct: as wanted"),
        pytest.param("require_direct", 1.0, 1, id="always direct: thinks all the same"),
        pytest.param("require_thinking", 1.0, 0, id="as wanted"),
    ],
)
def test_what_counts_as_dying_depends_on_what_is_wanted(
    tmp_path, hard_bank, rate, n_events
) -> None:
    logs = [{"thinking_rate/hard": rate}] * 5
    watch, _ = run(tmp_path, logs, reward=HybridReward(hard_bank))
    assert len(watch.events) == n_events


def test_a_collapse_ends_the_run_on_demand_with_a_checkpoint(tmp_path: Path) -> None:
    watch, control = run(tmp_path, [with_values(thinking_rate__hard=0.0)] * 9, stop=True)
    assert control.should_training_stop
    assert control.should_save
    assert read_log(tmp_path)[-1]["step"] == W
    with pytest.raises(UserError, match=r"stopped at step 3: thinking dies out on hard questions"):
        watch.raise_if_stopped(tmp_path)


def test_a_run_that_goes_on_keeps_its_averages_and_events(tmp_path: Path) -> None:
    dead = with_values(thinking_rate__hard=0.0)
    logs = [HEALTHY, dead, dead, dead, dead, dead]
    whole, _ = run(tmp_path / "whole", make_folder(tmp_path / "whole", logs))
    for cut in range(1, len(logs)):
        folder = tmp_path / f"cut-{cut}"
        run(folder, make_folder(folder, logs))  # killed at the end, goes on from step `cut`
        again, _ = run(folder, logs[cut:], start=cut)
        assert again.events == whole.events
        assert untimed(folder) == untimed(tmp_path / "whole")


def untimed(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "time"} for line in read_log(folder)]


def test_events_are_marked_in_the_curves(tmp_path: Path) -> None:
    run(tmp_path, [with_values(thinking_rate__hard=0.0)] * 6)
    plot_log(tmp_path, ["thinking_rate/hard", "kl"])
    marked = (tmp_path / "curves.png").read_bytes()
    lines = [line for line in read_log(tmp_path) if line.get("event") != EVENT]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plot_log(tmp_path, ["thinking_rate/hard", "kl"])
    assert (tmp_path / "curves.png").read_bytes() != marked
