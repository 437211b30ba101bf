"""make check: counts tokens as TRL's collator does, finds what fails or spoils a run, says it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Value
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from data_prep.writer import write_datasets
from recipes import check
from recipes.budget.model_size import measure_model
from recipes.budget.tokens import CharacterText, ImageRule, TemplateText, histogram
from recipes.checks import row_files
from recipes.checks.row_files import RowFiles
from recipes.checks.scan import Scan, Scanner
from recipes.demo import BASE_MODEL
from recipes.vlm import load_processor
from rewards.errors import UserError
from tests.recipes.conftest import small_rows

ROOT = Path(__file__).parents[2]
MODEL = str(ROOT / BASE_MODEL)


@pytest.fixture
def rows_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "rows"
    write(small_rows(16), folder)
    return folder


def write(rows: Dataset, folder: Path, split: str = "train") -> Path:
    write_datasets({split: rows}, folder, title="rows", description="rows", command="test")
    return folder


def scan(folder: Path, **limits: Any) -> Scan:
    settings = {"max_rows": None, "max_images": 100} | limits
    return Scanner(TemplateText(load_processor(MODEL))).scan(
        RowFiles(str(folder), "train"), **settings
    )


def change(column: str, index: int, value: Any) -> Dataset:
    rows = small_rows(16)
    values = list(rows[column])
    values[index] = value
    features = rows.features
    return rows.remove_columns(column).add_column(column, values).cast(features)


def run_check(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["check", *options])
    try:
        check.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_tokens_are_those_of_trls_collator(rows_folder: Path) -> None:
    processor: Any = load_processor(MODEL)
    rows: Any = small_rows(16)
    collate = DataCollatorForVisionLanguageModeling(
        processor=processor, max_length=None, completion_only_loss=True
    )
    trls = [collate([row]) for row in rows]
    found = scan(rows_folder)
    rule = ImageRule(processor.image_processor, measure_model(MODEL).vision)
    patches, image = rule.count(found.sizes[:, 0], found.sizes[:, 1])
    ours = found.prompt_tokens + image + found.answer_tokens
    assert ours.tolist() == [batch["input_ids"].shape[1] for batch in trls]
    assert patches.tolist() == [len(batch["pixel_values"]) for batch in trls]
    in_loss = [int((batch["labels"] != -100).sum()) for batch in trls]
    assert found.answer_tokens.tolist() == in_loss


def test_image_rule_asks_each_size_once(monkeypatch: pytest.MonkeyPatch) -> None:
    processor: Any = load_processor(MODEL)
    rule = ImageRule(processor.image_processor, measure_model(MODEL).vision)
    asked: list[tuple[int, int]] = []
    stock = processor.image_processor.get_number_of_image_patches
    monkeypatch.setattr(
        processor.image_processor,
        "get_number_of_image_patches",
        lambda h, w, options: (asked.append((w, h)), stock(h, w, options))[1],
    )
    sizes = np.array([[56, 112], [112, 56], [56, 112], [56, 112]])
    _, tokens = rule.count(sizes[:, 0], sizes[:, 1])
    assert tokens.tolist() == [8, 8, 8, 8]
    assert sorted(asked) == [(56, 112), (112, 56)]


def test_image_that_no_model_takes_is_a_user_error() -> None:
    processor: Any = load_processor(MODEL)
    rule = ImageRule(processor.image_processor, measure_model(MODEL).vision)
    with pytest.raises(UserError, match="1 x 900"):
        rule.count(np.array([1]), np.array([900]))


def test_estimate_says_that_it_is_one() -> None:
    rule = CharacterText()
    assert not rule.exact
    assert rule.answers(["12345678", "123456789"]).tolist() == [4, 5]  # 8 / 4 + 2, 9 / 4 up + 2
    assert rule.prompt((("user", "1234"),)) == 17


def test_histogram_holds_every_row() -> None:
    bins = histogram(np.array([0, 5, 5, 9]))
    assert sum(bins["counts"]) == 4
    assert (bins["edges"][0], bins["edges"][-1]) == (0, 10)


def test_good_rows_have_no_faults(rows_folder: Path) -> None:
    found = scan(rows_folder)
    assert (found.n_rows, found.faults) == (16, {})
    assert found.labels == {"real": 8, "fake": 8}
    assert found.banks == {"simple": 8, "hard": 8}
    assert (found.sizes == 56).all()


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        # Row 0 is real, simple.
        pytest.param("<think></think>fake", ["accuracy"], id="wrong verdict"),
        pytest.param("real", ["format", "hybrid"], id="no block"),
        pytest.param("<think>\nSoft.\n</think>real", ["hybrid"], id="reasons where it should not"),
        pytest.param("<think></think>real, surely", ["format", "hybrid"], id="text after it"),
        pytest.param("", ["accuracy", "format", "hybrid"], id="empty"),
    ],
)
def test_gold_answer_that_earns_less_than_all_is_found(
    tmp_path: Path, text: str, faults: list[str]
) -> None:
    rows = change("completion", 0, [{"role": "assistant", "content": text}])
    found = scan(write(rows, tmp_path / "bad"))
    assert sorted(fault.split()[0] for fault in found.faults) == faults
    assert set(found.faults.values()) == {1}
    assert all("(real, simple)" in examples[0] for examples in found.examples.values())


def test_conversation_without_turns_is_a_bad_answer(tmp_path: Path) -> None:
    found = scan(write(change("completion", 3, []), tmp_path / "bad"))
    assert set(found.faults.values()) == {1}


def test_small_batches_find_the_same(rows_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scan(rows_folder)
    monkeypatch.setattr(row_files, "BATCH_ROWS", 3)
    parts = scan(rows_folder)
    assert parts.prompt_tokens.tolist() == whole.prompt_tokens.tolist()
    assert parts.answer_tokens.tolist() == whole.answer_tokens.tolist()
    assert parts.sizes.tolist() == whole.sizes.tolist()
    assert (parts.labels, parts.banks) == (whole.labels, whole.banks)


def measure_sizes(folder: Path, sizes: list[int]) -> None:
    (file,) = (folder / "data").glob("*.parquet")
    (folder / "measurements").mkdir()
    table = pa.table({"width": sizes, "height": sizes})
    pq.write_table(table, folder / "measurements" / file.name)


def test_measured_sizes_are_taken_and_no_image_is_read(
    rows_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_sizes(rows_folder, list(range(100, 116)))
    monkeypatch.setattr(row_files, "_header_size", lambda *args: pytest.fail("an image was read"))
    assert scan(rows_folder).sizes[:, 0].tolist() == list(range(100, 116))


def test_measurements_of_other_rows_are_refused(rows_folder: Path) -> None:
    measure_sizes(rows_folder, [100] * 9)
    with pytest.raises(UserError, match="fewer than its data file"):
        scan(rows_folder)


def test_max_images_limits_what_is_read(rows_folder: Path) -> None:
    found = scan(rows_folder, max_images=5)
    assert (int(found.known_sizes.sum()), found.n_rows) == (5, 16)


def test_max_rows_takes_row_groups_from_beginning_to_end(tmp_path: Path) -> None:
    folder = write(small_rows(40), tmp_path / "many")
    (file,) = (folder / "data").glob("*.parquet")
    pq.write_table(pq.read_table(file), file, row_group_size=4)
    rows = RowFiles(str(folder), "train")
    batches = list(rows.batches(["id"], 8, 0))
    assert [batch.table["id"][0].as_py() for batch in batches] == ["row-0", "row-36"]
    assert sum(batch.table.num_rows for batch in batches) == 8


def test_broken_image_is_a_user_error(tmp_path: Path) -> None:
    rows = small_rows(16).cast_column(
        "images", [{"bytes": Value("binary"), "path": Value("string")}]
    )
    values = list(rows["images"])
    values[2] = [{"bytes": b"no image", "path": None}]
    rows = rows.remove_columns("images").add_column("images", values)
    with pytest.raises(UserError, match="cannot be read"):
        scan(write(rows, tmp_path / "bad"))


Page = Callable[..., tuple[int, str, dict[str, Any]]]


@pytest.fixture
def page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Page:
    """Return a function that runs the check: exit status, page, JSON."""
    monkeypatch.chdir(ROOT)

    def run(config: str, *options: str) -> tuple[int, str, dict[str, Any]]:
        output = tmp_path / "check.json"
        argv = ("--config_name", config, "--output_file", str(output), *options)
        status = run_check(monkeypatch, *argv)
        return status, capsys.readouterr().out, json.loads(output.read_text())

    return run


def errors(result: dict[str, Any]) -> list[str]:
    return [f["text"] for f in result["findings"] if f["level"] == "error"]


def test_good_configuration_passes_with_a_page_and_json(page: Page, rows_folder: Path) -> None:
    status, text, result = page(
        "demo", "--stage", "sft", "--dataset", str(rows_folder), "--model", MODEL
    )
    assert status == 0, errors(result)
    assert "No errors." in text
    (stage,) = result["stages"]
    # 16 rows, 16 a step, 6 epochs.
    assert (stage["rows"]["total"], stage["schedule"]["steps"]) == (16, 6)
    assert sum(stage["tokens"]["histogram"]["counts"]) == 16
    assert f"{stage['tokens']['row']['max']:,.0f}" in text


def test_every_stage_of_the_full_run_is_on_the_page(page: Page, tmp_path: Path) -> None:
    data = str(write(small_rows(64), tmp_path / "rl"))
    status, text, result = page("fake_hr1_7b", "--dataset", data, "--n_processes", "32")
    # eval wants a split "test".
    assert [f["stage"] for f in result["findings"] if f["level"] == "error"] == ["eval"]
    assert status == 1
    sft, _, rl, _ = result["stages"]
    assert (sft["sharding"], rl["sharding"]) == ("fsdp2", "fsdp2")
    assert (rl["schedule"]["rows_per_step"], rl["schedule"]["steps"]) == (32, 6)
    assert rl["hours"]["total"] > 0
    assert rl["memory"]["total"] < 80 * 2**30
    assert result["paper"]["rl"]["steps_at_32_prompts"] == 1473
    assert max(len(line) for line in text.splitlines()) <= 130


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        pytest.param(
            "fake_hr1_7b",
            ["--stage", "sft", "--accelerate", "single_gpu"],
            "steps of 1e-06 are rounded away",
            id="no float32 copy",
        ),
        pytest.param(
            "fake_hr1_7b",
            ["--stage", "sft", "--accelerate", "multi_gpu", "--options", "--dtype float32"],
            "it does not fit",
            id="too little memory",
        ),
        pytest.param(
            "fake_hr1_7b",
            ["--stage", "sft", "--options", "--max_length 150"],
            "over max_length = 150",
            id="cut rows",
        ),
        pytest.param(
            "fake_hr1_7b",
            ["--stage", "grpo", "--options", "--num_generations 6"],
            "num_generations",
            id="groups do not divide",
        ),
        pytest.param(
            "fake_hr1_7b",
            ["--stage", "grpo", "--options", "--vllm_max_model_length 100"],
            "fills its context",
            id="prompt longer than the context",
        ),
        pytest.param(
            "fake_hr1_7b",
            ["--stage", "grpo", "--options", "--vllm_gpu_memory_utilization 0.1"],
            "no sequence fits",
            id="no room for vLLM",
        ),
        pytest.param(
            "fake_hr1_7b",
            ["--stage", "filter", "--options", "--max_pixels 200704"],
            "other tokens than it learnt from",
            id="pixel limits differ from training",
        ),
        pytest.param(
            "lora_7b",
            ["--stage", "sft", "--accelerate", "fsdp2"],
            "cannot be merged",
            id="sharded adapters",
        ),
        pytest.param(
            "internvl3_8b",
            ["--stage", "sft", "--options", "--max_pixels 200704"],
            "resizes every image to one size",
            id="pixel limits for tiles",
        ),
        pytest.param(
            "fake_hr1_7b",
            ["--stage", "sft", "--options", "--lerning_rate 1"],
            "lerning_rate",
            id="unknown option",
        ),
    ],
)
def test_what_would_fail_or_spoil_a_run_ends_with_status_1(
    page: Page, tmp_path: Path, config: str, options: list[str], message: str
) -> None:
    data = str(write(small_rows(64), tmp_path / "rl"))
    processes = [] if "single_gpu" in options else ["--n_processes", "8"]
    status, text, result = page(config, "--dataset", data, *processes, *options)
    assert status == 1
    assert any(message in error for error in errors(result)), errors(result)
    assert "ERROR" in text.splitlines()[3]  # under the title


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(small_rows(16).remove_columns("label"), "lacks the columns", id="column"),
        pytest.param(change("label", 1, "FAKE"), "'FAKE': 1", id="label"),
        pytest.param(change("question_bank", 1, "easy"), "'easy': 1", id="bank"),
        pytest.param(
            change("completion", 0, [{"role": "assistant", "content": "real"}]),
            "1 of 16 gold answers",
            id="gold answer",
        ),
    ],
)
def test_bad_data_ends_with_status_1(
    page: Page, tmp_path: Path, rows: Dataset, message: str
) -> None:
    data = str(write(rows, tmp_path / "bad"))
    status, _, result = page("demo", "--stage", "sft", "--dataset", data, "--model", MODEL)
    assert status == 1
    assert any(message in error for error in errors(result)), errors(result)


def test_missing_data_is_said_and_the_model_still_measured(page: Page) -> None:
    status, _, result = page("fake_hr1_7b", "--stage", "sft", "--dataset", "./nowhere")
    assert status == 1
    assert any("./nowhere does not exist" in error for error in errors(result))
    assert result["stages"][0]["parameters"]["total"] == 8_292_166_656


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--config_name", "nowhere"], "no configuration 'nowhere'", id="config"),
        pytest.param(["--config_name", "demo", "--stage", "rl"], "stage='rl'", id="stage"),
        pytest.param(["--config_name", "internvl3_8b", "--stage", "grpo"], "no grpo.yaml", id="no"),
        pytest.param(["--config_name", "demo", "--gpu", "tpu"], "not in gpus.yaml", id="GPU"),
        pytest.param(["--config_name", "demo", "--n_processes", "0"], "n_processes=0", id="none"),
        pytest.param(["--config_name", "demo", "--utilisation", "2"], "at most 1", id="too much"),
    ],
)
def test_bad_options_are_user_errors(
    monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["check", *options])
    with pytest.raises(UserError, match=message):
        check.main()
