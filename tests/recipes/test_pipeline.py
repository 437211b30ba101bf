"""The real command lines at smoke size, vLLM included: one run of the demo, and what it leaves."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoProcessor

from recipes.config import read_yaml
from recipes.demo import BASE_MODEL
from recipes.run_folder import read_log
from recipes.sampling_agreement import DIFFERENCE, RATIO

pytestmark = pytest.mark.smoke
ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "recipes" / "configs" / "smoke"
BANKS = ("simple", "hard")
N_IMAGE_TOKENS = 16  # 112 x 112 pixels, 28 x 28 to a token


def run_command(words: Sequence[str | Path]) -> str:
    """Run Python with ``words`` from the repository's root; return what it prints."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment = {**inherited, "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    tail = "\n".join(done.stdout.splitlines()[-30:])
    assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{tail}"
    return done.stdout


def demo_words(folder: Path) -> list[str | Path]:
    words = ["-m", "recipes.demo", "--config_name", "smoke"]
    return [*words, "--run_dir", folder / "run", "--data_dir", folder / "data"]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def as_dicts(rows: Any) -> list[dict[str, Any]]:
    """Return rows without their images."""
    return rows.remove_columns("images").to_list()


def weights(model: Path) -> dict[str, torch.Tensor]:
    return {name: w.float() for name, w in load_file(model / "model.safetensors").items()}


@pytest.mark.parametrize(("stage", "before"), [("sft", None), ("grpo", "sft")], ids=["sft", "grpo"])
def test_training_changes_the_weights(folder: Path, stage: str, before: str | None) -> None:
    old = weights(folder / "run" / before if before else ROOT / BASE_MODEL)
    new = weights(folder / "run" / stage)
    assert new.keys() == old.keys()
    moved = {name for name in new if not torch.equal(new[name], old[name])}
    assert any("visual" in name for name in moved)
    assert any("language_model" in name or name.startswith("model.layers") for name in moved)
    assert all(torch.isfinite(weight).all() for weight in new.values())


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_model_folder_is_whole(folder: Path, stage: str) -> None:
    run = folder / "run" / stage
    for name in ("config.json", "tokenizer.json", "processor_config.json", "README.md"):
        assert (run / name).stat().st_size > 0, name
    template = (ROOT / BASE_MODEL / "chat_template.jinja").read_text(encoding="utf-8")
    assert (run / "chat_template.jinja").read_text(encoding="utf-8") == template
    base, own = (AutoProcessor.from_pretrained(m) for m in (ROOT / BASE_MODEL, run))
    assert own.image_processor.size == base.image_processor.size
    assert own.tokenizer.get_vocab() == base.tokenizer.get_vocab()
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    steps = read_yaml(CONFIGS / f"{stage}.yaml")["max_steps"]
    assert read_json(run / "summary.json")["global_step"] == steps
    logged = [line["step"] for line in read_log(run) if "loss" in line]
    assert logged == list(range(1, steps + 1))


@pytest.mark.parametrize("stage", ["sft", "filter", "grpo", "eval/base", "eval/sft", "eval/rl"])
def test_run_folder_says_how_it_was_made(folder: Path, stage: str) -> None:
    run = read_json(folder / "run" / stage / "run.json")
    assert run["config"]["output_dir"] == str(folder / "run" / stage)
    assert run["packages"]["trl"] == "1.16.0"
    assert run["git_commit"]
    assert run["dataset_fingerprint"]
    assert run["seed"] == 0


