"""The audit as a whole: its command, its pages, what it refuses."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.audit.balance import association
from data_prep.audit.corpus import load_corpus
from data_prep.audit.folder import open_folder
from data_prep.audit.image_tokens import CHANGES, image_tokens
from data_prep.audit.limits import TokenLimits
from data_prep.audit.measurements import load_measurements
from data_prep.audit.run import AuditOptions, audit_build, leaking_ids
from data_prep.shards import HASH_METADATA
from rewards.errors import UserError
from tests.data_prep.audit_sets import (
    Entry,
    alike_jpegs,
    encoded,
    jpegs_and_pngs,
    picture,
    write_set,
)

HOSTILE = "<script>alert('x')</script>|*a*"


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    """The command line on a biased training set that shares a picture with a test set."""
    folder = tmp_path_factory.mktemp("audit")
    train = jpegs_and_pngs(40, HOSTILE)
    train += [Entry("broken", b"\xff\xd8 no JPEG", "real"), Entry("empty", b"", "fake")]
    test = [Entry("seen", train[0].data, "real"), Entry("new", encoded(picture(99_999)), "fake")]
    write_set(folder / "train", {"train": train})
    write_set(folder / "test", {"test": test})
    command = [sys.executable, "-m", "data_prep", "audit", folder / "train"]
    command += ["--against", folder / "test", "--num_proc", "1"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return folder, done.stdout


class _Page(HTMLParser):
    """Collects what a page shows and what it asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_command_prints_the_findings_and_where_the_page_is(audit):
    folder, printed = audit
    assert "warning 2 rows whose image cannot be read" in printed
    assert "warning 1 training row of train show a picture" in printed
    assert "the file alone tells the label" in printed
    assert printed.strip().endswith(str(folder / "train" / "audit" / "audit.html"))


def test_page_is_self_contained_and_escaped(audit):
    text = (audit[0] / "train" / "audit" / "audit.html").read_text()
    page = _Page(text)
    assert "script" not in page.tags
    assert page.tags.count("img") >= 10
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_markdown_shows_files_that_are_there(audit):
    folder = audit[0] / "train" / "audit"
    text = (folder / "audit.md").read_text()
    shown = [part.split(")")[0] for part in text.split("](")[1:]]
    assert len(shown) >= 10
    assert all((folder / name).stat().st_size > 0 for name in shown)
    assert "<script>" not in text.replace("\\<script\\>", "")


def test_tables_of_the_markdown_have_as_many_cells_as_their_heads(audit):
    text = (audit[0] / "train" / "audit" / "audit.md").read_text()
    widths: set[int] = set()
    n_tables = 0
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            widths.add(line.replace("\\|", "").count("|"))
        else:
            assert len(widths) <= 1, line
            n_tables += bool(widths)
            widths = set()
    assert n_tables >= 8


def test_leaks_are_listed_with_what_they_repeat(audit):
    lines = (audit[0] / "train" / "audit" / "leaks.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "id": f"real-{HOSTILE}-0",
            "part": "train/train",
            "kind": "exact",
            "other_id": "seen",
            "other_part": "test/test",
        }
    ]


def test_unreadable_images_are_listed_with_the_reason(audit):
    numbers = json.loads((audit[0] / "train" / "audit" / "audit.json").read_text())
    assert {entry["id"]: entry["reason"] for entry in numbers["unreadable"]} == {
        "broken": "the file is not an image of a known format",
        "empty": "the row holds no image",
    }


def test_same_input_gives_the_same_bytes(audit, tmp_path):
    folder = audit[0]
    outputs = []
    for name in ("a", "b"):
        audit_build(folder / "train", [folder / "test"], output_dir=tmp_path / name)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        outputs.append({p.relative_to(tmp_path / name): p.read_bytes() for p in files})
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 10


def test_data_set_still_loads_with_the_audit_in_its_folder(audit):
    before = open_folder(audit[0] / "train")
    assert before.pinned
    assert [(s.split, s.n_rows) for s in before.shards] == [("train", 82)]


