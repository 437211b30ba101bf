import json
import re

import pytest

from rewards import summary
from rewards.errors import UserError
from rewards.records import format_lines
from rewards.summary import SummarySettings, summarise_folder
from tests.rewards.evaluation_folder import N_IMAGES, make_predictions, write_folder
from tests.rewards.made_up import from_counts, prediction

SETTINGS = SummarySettings(n_bootstrap=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("evaluation") / "run")


@pytest.fixture(scope="module")
def metrics(folder):
    return summarise_folder(folder, SETTINGS)


def keys_of(value) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for part in value.values() for key in keys_of(part)}
    if isinstance(value, list):
        return {key for part in value for key in keys_of(part)}
    return set()


def test_every_key_that_is_written_stands_in_the_schema(metrics):
    documented = set(re.findall(r"[\w@%*]+", summary.__doc__ or ""))
    prefixes = tuple(word[:-1] for word in documented if word.endswith("*") and len(word) > 1)
    groups = {
        name
        for part in metrics.values()
        if isinstance(part, dict)
        for dimension in part.get("breakdowns", {}).values()
        for name in dimension["groups"]
    }
    named_by_data = groups | {"jpeg-50", "always real", "always fake", "1", "2", "4", "5"}
    written = keys_of(metrics) - named_by_data
    assert {k for k in written if k not in documented and not k.startswith(prefixes)} == set()


def test_metrics_json_is_strict_json_and_what_is_returned(folder, metrics):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = (folder / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse) == metrics


def test_each_file_of_the_folder_counts(metrics):
    assert set(metrics) >= {"all", "simple", "hard", "neutral"}
    assert metrics["run"]["n_images"] == N_IMAGES
    assert metrics["run"]["unit"] == "source"
    assert metrics["samples"]["all"]["samples_per_row"] == [5, 5]
    assert set(metrics["robustness"]["jpeg-50"]) == {"simple", "hard", "neutral"}
    assert metrics["difficulty"]["from"] == "forced_direct"
    assert metrics["routing"]["neutral"]["n"] == N_IMAGES
    assert {point["mode"] for point in metrics["pareto"]} >= {"hard", "hard, direct forced"}
    assert metrics["hard"]["explanations"]["rouge_l"]["value"] > 0.5
    assert metrics["simple"]["explanations"] is None


def test_a_part_equals_the_same_part_scored_alone(tmp_path, metrics):
    alone = [p for p in make_predictions(0) if p.question_bank == "hard"]
    (tmp_path / "predictions.jsonl").write_text(format_lines(alone))
    hard = summarise_folder(tmp_path, SETTINGS)["hard"]
    del hard["breakdowns"]["label"], metrics["hard"]["breakdowns"]["pass_rate"]
    for key in ("accuracy", "f1_weighted", "confusion", "p_fake", "tokens", "consistency", "ci95"):
        assert hard[key] == metrics["hard"][key], key


def test_breakdowns_part_the_predictions(metrics):
    for bank in ("all", "hard"):
        for dimension in metrics[bank]["breakdowns"].values():
            n = sum(group["n"] for group in dimension["groups"].values())
            assert n + dimension["n_without"] == metrics[bank]["n"]
    groups = metrics["hard"]["breakdowns"]["chameleon"]["groups"]
    assert {name: group["n"] for name, group in groups.items()} == {"chameleon": 4, "without": 36}


def test_a_predictions_file_counts_alone(tmp_path, folder):
    metrics = summarise_folder(folder / "predictions.jsonl", SETTINGS, tmp_path)
    assert metrics["routing"] is None
    assert metrics["samples"] is None
    assert metrics["robustness"] == metrics["forced"] == {}
    assert metrics["run"]["files"] == ["predictions.jsonl"]


def write(tmp_path, predictions):
    (tmp_path / "predictions.jsonl").write_text(format_lines(predictions))
    return tmp_path


def test_a_class_that_is_absent_is_said(tmp_path):
    folder = write(tmp_path, from_counts({("fake", "fake"): 3, ("fake", "real"): 1}))
    metrics = summarise_folder(folder, SETTINGS)
    assert metrics["all"]["real"] == {"n": 0, "accuracy": None, "f1": None}
    assert any(note.startswith("No image is real") for note in metrics["notes"])
    assert any("p_fake" in note for note in metrics["notes"])
    assert metrics["all"]["p_fake"] is None


def test_a_mode_that_was_asked_for_and_is_missing_is_refused(tmp_path):
    folder = write(tmp_path, [prediction()])
    with pytest.raises(UserError, match=r"no prediction under question bank 'hard'.*simple: 1"):
        summarise_folder(folder, SummarySettings(required_banks=("simple", "hard")))
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.jsonl"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("samples.jsonl", "", "is empty"),
        ("samples.jsonl", '{"id": "a"}\n', "line 1 lacks"),
        ("pass_rates.jsonl", "[]\n", "line 1 lacks"),
        (
            "pass_rates.jsonl",
            '{"id": "a", "question_bank": "simple", "n_correct": 6, "n_samples": 5}\n',
            "expected 0 <= n_correct <= n_samples",
        ),
    ],
    ids=["no samples", "sample without keys", "not an object", "impossible rate"],
)
def test_a_bad_file_beside_the_predictions_is_refused(tmp_path, name, text, message):
    write(tmp_path, [prediction()])
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        summarise_folder(tmp_path, SETTINGS)


def test_changed_images_without_a_common_question_are_refused(tmp_path):
    write(tmp_path, [prediction("a")])
    (tmp_path / "robustness").mkdir()
    (tmp_path / "robustness" / "jpeg-50.jsonl").write_text(format_lines([prediction("b")]))
    with pytest.raises(UserError, match="no id and bank in common"):
        summarise_folder(tmp_path, SETTINGS)


def test_an_unfinished_robustness_file_is_passed_over(tmp_path):
    write(tmp_path, [prediction("a")])
    (tmp_path / "robustness").mkdir()
    (tmp_path / "robustness" / "jpeg-50.partial.jsonl").write_text("{cut")
    assert summarise_folder(tmp_path, SETTINGS)["robustness"] == {}
