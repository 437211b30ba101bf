"""Builds that are killed, refused or cut off by the disk: nothing broken, nothing lost."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import load_dataset

from data_prep import plan as plan_module
from data_prep.__main__ import run
from rewards.errors import UserError
from tests.data_prep.test_build import dropped_of, files_of
from tests.data_prep.trees import FAKECLUE_ENTRIES, fakeclue_entry, make_fakeclue, make_genimage


def sft(root: Path, out: Path, *options: str) -> None:
    common = ["--output_dir", str(out), "--num_proc", "1", "--rows_per_shard", "4", "--no-audit"]
    run(["sft", "--genimage", str(root), *common, *options])


def building_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.building")


@pytest.fixture
def genimage(tmp_path) -> Path:
    return make_genimage(tmp_path / "gi", n_images=3)


def wait_for(what, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def alive(pids: list[int]) -> list[int]:
    """Return the processes that still run; zombies do not."""
    running = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            running.append(pid)
    return running


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] + [
        below for child in children for below in descendants(int(child))
    ]


def test_a_build_killed_again_and_again_gives_the_bytes_of_an_undisturbed_one(tmp_path):
    root = make_genimage(tmp_path / "gi", n_images=150, size=(200, 200))  # 900 rows
    out = tmp_path / "out"
    options = ["--output_dir", str(out), "--num_proc", "2", "--rows_per_shard", "60", "--no-audit"]
    command = [sys.executable, "-m", "data_prep", "sft", "--genimage", str(root), *options]
    data = building_of(out) / "set" / "data"
    n_seen = 0
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda n=n_seen: data.is_dir() and len(list(data.iterdir())) >= n + 3)
        workers = descendants(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_seen = len(list(data.iterdir()))
        assert 0 < n_seen < 15, "the build was over before it was killed"
        wait_for(lambda workers=workers: not alive(workers), 20)  # no process is left behind
    finished = {path.name: path.stat().st_mtime_ns for path in data.iterdir()}
    assert not out.exists()
    subprocess.run(command, check=True, capture_output=True)
    for name, written in finished.items():  # what was finished was not built again
        assert (out / "data" / name).stat().st_mtime_ns == written
    killed = files_of(out)
    shutil.rmtree(out)
    run(command[3:])
    assert files_of(out) == killed
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("stop", ["audit", "card", "rename"])
def test_a_build_cut_off_at_its_end_is_finished_by_the_same_command(
    genimage, tmp_path, monkeypatch, stop
):
    out, whole = tmp_path / "out", tmp_path / "whole" / "out"
    sft(genimage, whole)
    target = {
        "audit": "data_prep.finish.write_dropped",
        "card": "data_prep.finish.render_card",
        "rename": "data_prep.build.replace_folder",
    }[stop]
    with monkeypatch.context() as patched:
        patched.setattr(target, lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sft(genimage, out)
    assert not out.exists()
    sft(genimage, out)
    own, expected = files_of(out), files_of(whole)
    for name in ("README.md", "build.json"):
        del own[name], expected[name]
    assert own == expected
    assert not building_of(out).exists()


def test_the_same_command_again_has_nothing_to_do(genimage, tmp_path, capsys):
    sft(genimage, tmp_path / "out")
    before = files_of(tmp_path / "out")
    sft(genimage, tmp_path / "out", "--num_proc", "2")
    assert "nothing to do" in capsys.readouterr().out
    assert files_of(tmp_path / "out") == before
    assert not building_of(tmp_path / "out").exists()


def test_another_build_in_the_folder_is_kept_unless_told_otherwise(genimage, tmp_path):
    out = tmp_path / "out"
    sft(genimage, out)
    before = files_of(out)
    with pytest.raises(UserError, match="holds another data set"):
        sft(genimage, out, "--seed", "1")
    assert files_of(out) == before
    sft(genimage, out, "--seed", "1", "--overwrite")
    assert files_of(out) != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gi", "out"]


def test_files_that_no_build_made_are_never_touched_unasked(genimage, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="holds files that no build made"):
        sft(genimage, out)
    assert (out / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UserError, match="is not a folder"):
        sft(genimage, out / "thesis.tex")


def test_an_unfinished_build_of_other_settings_is_not_thrown_away(genimage, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("data_prep.build.finish", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sft(genimage, out)
    with pytest.raises(UserError, match="unfinished build of other"):
        sft(genimage, out, "--seed", "1")
    assert any((building_of(out) / "set/data").iterdir())
    sft(genimage, out, "--seed", "1", "--overwrite")
    assert load_dataset(str(out), split="train").num_rows == 18  # type: ignore[union-attr]


def test_new_images_between_two_starts_are_seen(genimage, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("data_prep.build.finish", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sft(genimage, out)
    make_genimage(genimage, n_images=4)
    with pytest.raises(UserError, match="unfinished build of other rows"):
        sft(genimage, out)


def test_two_builds_of_one_folder_do_not_meet(genimage, tmp_path, monkeypatch):
    out = tmp_path / "out"
    make_plan = plan_module.make_plan

    def second(*args, **kwargs):
        with pytest.raises(UserError, match="another process builds"):
            sft(genimage, out)
        return make_plan(*args, **kwargs)

    monkeypatch.setattr("data_prep.build.make_plan", second)
    sft(genimage, out)
    assert out.is_dir()


def no_space(function, limit: int):
    """Call ``function`` with files that cannot grow beyond ``limit`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        function()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more_is_told_and_leaves_no_broken_shard(tmp_path):
    root = make_genimage(tmp_path / "gi", n_images=6, size=(300, 300))
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"writing to .* failed: .*same command goes on"):
        no_space(lambda: sft(root, out), 200_000)
    assert not out.exists()
    assert list(tmp_path.rglob("*.parquet*")) == []
    sft(root, out)
    assert load_dataset(str(out), split="train").num_rows == 36  # type: ignore[union-attr]


def test_a_disk_without_room_for_the_plan_is_told_and_left_clean(genimage, tmp_path):
    with pytest.raises(UserError, match=r"writing to .* failed: disk I/O error.*Free some space"):
        no_space(lambda: sft(genimage, tmp_path / "out"), 8_000)  # an empty plan is larger
    assert not (tmp_path / "out").exists()
    assert not building_of(tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs to mount a disk")
def test_a_full_disk_keeps_finished_shards_and_goes_on_when_there_is_room(tmp_path):
    root = make_genimage(tmp_path / "gi", n_images=10, size=(300, 300))
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        with pytest.raises(UserError, match="No space left on device"):
            sft(root, disk / "out")
        data = building_of(disk / "out") / "set" / "data"
        finished = {path.name: path.stat().st_mtime_ns for path in data.iterdir()}
        assert finished
        assert not (disk / "out").exists()
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        sft(root, disk / "out")
        for name, written in finished.items():
            assert (disk / "out/data" / name).stat().st_mtime_ns == written
        sft(root, tmp_path / "whole")
        for path in (tmp_path / "whole/data").iterdir():
            assert path.read_bytes() == (disk / "out/data" / path.name).read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_made_is_told(genimage, tmp_path):
    (tmp_path / "file").write_text("a")
    with pytest.raises(UserError, match=r"writing to .* failed"):
        sft(genimage, tmp_path / "file" / "out")


def test_no_rows_left_is_an_error_that_says_why(tmp_path):
    entries = [fakeclue_entry("doc/fake/a.jpg", 0, "This is a fake image.")]
    root = make_fakeclue(tmp_path / "fc", entries=entries)
    out = str(tmp_path / "out")
    with pytest.raises(UserError, match="nothing but the verdict: 1"):
        run(["sft", "--fakeclue", str(root), "--output_dir", out, "--no-audit"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fc"]
    root = make_fakeclue(tmp_path / "broken", entries=[FAKECLUE_ENTRIES[0]])
    next(root.rglob("*.png")).write_bytes(b"none")
    with pytest.raises(UserError, match=r"no rows are left: .*known format: 1"):
        run(["sft", "--fakeclue", str(root), "--output_dir", out, "--no-audit"])
    assert not Path(out).exists()


def test_two_roots_with_the_same_ids_are_refused(tmp_path):
    roots = [str(make_fakeclue(tmp_path / name)) for name in ("a", "b")]
    with pytest.raises(UserError, match=f"--fakeclue {roots[0]} and --fakeclue {roots[1]} both"):
        run(["sft", "--fakeclue", *roots, "--output_dir", str(tmp_path / "out")])
    assert not building_of(tmp_path / "out").exists()


def test_a_name_that_is_no_text_is_dropped_and_listed(genimage, tmp_path):
    folder = genimage / "ADM/imagenet_ai_0508_adm/train/ai"
    name = os.fsencode(folder) + b"/\xff\xfe.png"
    try:
        shutil.copy(next(folder.iterdir()), name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    sft(genimage, tmp_path / "out")
    assert list(dropped_of(tmp_path / "out").values()) == ["the file name is not UTF-8"]


def test_a_killed_process_of_the_pool_is_told(tmp_path, monkeypatch):
    root = make_genimage(tmp_path / "gi", n_images=150, size=(200, 200))
    out = tmp_path / "out"
    options = ["--output_dir", str(out), "--num_proc", "2", "--rows_per_shard", "60", "--no-audit"]
    command = [sys.executable, "-m", "data_prep", "sft", "--genimage", str(root), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    data = building_of(out) / "set" / "data"
    wait_for(lambda: data.is_dir() and any(data.iterdir()))
    busiest = max(descendants(process.pid), key=_cpu_time)
    os.kill(busiest, signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"error: a process was killed" in stderr
    assert b"Traceback" not in stderr


def _cpu_time(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0
    return int(fields[11]) + int(fields[12])