def test_leaking_ids_name_the_rows_to_drop_and_the_reason(audit):
    folder = audit[0]
    result = audit_build(folder / "train", [folder / "test"])
    assert leaking_ids(result) == {f"real-{HOSTILE}-0": "leak: the same pixels are in test/test"}
    # A set that only serves as a yardstick is kept whole.
    assert list(leaking_ids(audit_build(folder / "test", [folder / "train"]))) == ["seen"]


def test_repeated_and_contradicting_rows_are_dropped_too(tmp_path):
    same, torn = encoded(picture(1)), encoded(picture(2))
    entries = [
        Entry("first", same, "real"),
        Entry("again", same, "real"),
        Entry("torn-real", torn, "real"),
        Entry("torn-fake", torn, "fake"),
        Entry("other", encoded(picture(3)), "fake"),
    ]
    result = audit_build(write_set(tmp_path / "set", {"train": entries}))
    assert {i: reason.split(":")[0] for i, reason in leaking_ids(result).items()} == {
        "again": "repeated",
        "torn-real": "contradicting",
        "torn-fake": "contradicting",
    }


def foreign(folder: Path, **columns) -> Path:
    """Write a folder as `Dataset.to_parquet` leaves it: no card, other columns."""
    images = [{"bytes": encoded(picture(i)), "path": None} for i in range(4)]
    table = {"image": images, "label": ["real", "fake"] * 2, **columns}
    folder.mkdir(parents=True)
    columns = {name: values for name, values in table.items() if values is not None}
    pq.write_table(pa.table(columns), folder / "train.parquet")
    return folder


def test_foreign_folder_is_audited_and_left_as_it_is(tmp_path):
    folder = foreign(tmp_path / "mine")
    result = audit_build(folder)
    assert [p.name for p in folder.iterdir()] == ["train.parquet"]
    assert result.output_dir == tmp_path / "mine.audit"
    assert result.numbers["parts"] == {"mine/train": 4}


