"""The demo's stages: once, again when something changed, on when cut off, stop at a failure."""

import json
import sys
from pathlib import Path

import pytest

from recipes import demo
from recipes.config import read_yaml
from recipes.stages import Stage, StageRunner, fingerprint_files, run_logged

ROOT = Path(__file__).parents[2]


class Toy:
    """Three stages that write a file each and count their runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.config.write_text("steps: 1\n")
        self.broken = folder / "broken"

    def stages(self) -> list[Stage]:
        return [self.stage("one", ()), self.stage("two", ("one",)), self.stage("three", ("two",))]

    def stage(self, name: str, needs: tuple[str, ...]) -> Stage:
        program = (
            "import sys, pathlib\n"
            "folder, name, *options = sys.argv[1:]\n"
            "folder = pathlib.Path(folder)\n"
            "print('start of', name, flush=True)\n"
            "with open(folder / f'{name}.runs', 'a') as file:\n"
            "    file.write(' '.join(options) + '.')\n"
            "if (folder / 'broken').exists() and (folder / 'broken').read_text() == name:\n"
            "    print('something broke', file=sys.stderr)\n"
            "    sys.exit(7)\n"
            "(folder / f'{name}.result').write_text('done')\n"
        )
        inputs = (self.config,) if name == "two" else ()
        command = (sys.executable, "-c", program, str(self.folder), name)
        return Stage(name, command, inputs, needs, self.folder / f"{name}.result")

    def run(self) -> None:
        stages = self.stages()
        runner = StageRunner(self.folder / "run", stages)
        for stage in stages:
            runner.run(stage)

    def states(self) -> list[str]:
        stages = self.stages()
        runner = StageRunner(self.folder / "run", stages)
        return [runner.state(stage) for stage in stages]

    def runs(self) -> list[str]:
        """Return a dot for each run of each stage, after its options."""
        files = [self.folder / f"{name}.runs" for name in ("one", "two", "three")]
        return [file.read_text() if file.exists() else "" for file in files]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_stages_run_in_order_and_once(toy: Toy, capfd) -> None:
    assert toy.states() == ["new", "new", "new"]
    toy.run()
    out = capfd.readouterr().out
    assert out.index("start of one") < out.index("start of two") < out.index("start of three")
    assert toy.states() == ["complete"] * 3
    toy.run()
    assert toy.runs() == [".", ".", "."]
    assert "three: complete, passed over" in capfd.readouterr().out
    times = json.loads((toy.folder / "run" / "times.json").read_text())
    assert set(times) == {"one", "two", "three", "total"}
    assert times["total"] == pytest.approx(times["one"] + times["two"] + times["three"], abs=0.2)


def test_changed_configuration_starts_its_stage_and_the_later_ones_again(toy: Toy) -> None:
    toy.run()
    toy.config.write_text("steps: 2\n")
    assert toy.states() == ["complete", "again", "again"]
    toy.run()
    assert toy.runs() == [".", ".--restart true.", ".--restart true."]


def test_missing_result_is_made_again(toy: Toy) -> None:
    toy.run()
    (toy.folder / "three.result").unlink()
    assert toy.states() == ["complete", "complete", "goes on"]
    toy.run()
    assert toy.runs() == [".", ".", ".."]


def test_result_of_unknown_origin_is_made_again(toy: Toy) -> None:
    (toy.folder / "one.result").write_text("by hand")
    assert toy.states()[0] == "again"


def test_failure_stops_with_its_status_and_its_last_lines(toy: Toy, capfd) -> None:
    toy.broken.write_text("two")
    with pytest.raises(SystemExit) as ended:
        toy.run()
    assert ended.value.code == 7
    err = capfd.readouterr().err
    assert "something broke" in err
    assert "stage two failed with exit status 7" in err
    assert "something broke" in (toy.folder / "run" / "logs" / "two.log").read_text()
    assert toy.runs() == [".", ".", ""]
    toy.broken.unlink()
    assert toy.states() == ["complete", "goes on", "new"]
    toy.run()
    # Cut off and unchanged: it goes on, without --restart.
    assert toy.runs() == [".", "..", "."]


def test_command_that_is_killed_has_the_shells_status(tmp_path: Path) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_logged((sys.executable, "-c", program), tmp_path / "log") == 137


def test_fingerprint_follows_content_and_names(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_text("1")
    first = fingerprint_files([tmp_path / "model"])
    assert fingerprint_files([tmp_path / "model"]) == first
    (tmp_path / "model" / "a").write_text("2")
    second = fingerprint_files([tmp_path / "model"])
    (tmp_path / "model" / "a").rename(tmp_path / "model" / "b")
    assert len({first, second, fingerprint_files([tmp_path / "model"])}) == 3


def options_of(stage: Stage) -> dict[str, str]:
    words = stage.command
    return {words[i][2:]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}


@pytest.mark.parametrize("config", ["demo", "smoke"])
def test_by_default_the_stages_are_the_configurations(config: str) -> None:
    """The demo's first seed is what `make sft`, `make filter`, ... do by themselves."""
    plan = demo.Demo(
        config, 0, demo.BASE_MODEL, Path("data") / config, Path("runs") / config
    ).stages()
    names = ["data", "eval-base", "sft", "eval-sft", "filter", "grpo", "eval-rl", "rewards-rl"]
    assert [stage.name for stage in plan] == names
    for stage in plan:
        if stage.name in ("sft", "filter", "grpo", "eval-rl"):
            options = options_of(stage)
            yaml = read_yaml(ROOT / options["config"])
            for key in ("model_name_or_path", "dataset_name", "output_dir", "seed"):
                if key in options:
                    assert options[key] == str(yaml[key]), (stage.name, key)


def test_another_seed_has_its_own_folder(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", "--seed", "2"])
    args = demo.parse_arguments()
    assert (args.run_dir, args.data_dir) == (Path("runs/demo-seed2"), Path("data/demo"))
    plan = demo.Demo("demo", 2, demo.BASE_MODEL, args.data_dir, args.run_dir).stages()
    for stage in plan:
        if stage.name in ("sft", "filter", "grpo"):
            assert options_of(stage)["seed"] == "2"
            assert options_of(stage)["output_dir"].startswith("runs/demo-seed2/")


def test_unknown_configuration_is_a_user_error(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", "--config_name", "nothing"])
    with pytest.raises(demo.UserError, match=r"expected one of \['demo', 'smoke'\]"):
        demo.parse_arguments()
