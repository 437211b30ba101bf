"""What is handed to sbatch, from the site's settings and the configuration; no Slurm needed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from launch.site_settings import EXAMPLE_FILE, read_site
from launch.stages import STAGES, make_stage
from launch.submit import Submission
from launch.vllm_server import check_split, server_command
from rewards.errors import UserError

ROOT = Path(__file__).parents[2]
RUN = Path("runs/x")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for key in ("SITE_PARTITION", "SITE_GPUS_PER_NODE", "HF_HOME"):
        monkeypatch.delenv(key, raising=False)


def sbatch_lines(name: str, **site: str) -> list[str]:
    submission = Submission("demo", RUN, 4, "multi_gpu", read_site() | site)
    stage = make_stage(name, "demo", RUN)
    return [" ".join(job.sbatch()) for job in submission.jobs(stage)]


def test_training_takes_whole_nodes_and_one_launcher_a_node() -> None:
    (line,) = sbatch_lines("sft")
    for option in ("--nodes=4", "--gpus-per-node=8", "--ntasks-per-node=1", "--cpus-per-task=96"):
        assert f" {option} " in line
    assert "--signal=B:USR1@600" in line
    assert line.endswith(
        "-m recipes.sft --config recipes/configs/demo/sft.yaml --output_dir runs/x/sft"
    )


@pytest.mark.parametrize("name", ["filter", "eval"])
def test_shards_take_a_gpu_each_and_are_summed_up_without_one(name: str) -> None:
    shards, merge = sbatch_lines(name)
    assert " --array=0-31 " in shards
    assert " --gpus-per-node=1 " in shards
    assert shards.endswith("--num_shards 32")
    assert "gpus" not in merge
    assert "shard" not in merge.split("launch/slurm/single.sbatch")[1]


def test_each_stage_reads_what_the_one_before_wrote() -> None:
    commands = {name: make_stage(name, "demo", RUN).command for name in STAGES}
    assert "runs/x/sft" in commands["filter"]
    assert "runs/x/filter/kept" in commands["grpo"]
    assert "runs/x/grpo" in commands["eval"]


def test_the_paper_s_data_are_one_stage_of_three_builds() -> None:
    stage = make_stage("data", "fake_hr1_7b", RUN)
    assert stage.command == (
        "data_prep",
        "all",
        "--config",
        "recipes/configs/fake_hr1_7b/data.yaml",
    )
    assert stage.last_file == Path("data/fake_hr1/test/README.md")
    assert not stage.whole


@pytest.mark.parametrize("config", ["fake_hr1_7b", "qwen3_vl", "lora_7b", "demo", "smoke"])
def test_the_stages_read_the_data_sets_that_the_data_stage_writes(config: str) -> None:
    written = make_stage("data", config, RUN).folder
    for name in ("sft", "filter", "eval"):
        assert Path(make_stage(name, config, RUN).option("dataset_name")).parent == written


def test_data_is_one_job_without_a_gpu() -> None:
    (line,) = sbatch_lines("data")
    assert " --ntasks=1 " in line
    assert "gpus" not in line
    assert line.endswith("launch/slurm/single.sbatch data_prep demo --output_dir data/demo")


def test_nodes_are_told_which_data_set_to_copy() -> None:
    assert "DATA_SET=data/demo/sft" in sbatch_lines("sft")[0]
    assert "DATA_SET=runs/x/filter/kept" in sbatch_lines("grpo")[0]


def server_line(nodes: int, vllm_nodes: int, vllm_gpus: int = 4, *arguments: str) -> str:
    submission = Submission("demo", RUN, nodes, "multi_gpu", read_site(), vllm_nodes, vllm_gpus)
    (job,) = submission.jobs(make_stage("grpo", "fake_hr1_7b", RUN, arguments))
    return " ".join(job.sbatch())


def test_a_vllm_node_is_one_of_the_job_s() -> None:
    line = server_line(4, 1)
    assert " --nodes=4 " in line
    for variable in ("VLLM_NODES=1", "VLLM_TP=4", "GRPO_MODEL=runs/x/sft"):
        assert variable in line
    assert "GRPO_CONFIG=recipes/configs/fake_hr1_7b/grpo.yaml" in line
    assert "VLLM" not in server_line(4, 0)


@pytest.mark.parametrize(
    ("nodes", "vllm_nodes", "vllm_gpus", "arguments", "message"),
    [
        pytest.param(1, 1, 4, (), "leaves no node to train on", id="nothing left"),
        pytest.param(4, 2, 4, (), "one server", id="two servers"),
        pytest.param(4, 1, 9, (), "1 to 8", id="more GPUs than the node has"),
        pytest.param(
            *(4, 1, 4, ("--per_device_train_batch_size", "1", "--num_generations", "16")),
            "group would be cut",
            id="groups do not fit",
        ),
    ],
)
def test_a_split_that_does_not_work_is_refused(
    nodes: int, vllm_nodes: int, vllm_gpus: int, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        server_line(nodes, vllm_nodes, vllm_gpus, *arguments)


def test_the_server_is_what_trl_s_trainer_needs() -> None:
    model = "recipes/configs/demo/base_model"
    line = " ".join(server_command("recipes/configs/fake_hr1_7b/grpo.yaml", model, 20001, 4))
    assert f" serve {model} " in line
    for option in ("--port 20001", "--tensor-parallel-size 4", "--max-model-len 2304"):
        assert option in line
    for option in ("--enable-scale-out", "--weight-transfer-config", "processed_logprobs"):
        assert option in line


def test_gpus_that_do_not_divide_the_heads_are_refused() -> None:
    with pytest.raises(UserError, match="set VLLM_TP to one of"):
        check_split("recipes/configs/demo/base_model", 3)
    check_split("recipes/configs/demo/base_model", 1)


def test_site_settings_reach_sbatch() -> None:
    site = {
        "SITE_PARTITION": "a100",
        "SITE_ACCOUNT": "lab",
        "SITE_QOS": "long",
        "SITE_GPU_TYPE": "a100",
        "SITE_SBATCH_OPTIONS": "--constraint='ib hdr' --exclude=n7",
    }
    (line,) = sbatch_lines("grpo", **site)
    for option in ("--partition=a100", "--account=lab", "--qos=long", "--gpus-per-node=a100:8"):
        assert f" {option} " in line
    assert "--constraint=ib hdr" in line
    assert "--partition" not in sbatch_lines("grpo")[0]


def test_the_sites_file_goes_over_the_example_and_the_environment_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "site.env"
    file.write_text('SITE_PARTITION=ours\nSITE_GPUS_PER_NODE=4\nSITE_SETUP="module load cuda"\n')
    monkeypatch.setenv("SITE_GPUS_PER_NODE", "2")
    settings = read_site(file)
    assert settings["SITE_PARTITION"] == "ours"
    assert settings["SITE_GPUS_PER_NODE"] == "2"
    assert settings["SITE_SETUP"] == "module load cuda"
    assert settings["SITE_TIME"] == "24:00:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("SITE_PARTITON=x\n", "SITE_PARTITON", id="unknown key"),
        pytest.param("SITE_GPUS_PER_NODE=eight\n", "whole number", id="not a number"),
    ],
)
def test_a_bad_site_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "site.env"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_site(file)


def test_an_unknown_configuration_names_those_there_are() -> None:
    with pytest.raises(UserError, match=r"recipes/configs/nowhere/sft.yaml.*demo"):
        make_stage("sft", "nowhere", RUN)


def test_without_slurm_the_message_says_where_it_works(tmp_path: Path) -> None:
    # An empty PATH but for the interpreter: no sbatch.
    options = ["--config_name", "demo", "--run_dir", str(tmp_path / "run")]
    done = subprocess.run(
        [str(ROOT / ".venv/bin/python"), "-m", "launch.submit", "sft", *options],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "login node" in done.stderr


@pytest.mark.parametrize("script", sorted((ROOT / "launch").glob("**/*.s*h")), ids=lambda p: p.name)
def test_scripts_are_well_formed_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("folder", ["launch/slurm"])
def test_job_scripts_pass_shellcheck(folder: str) -> None:
    scripts = [str(path) for path in sorted((ROOT / folder).iterdir())]
    done = subprocess.run(["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_nothing_of_a_site_is_in_the_scripts() -> None:
    example = EXAMPLE_FILE.read_text()
    for script in Path("launch/slurm").iterdir():
        text = script.read_text()
        assert "--partition" not in text
        assert "--account" not in text
        assert "module load" not in text
    assert "SITE_PARTITION=\n" in example