def test_images_by_path_are_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(picture(1)))
    images = [{"bytes": None, "path": str(tmp_path / f"{name}.jpg")} for name in "ab"]
    folder = foreign(tmp_path / "mine", image=images, label=["real", "fake"])
    corpus = load_corpus(folder, (), 1)
    assert corpus.readable.tolist() == [True, False]
    assert corpus.table["unreadable"][1].as_py() == "the image file cannot be read"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, "no column an image column"),
        ({"label": None}, "no column label"),
        ({"label": ["ai", "nature"] * 2}, r"holds \['ai', 'nature'\]"),
        ({"label": [], "image": pa.array([], pa.struct([("bytes", pa.binary())]))}, "no rows"),
    ],
    ids=["no-image", "no-label", "other-labels", "no-rows"],
)
def test_columns_that_cannot_serve_are_named(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        audit_build(foreign(tmp_path / "mine", **changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is no folder"), ({}, "no data set"), ({"a.csv": "x,y\n1,2\n"}, "Parquet only")],
    ids=["missing", "empty", "csv"],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, content, message):
    folder = tmp_path / "set"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    with pytest.raises(UserError, match=message):
        audit_build(folder)


def test_a_cut_parquet_file_is_named(tmp_path):
    folder = foreign(tmp_path / "mine")
    path = folder / "train.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"train\.parquet is no readable Parquet file"):
        audit_build(folder)


def test_a_set_against_itself_is_refused(audit):
    with pytest.raises(UserError, match="named twice"):
        audit_build(audit[0] / "test", [audit[0] / "test"])


@pytest.mark.parametrize("distance", [-1, 9])
def test_a_distance_out_of_range_is_refused(distance):
    with pytest.raises(UserError, match="max_distance"):
        AuditOptions(max_distance=distance)


def test_measurements_are_made_once_and_again_when_the_data_changed(tmp_path, monkeypatch):
    folder = write_set(tmp_path / "set", {"train": alike_jpegs(3)})
    first = load_measurements(open_folder(folder), 1)
    monkeypatch.setattr("data_prep.audit.measurements._measure", lambda task: 1 / 0)
    assert load_measurements(open_folder(folder), 1).equals(first)
    kept = next((folder / "measurements").iterdir()).read_bytes()
    write_set(folder, {"train": alike_jpegs(3, seed=1)})
    (folder / "measurements").mkdir()
    (folder / "measurements" / "train-00000-of-00001.parquet").write_bytes(kept)
    with pytest.raises(ZeroDivisionError):
        load_measurements(open_folder(folder), 1)


def test_the_builds_own_measurements_are_taken(tmp_path, monkeypatch):
    """They have no note of the content, and no reason why an image is unreadable."""
    folder = write_set(tmp_path / "set", {"train": alike_jpegs(3)})
    first = load_measurements(open_folder(folder), 1)
    path = folder / "measurements" / "train-00000-of-00001.parquet"
    own = pq.read_table(path).drop(["unreadable"])
    pq.write_table(own.replace_schema_metadata(HASH_METADATA), path)
    monkeypatch.setattr("data_prep.audit.measurements._measure", lambda task: 1 / 0)
    assert load_measurements(open_folder(folder), 1).equals(first)


def test_measurements_with_an_earlier_versions_hashes_are_made_anew(tmp_path):
    folder = write_set(tmp_path / "set", {"train": alike_jpegs(3)})
    first = load_measurements(open_folder(folder), 1)
    path = folder / "measurements" / "train-00000-of-00001.parquet"
    kept = pq.read_table(path)
    other = pa.array([1] * len(kept), pa.uint64())
    old = kept.set_column(kept.schema.get_field_index("perceptual_hash"), "perceptual_hash", other)
    pq.write_table(
        old.replace_schema_metadata({**kept.schema.metadata, b"hash_version": b"1"}), path
    )
    assert load_measurements(open_folder(folder), 1).equals(first)
    assert pq.read_table(path).equals(kept)


@pytest.mark.parametrize(
    ("width", "height", "n_tokens", "change"),
    [
        (112, 112, 16, "unchanged"),
        (500, 375, 18 * 13, "rounded"),  # 17.9 x 13.4 patches of 28 px
        (20, 20, 4, "enlarged"),  # to 56 x 56, the least allowed
        (2800, 2800, 35 * 35, "shrunk"),  # 35 x 28 = 980, 980 x 980 < 1,000,000
        (5000, 10, 0, "refused"),
    ],
)
def test_image_tokens_are_those_of_the_processor(width, height, n_tokens, change):
    found = image_tokens(np.array([width]), np.array([height]), 56 * 56, 1_000_000)
    assert (found.n_tokens[0], CHANGES[found.change[0]]) == (n_tokens, change)


def test_image_tokens_agree_with_qwens_image_processor():
    from transformers import Qwen2VLImageProcessor

    processor = Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=200_000)
    for size in [(30, 900), (640, 480), (111, 113)]:
        grid = processor(Image.new("RGB", size), return_tensors="pt")["image_grid_thw"][0]
        found = image_tokens(np.array([size[0]]), np.array([size[1]]), 56 * 56, 200_000)
        assert found.n_tokens[0] == int(grid.prod()) // 4


def test_rows_longer_than_max_length_are_a_warning(tmp_path):
    folder = write_set(tmp_path / "set", {"train": alike_jpegs(3)})
    limits = TokenLimits(56 * 56, 12_845_056, max_length=5)
    titles = [f.title for f in audit_build(folder, options=AuditOptions(limits=limits)).findings]
    assert any("100.0 % of the rows are longer than max_length 5" in title for title in titles)


def test_a_question_bank_that_tells_the_label_is_a_warning(tmp_path):
    entries = [e._replace(bank="hard" if e.label == "fake" else "simple") for e in alike_jpegs(30)]
    result = audit_build(write_set(tmp_path / "set", {"train": entries}))
    warned = [f.title for f in result.findings if f.level == "warning"]
    assert warned == ["The question bank tells something of the label (Cramér's V 1.00)"]


def test_association_is_cramers_v():
    # Expected 25 in each cell, off by 10: chi-square 4 x 100 / 25 = 16, V = sqrt(16 / 100).
    table = {"a": {"real": 35, "fake": 15}, "b": {"real": 15, "fake": 35}}
    found = association(table)
    assert found is not None
    assert found["cramers_v"] == pytest.approx(0.4)
    assert association({"a": {"real": 3, "fake": 4}}) is None
