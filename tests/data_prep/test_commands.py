"""The command line: options from YAML, the command over it, wrong ones named, uploads refused."""

from pathlib import Path

import pytest
import yaml

from data_prep import publish
from data_prep.__main__ import make_parser, run
from data_prep.config_file import with_config
from rewards.errors import UserError
from tests.data_prep.test_build import dropped_of, rows_of
from tests.data_prep.trees import FAKECLUE_ENTRIES, make_fakeclue, make_genimage

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"
DATA_FILES = sorted(CONFIGS.glob("*/data.yaml"))


def options_of(argv):
    parser = make_parser()
    return parser.parse_args(with_config(argv, parser))


def write(path: Path, content) -> str:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def test_there_is_a_configuration_of_the_papers_data():
    assert CONFIGS / "fake_hr1_7b" / "data.yaml" in DATA_FILES


@pytest.mark.parametrize("path", DATA_FILES, ids=lambda path: path.parent.name)
def test_every_section_of_a_shipped_file_parses_with_its_command(path):
    sections = yaml.safe_load(path.read_text())
    assert sections
    for command, options in sections.items():
        parsed = vars(options_of([command, "--config", str(path)]))
        for key, value in options.items():
            found = parsed[key]
            found = found[0] if isinstance(found, list) else found
            assert found == (Path(value) if isinstance(found, Path) else value), key