def test_filter_keeps_what_is_not_always_right(folder: Path) -> None:
    run = folder / "run" / "filter"
    rates = read_lines(run / "pass_rates.jsonl")
    config = read_yaml(CONFIGS / "filter.yaml")
    assert len({(rate["id"], rate["question_bank"]) for rate in rates}) == 2 * config["max_rows"]
    own = {sample["id"]: sample["question_bank"] for sample in read_lines(run / "samples.jsonl")}
    measured = [rate for rate in rates if rate["question_bank"] != own[rate["id"]]]
    rates = [rate for rate in rates if rate["question_bank"] == own[rate["id"]]]
    assert len(rates) == len(measured) == config["max_rows"]
    assert {rate["n_samples"] for rate in rates} == {5}
    assert all((rate["dropped"] == "always right") == (rate["n_correct"] == 5) for rate in rates)
    kept = load_dataset(str(run / "kept"), split="train")
    assert kept["id"] == [rate["id"] for rate in rates if rate["dropped"] is None]
    source = load_dataset(str(folder / "data" / "rl"), split="train")
    rate_columns = {"pass_rate", "pass_rate_simple", "pass_rate_hard"}
    assert set(kept.column_names) == {*source.column_names, *rate_columns}
    assert kept[0]["images"][0].size == (112, 112)
    assert (run / "pass_rates.png").read_bytes().startswith(b"\x89PNG")
    assert read_json(run / "summary.json")["n_kept"] == len(kept)


def test_grpo_logs_each_step(folder: Path) -> None:
    log = [line for line in read_log(folder / "run" / "grpo") if "reward" in line]
    for line in log:
        for name in ("accuracy", "format", "hybrid"):
            assert 0.0 <= line[f"rewards/{name}_reward/mean"] <= 1.0
        assert 0.0 <= line["frac_reward_zero_std"] <= 1.0
        assert line["kl"] >= 0.0
    for bank in BANKS:
        rates = [line[f"thinking_rate/{bank}"] for line in log if f"thinking_rate/{bank}" in line]
        lengths = [line.get(f"completion_length/{bank}") for line in log]
        assert rates
        assert all(0.0 <= rate <= 1.0 for rate in rates)
        assert all(length is None or 1 <= length <= 64 for length in lengths)


def test_grpo_validates_and_names_the_best_checkpoint(folder: Path) -> None:
    run = folder / "run" / "grpo"
    rewards = {line["step"]: line["eval_reward"] for line in read_log(run) if "eval_reward" in line}
    assert list(rewards) == [2, 3]  # transformers validates after the last step, too
    assert all(0.0 <= reward <= 1.0 for reward in rewards.values())
    best = max(rewards, key=lambda step: rewards[step])
    summary = read_json(run / "summary.json")
    assert summary["best_checkpoint"] == f"checkpoint-{best}"
    assert summary["best_metric"] == rewards[best]
    assert (run / f"checkpoint-{best}" / "model.safetensors").is_file()


def test_grpo_writes_tables_of_completions(folder: Path) -> None:
    run = folder / "run" / "grpo"
    config = read_yaml(CONFIGS / "grpo.yaml")
    records = read_lines(run / "completions.jsonl")
    assert sorted({record["step"] for record in records}) == [1, 3]
    assert len(records) == 2 * config["per_device_train_batch_size"]
    log = {line["step"]: line for line in read_log(run) if "reward" in line}
    kept = load_dataset(str(folder / "run" / "filter" / "kept"), split="train")
    rows: dict[str, Any] = {str(row["id"]): row for row in as_dicts(kept)}
    for step in (1, 3):
        of_step = [record for record in records if record["step"] == step]
        for name in ("reward", "accuracy_reward", "format_reward", "hybrid_reward"):
            logged = log[step]["reward" if name == "reward" else f"rewards/{name}/mean"]
            assert sum(r[name] for r in of_step) / len(of_step) == pytest.approx(logged, abs=1e-6)
        for record in of_step:
            row = rows[record["id"]]
            assert all(record[name] == row[name] for name in ("question", "question_bank", "label"))
            assert record["accuracy_reward"] == float(record["verdict"] == record["label"])
    # wandb, offline: tables and pictures lie in the run folder, staged for `wandb sync`
    images = dict(zip(kept["id"], kept["images"], strict=True))
    # (wandb stages a file once for each mention of it)
    staged = {path.read_bytes() for path in (run / "wandb/artifacts/staging").iterdir()}
    documents = [json.loads(content) for content in staged if content.startswith(b"{")]
    tables = [document for document in documents if "data" in document]
    assert len(tables) == 2
    pictures = {sha256(c).hexdigest(): c for c in staged if c.startswith(b"\x89PNG")}
    for table in tables:
        assert table["columns"][:3] == ["image", "step", "id"]
        assert len(table["data"]) == config["per_device_train_batch_size"]
        for image, _, row_id, *_ in table["data"]:
            drawn = Image.open(io.BytesIO(pictures[image["sha256"]]))
            assert drawn.tobytes() == images[row_id][0].convert("RGB").tobytes()