def test_the_command_line_goes_over_the_yaml_file(tmp_path):
    content = {"genimage": "a", "output_dir": "b", "seed": 3, "unbiased": True}
    config = write(tmp_path / "c.yaml", content)
    parsed = options_of(["sft", "--config", config])
    assert (parsed.seed, parsed.unbiased, parsed.genimage) == (3, True, [Path("a")])
    parsed = options_of(["sft", f"--config={config}", "--seed", "4", "--no-unbiased"])
    assert (parsed.seed, parsed.unbiased) == (4, False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"output_dir": "a", "sed": 1}, r"unknown keys \['sed'\]"),
        ({"output_dir": "a", "help": True}, "unknown keys"),
        ({"output_dir": "a", "unbiased": "yes"}, "unbiased is 'yes'"),
        ({"output_dir": "a", "seed": "one"}, "invalid int value: 'one'"),
        ({"output_dir": "a", "check": "half"}, "invalid choice: 'half'"),
        ({"output_dir": "a", "seed": {"b": 1}}, "seed holds a mapping"),
        ({"seed": 1}, "required: --output_dir"),
        ("output_dir: a\nseed: 1\nseed: 2\n", "twice"),
        ("- a", "expected `key: value`"),
        ({"rl": {"output_dir": "a"}}, "no section 'sft'"),
        ({"sft": {"output_dir": "a"}, "stf": {}}, r"unknown sections \['stf'\]"),
        ({"sft": 3}, "must hold"),
    ],
)
def test_a_wrong_yaml_file_is_named(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        options_of(["sft", "--config", write(tmp_path / "c.yaml", content)])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["stf"], "invalid choice: 'stf'"),
        (["sft", "--out", "a"], "required: --output_dir"),
        (["sft", "--output_dir", "a", "--sede", "1"], "unrecognized arguments: --sede"),
        (["sft", "--config"], "path of a YAML file"),
        (["sft", "--config", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["sft", "--output_dir", "a", "--num_proc", "0"], "not a positive number"),
        (["sft", "--output_dir", "a", "--unbiased"], "give --genimage"),
        (["sft", "--output_dir", "a", "--genimage_samples", "5"], "give --genimage"),
        (["rl", "--output_dir", "a", "--hard_share", "2"], "from 0 to 1"),
        (["sft", "--output_dir", "a", "--fakeclue", "b", "--drop_leaks"], "needs --against"),
        (["test", "--output_dir", "a", "--fakeclue", "nowhere"], "not FakeClue's root"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        run(argv)
    assert "\n" not in str(caught.value)


def test_all_runs_every_section_in_order(tmp_path, capsys):
    fakeclue = str(make_fakeclue(tmp_path / "fc"))
    sections = {
        "rl": {"fakeclue": fakeclue, "output_dir": str(tmp_path / "rl"), "audit": False},
        "sft": {"fakeclue": fakeclue, "output_dir": str(tmp_path / "sft"), "audit": False},
    }
    path = tmp_path / "data.yaml"
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    run(["all", "--config", str(path), "--seed", "3"])
    out = capsys.readouterr().out
    assert out.index("== rl") < out.index("== sft")
    assert len(rows_of(tmp_path / "rl")) == len(rows_of(tmp_path / "sft")) == 6


def test_leaks_into_a_test_set_are_left_out_and_the_audit_is_there(tmp_path):
    root = tmp_path / "fc"
    make_fakeclue(root)
    make_fakeclue(root, "test", [*FAKECLUE_ENTRIES[:1]])
    test, sft = tmp_path / "test", tmp_path / "sft"
    run(["test", "--fakeclue", str(root), "--output_dir", str(test), "--no-audit"])
    common = ["sft", "--fakeclue", str(root), "--output_dir", str(sft)]
    run([*common, "--against", str(test), "--drop_leaks"])
    leak = "fakeclue/train/" + FAKECLUE_ENTRIES[0]["image"]
    assert leak not in rows_of(sft)
    assert len(rows_of(sft)) == 5
    assert "same pixels" in dropped_of(sft)[leak]
    assert (sft / "audit" / "audit.html").is_file()
    assert "5 rows" in (sft / "README.md").read_text()
    with pytest.raises(UserError, match="nowhere"):
        run([*common, "--against", str(tmp_path / "nowhere"), "--overwrite"])


def test_paths_and_new_pixels_exclude_each_other(tmp_path):
    root = str(make_genimage(tmp_path / "gi"))
    with pytest.raises(UserError, match="needs --image_storage embed"):
        out = str(tmp_path / "out")
        options = ["--unbiased", "--image_storage", "path"]
        run(["sft", "--genimage", root, "--output_dir", out, *options])


@pytest.mark.parametrize(
    ("repo", "storage", "environment", "message"),
    [
        ("me/set", "embed", {"offline": True, "token": "t"}, "HF_HUB_OFFLINE is set"),
        ("me/set", "embed", {"offline": False, "token": None}, "needs a token"),
        ("not a name", "embed", {"offline": False, "token": "t"}, "no name of a repository"),
        ("me/set", "path", {"offline": False, "token": "t"}, "mean nothing on another"),
    ],
    ids=["offline", "no-token", "bad-name", "paths"],
)
def test_uploads_that_cannot_be_are_refused_before_the_build(
    tmp_path, monkeypatch, repo, storage, environment, message
):
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: environment["offline"])
    monkeypatch.setattr(publish, "get_token", lambda: environment["token"])
    root = str(make_genimage(tmp_path / "gi"))
    out = tmp_path / "out"
    options = ["--push_to_hub", repo, "--image_storage", storage]
    with pytest.raises(UserError, match=message):
        run(["sft", "--genimage", root, "--output_dir", str(out), *options])
    assert not out.exists()


def test_upload_makes_a_private_data_set_of_the_whole_folder(tmp_path, monkeypatch):
    """The hub itself cannot be reached from a test: what it would be asked is looked at."""
    calls = []

    class Hub:
        def create_repo(self, repo_id, **options):
            calls.append(("create", repo_id, options))
            return f"https://hub/{repo_id}"

        def upload_folder(self, **options):
            calls.append(("upload", options))

    monkeypatch.setattr(publish, "HfApi", Hub)
    assert publish.publish(tmp_path, "me/set") == "https://hub/me/set"
    expected = {"repo_type": "dataset", "private": True, "exist_ok": True}
    assert calls == [
        ("create", "me/set", expected),
        ("upload", {"repo_id": "me/set", "folder_path": tmp_path, "repo_type": "dataset"}),
    ]