def test_vllm_and_trainer_agree(folder: Path) -> None:
    log = [line for line in read_log(folder / "run" / "grpo") if "reward" in line]
    assert all(0.95 <= line[RATIO] <= 1.05 for line in log)
    assert all(line[DIFFERENCE] <= 0.03 for line in log)
    assert read_json(folder / "run" / "grpo" / "summary.json")["n_alarms"] == 0


def test_image_token_fix_in_a_real_engine(folder: Path) -> None:
    """With the fix vLLM sees N image tokens; TRL's own trainer makes 2N - 1 of them."""
    out = folder / "image-tokens"
    words = ["--config", CONFIGS / "grpo.yaml", "--model_name_or_path", folder / "run" / "sft"]
    words += ["--dataset_name", folder / "run" / "filter" / "kept", "--output_dir", out]
    words += ["--max_steps", "2", "--learning_rate", "0", "--save_strategy", "no"]
    words += ["--eval_strategy", "no", "--eval_dataset_name", folder / "data" / "sft"]
    script = Path(__file__).with_name("count_image_tokens.py")
    run_command([script, folder / "counts.json", *words])
    fixed, stock = json.loads((folder / "counts.json").read_text())
    assert set(fixed) == {N_IMAGE_TOKENS}
    assert set(stock) == {2 * N_IMAGE_TOKENS - 1}
    # The mean ratio hardly moves (see SamplingAgreement); the difference gives the fault away.
    first, second = (line for line in read_log(out) if "reward" in line)
    assert 0.95 <= first[RATIO] <= 1.05
    assert first[DIFFERENCE] < 0.03 < second[DIFFERENCE]
    assert read_json(out / "summary.json")["n_alarms"] == 1


@pytest.mark.parametrize("model", ["base", "sft", "rl"])
def test_evaluation_asks_every_image_under_both_banks(folder: Path, model: str) -> None:
    run = folder / "run" / "eval" / model
    lines = read_lines(run / "predictions.jsonl")
    n_images = read_yaml(CONFIGS / "eval.yaml")["max_rows"]
    rows = load_dataset(str(folder / "data" / "test"), split="test")
    expected = [(row_id, bank) for row_id in rows["id"][:n_images] for bank in BANKS]
    assert [(line["id"], line["question_bank"]) for line in lines] == expected
    assert all(1 <= line["n_completion_tokens"] <= 64 for line in lines)
    metrics = read_json(run / "metrics.json")
    assert {bank: metrics[bank]["n"] for bank in BANKS} == dict.fromkeys(BANKS, n_images)
    assert (run / "table1.md").read_text(encoding="utf-8").count("\n| ") >= 4
    assert (run / "token_lengths.png").read_bytes().startswith(b"\x89PNG")


def test_report_has_all_three_models(folder: Path) -> None:
    run = folder / "run"
    table = (run / "table1.md").read_text(encoding="utf-8")
    for name in ("base", "SFT", "RL"):
        for bank in BANKS:
            assert f"| {name} | {bank} |" in table
    for name in ("report.md", "results.json", "token_lengths.png", "samples.png"):
        assert (run / name).stat().st_size > 0
    assert set(read_json(run / "times.json")) == {
        *(
            "data",
            "eval-base",
            "sft",
            "eval-sft",
            "filter",
            "grpo",
            "eval-rl",
            "rewards-rl",
            "total",
        )
    }


def test_finished_demo_does_no_work_again(folder: Path) -> None:
    before = read_json(folder / "run" / "stages.json")
    printed = run_command(demo_words(folder))
    assert printed.count("complete, passed over") == len(before)
    assert read_json(folder / "run" / "stages.json") == before


def test_killed_filter_goes_on_with_the_rows_that_are_missing(folder: Path, tmp_path: Path) -> None:
    """SIGKILL in vLLM's own process, after the first rows were saved."""
    whole, out = folder / "run" / "filter", tmp_path / "filter"
    config = read_json(whole / "run.json")["config"]
    words = ["-m", "recipes.filter", "--config", CONFIGS / "filter.yaml", "--output_dir", out]
    words += ["--dataset_name", config["dataset_name"]]
    words += ["--model_name_or_path", config["model_name_or_path"]]
    shard = out / "shards" / "00000-of-00001.jsonl"
    with (tmp_path / "printed").open("w") as printed:
        started = subprocess.Popen(
            [sys.executable, *map(str, words)],
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
            stdout=printed,
            stderr=printed,
            start_new_session=True,
        )
        try:
            while started.poll() is None and not (shard.is_file() and shard.stat().st_size):
                time.sleep(0.02)
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)  # its engine has processes of its own
            started.wait()
    assert started.returncode == -signal.SIGKILL, (tmp_path / "printed").read_text()[-2000:]
    assert not (out / "pass_rates.jsonl").exists()
    before = shard.read_bytes()
    n_saved, n_asks = len(before.splitlines()), 2 * config["max_rows"]
    assert 0 < n_saved < n_asks
    assert f"{n_asks} of {n_asks} questions" in (tmp_path / "printed").read_text()
    run_command(words)
    assert shard.read_bytes().startswith(before)
    assert (out / "pass_rates.jsonl").read_bytes() == (whole / "pass_rates.jsonl").read_bytes()


def test_killed_sft_goes_on_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    """As after a kill while the last checkpoint was written: that one is passed over."""
    whole, out = folder / "run" / "sft", tmp_path / "sft"
    out.mkdir()
    shutil.copy(whole / "run.json", out)
    shutil.copytree(whole / "checkpoint-25", out / "checkpoint-25")
    shutil.copytree(whole / "checkpoint-50", out / "checkpoint-50")
    (out / "checkpoint-50" / "trainer_state.json").write_text('{"cut')
    config = read_json(whole / "run.json")["config"]
    words = ["-m", "accelerate.commands.launch", "--config_file", "launch/accelerate/cpu.yaml"]
    words += ["-m", "recipes.sft", "--config", CONFIGS / "sft.yaml", "--output_dir", out]
    words += ["--dataset_name", config["dataset_name"]]
    printed = run_command(words)
    assert f"{out / 'checkpoint-50'} is incomplete" in printed
    old, new = weights(whole), weights(out)
    assert all(torch.allclose(new[name], old[name], atol=1e-6) for name in old)
    assert [line["step"] for line in read_log(out) if "loss" in line] == [*range(26, 51)]


def test_killed_grpo_goes_on_as_if_undisturbed(folder: Path, tmp_path: Path) -> None:
    """The samples of vLLM too: its random numbers are the trainer's, which a checkpoint keeps."""
    whole, out = folder / "run" / "grpo", tmp_path / "grpo"
    out.mkdir()
    for name in ("run.json", "log.jsonl"):
        shutil.copy(whole / name, out)
    shutil.copytree(whole / "checkpoint-2", out / "checkpoint-2")
    config = read_json(whole / "run.json")["config"]
    words = ["-m", "recipes.grpo", "--config", CONFIGS / "grpo.yaml", "--output_dir", out]
    words += ["--dataset_name", config["dataset_name"]]
    words += ["--eval_dataset_name", config["eval_dataset_name"]]
    run_command([*words, "--model_name_or_path", config["model_name_or_path"]])
    old, new = ([line for line in read_log(run) if "reward" in line] for run in (whole, out))
    assert [line["step"] for line in new] == [1, 2, 3]
    for name in ("loss", "reward", "kl", "completions/mean_length", "learning_rate"):
        assert new[2][name] == pytest.approx(old[2][name], abs=1e-5), name
    before, after = weights(whole), weights(out)
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in before)
