"""What a report holds, what it is made from, and what it says when something is missing."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from recipes.report import write_report
from recipes.report.cases import choose_cases
from recipes.report.compared import compared_section
from recipes.report.drawing import shorten
from recipes.report.estimates import split_variant
from recipes.report.evaluation import read_evaluations
from recipes.report.samples import IMAGES_A_BLOCK, script_json, segments, thumbnail_blocks
from recipes.report.tables import number, per_cent
from rewards import render_answer
from rewards.blocks import split_blocks
from rewards.errors import UserError
from rewards.files import write_json, write_text
from rewards.published import published
from rewards.records import Prediction, format_lines
from rewards.summary import SummarySettings, summarise_folder
from tests.recipes.made_up_evaluation import write_evaluation, write_thumbnails
from tests.rewards.made_up import prediction

N_IMAGES = 40
FEW_ROUNDS = SummarySettings(n_bootstrap=40)
FIGURES = (
    *("token_lengths", "confusion", "thinking_by_label", "thinking_by_category", "pareto"),
    *("bank_by_difficulty", "roc", "reliability", "accuracy_by_source", "accuracy_by_generator"),
    *("accuracy_by_category", "accuracy_by_image_size", "accuracy_by_chameleon", "robustness"),
    *("accuracy_by_pass_rate", "right_answers"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an evaluation with every optional file, beside a second run, and its report."""
    folder = tmp_path_factory.mktemp("evaluations")
    for name, seed in (("rl", 0), ("sft", 5)):
        write_evaluation(folder / name, N_IMAGES, seed, name.upper(), whole=name == "rl")
        summarise_folder(folder / name, replace(FEW_ROUNDS, name=name.upper()))
    write_report(folder / "rl", [folder / "sft"])
    return folder / "rl"


def evaluation(folder: Path, predictions: list[Prediction]) -> Path:
    """Write a folder with predictions alone, and its metrics."""
    write_text(folder / "predictions.jsonl", format_lines(predictions))
    summarise_folder(folder, FEW_ROUNDS)
    return folder


def page_of(folder: Path, *others: Path) -> str:
    return write_report(folder, others).read_text(encoding="utf-8")


def table_text(page: str, section: str) -> str:
    """Return the words of a section, tags taken out."""
    start = page.index(f'<section id="{section}"')
    return re.sub(r"<[^>]+>", " ", page[start : page.index("</section>", start)])


def test_every_figure_is_there_as_png_and_svg(whole: Path) -> None:
    names = {path.name for path in (whole / "figures").iterdir()}
    assert names == {f"{name}.{ending}" for name in FIGURES for ending in ("png", "svg")}
    for name in FIGURES:
        assert (whole / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        root = ET.parse(whole / "figures" / f"{name}.svg").getroot()
        assert root.get("aria-label")
        assert next(root.iter("{http://www.w3.org/2000/svg}text")).text


def test_page_fetches_nothing_and_has_no_id_twice(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    without_data = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
    links = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s>]+)', without_data)
    assert links
    assert [link for link in links if not link.startswith(("#", "data:", "`data:"))] == []
    ids = re.findall(r'\sid="([^"]+)"', without_data)
    assert len(ids) == len(set(ids))
    anchors = re.findall(r'href="#([\w-]+)"', without_data)
    assert set(anchors) <= set(ids)
    references = re.findall(r"url\(#([^)]+)\)", without_data)
    assert set(references) <= set(ids)


def test_same_input_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    copy = tmp_path / "rl"
    shutil.copytree(whole, copy)
    shutil.rmtree(copy / "figures")
    (copy / "report.html").unlink()
    write_report(copy, [whole.parent / "sft"])
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert len(files) > 2 * len(FIGURES)
    differing = [f for f in files if (whole / f).read_bytes() != (copy / f).read_bytes()]
    assert differing == []


def test_published_numbers_stand_in_the_column_of_their_f1(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    start = page.index('<section id="table1"')
    table = page[start : page.index("</table>", start)]
    header = re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", table)
    rows = re.findall(r'<tr class="published">(.*?)</tr>', table, flags=re.DOTALL)
    assert len(rows) == len(published().rows)
    for row, source in zip(rows, published().rows, strict=True):
        cells = [re.sub(r"<[^>]+>", "|", cell) for cell in re.split(r"</t[dh]>", row)]
        name = "F1, weighted" if source.f1 == "weighted" else "F1, real positive"
        other = "F1, real positive" if source.f1 == "weighted" else "F1, weighted"
        assert cells[header.index(name)].strip("|\n ") == f"{source.overall['f1']:.2f}"
        assert cells[header.index(other)].strip("|\n ") == "–"  # noqa: RUF001
        assert source.source in cells[0]


def test_our_numbers_are_those_of_metrics_json(whole: Path) -> None:
    metrics = json.loads((whole / "metrics.json").read_text(encoding="utf-8"))
    words = " ".join(
        table_text((whole / "report.html").read_text(encoding="utf-8"), "table1").split()
    )
    for bank in ("simple", "hard", "neutral"):
        low, high = metrics[bank]["ci95"]["accuracy"]
        accuracy = f"{100 * metrics[bank]['accuracy']:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
        assert f"RL {bank}" in words
        assert accuracy in words
    assert "always fake" in words
    assert "other images, so the two cannot be compared" in words


def test_runs_are_compared_on_the_same_questions(whole: Path) -> None:
    metrics = [
        json.loads((whole.parent / name / "metrics.json").read_text()) for name in ("rl", "sft")
    ]
    words = table_text((whole / "report.html").read_text(encoding="utf-8"), "compared")
    for bank in ("simple", "hard", "neutral"):
        ours, theirs = (100 * m[bank]["accuracy"] for m in metrics)
        found = re.search(rf"SFT\s+{bank}\s+(-?[\d.]+)", words)
        assert found
        assert float(found[1]) == pytest.approx(ours - theirs, abs=0.01)


def test_runs_without_a_common_question_say_so(tmp_path: Path) -> None:
    folders = [evaluation(tmp_path / name, [prediction(name)]) for name in "xy"]
    words = compared_section(read_evaluations(folders)).missing
    assert "cannot be compared" in words[0]


def test_folder_with_predictions_alone_says_what_to_run(tmp_path: Path) -> None:
    rows = [
        prediction(f"{label}-{i}", label, answer, bank)
        for i, (label, answer) in enumerate((("real", "real"), ("fake", "real"), ("fake", "fake")))
        for bank in ("simple", "hard")
    ]
    page = page_of(evaluation(tmp_path / "bare", rows))
    assert "--forced_modes" in table_text(page, "thinking")
    assert "log-probabilities" in table_text(page, "scores")
    assert "data_prep" in table_text(page, "breakdowns")
    assert "--robustness" in table_text(page, "robustness")
    assert "--num_samples" in table_text(page, "sampling")
    assert "no thumbnail" in page
    assert "data:image/webp" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([prediction("a", "fake", "unparsed", "neutral")], id="nothing to rank"),
        pytest.param(
            [
                prediction("a", p_fake=0.5, n_completion_tokens=0, category="$\\frac{"),
                prediction("b", "fake", p_fake=0.5, source="a\x00b", generator="</svg><b>"),
                prediction("c", completion="\ud800 \x00 $x_{1"),
            ],
            id="strange characters, equal scores",
        ),
    ],
)
def test_report_of_unusual_answers(tmp_path: Path, rows: list[Prediction]) -> None:
    page = page_of(evaluation(tmp_path / "unusual", rows))
    assert '<section id="samples"' in page
    assert "</svg><b>" not in page


def test_metrics_are_written_where_they_are_missing_or_of_other_predictions(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "e", [prediction("a"), prediction("b", "fake", "fake")])
    first = (folder / "metrics.json").read_bytes()
    (folder / "metrics.json").unlink()
    config = {"n_bootstrap": 40, "seed": 0, "name": "predictions"}
    write_json(folder / "run.json", {"config": config})
    read_evaluations([folder])
    assert (folder / "metrics.json").read_bytes() == first
    more = [prediction(name) for name in "abc"]
    write_text(folder / "predictions.jsonl", format_lines(more))
    read_evaluations([folder])
    assert json.loads((folder / "metrics.json").read_text())["all"]["n"] == 3


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("predictions.jsonl", "", "is empty"),
        ("predictions.jsonl", '{"id": "a"}\n', "line 1 lacks"),
        ("metrics.json", "{cut", "is not JSON"),
        ("metrics.json", "[]", "expected a JSON object"),
        ("run.json", "{cut", "is not JSON"),
        ("thumbnails.parquet", "no table", "expected a Parquet table with the columns id and webp"),
    ],
)
def test_broken_file_is_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    folder = evaluation(tmp_path / "e", [prediction()])
    write_text(folder / file, content)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        write_report(folder)
    assert file in str(error.value)
    assert not (folder / "report.html").exists()


def test_missing_folder_and_missing_predictions_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no evaluation folder"):
        write_report(tmp_path / "none")
    with pytest.raises(UserError, match="no predictions file"):
        write_report(tmp_path)


def test_thumbnail_that_is_no_webp_is_refused(tmp_path: Path, monkeypatch) -> None:
    folder = evaluation(tmp_path / "e", [prediction("a")])
    monkeypatch.setattr(
        "tests.recipes.made_up_evaluation.thumbnail", lambda seed: b"<svg onload=1>"
    )
    write_thumbnails(folder / "thumbnails.parquet", ["a"])
    with pytest.raises(UserError, match="thumbnail of 'a' is no WebP image"):
        write_report(folder)


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [evaluation(tmp_path / name, [prediction()]) for name in "xy"]
    for folder in folders:
        write_json(folder / "run.json", {"config": {"name": "RL"}})
    assert [run.name for run in read_evaluations(folders)] == [f"RL ({f})" for f in folders]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "real",
        "<think></think>real",
        "<think>\na\n</think>fake",
        "a<think>b",
        "x</think>y<think>z</think> <think>a<think>b</think>c",
        "<THINK>a</THINK>fake",
        "<think>" * 3000,
    ],
)
def test_segments_are_the_blocks_of_the_answer_format(text: str) -> None:
    parts = segments(text)
    assert "".join(parts) == text
    blocks = split_blocks(text)
    outside = " ".join(parts[::2]).strip()
    assert outside == blocks.outside
    tags = [p.removeprefix("<think>").removesuffix("</think>").strip() for p in parts[1::2]]
    assert "\n".join(filter(None, tags)) == blocks.inside


def test_script_json_is_the_same_json_and_cannot_end_its_element() -> None:
    content = {
        "a": "</script><!-- <script>",
        "b": "\ud83d",
        "c": "日本 \u2028 \x00",
        "d": [None, 1.5],
    }
    text = script_json(content)
    assert "<" not in text
    text.encode("utf-8")
    assert json.loads(text) == content


def test_thumbnails_stand_in_blocks_in_the_order_of_the_images(tmp_path: Path) -> None:
    ids = [f"image-{i}" for i in range(IMAGES_A_BLOCK + 3)]
    folder = evaluation(tmp_path / "e", [prediction(i) for i in ids])
    write_thumbnails(folder / "thumbnails.parquet", ids[1:], n_distinct=2)
    blocks = thumbnail_blocks(read_evaluations([folder]))
    assert [len(block) for block in blocks] == [IMAGES_A_BLOCK, 3]
    assert blocks[0][0] is None
    assert blocks[0][1] == blocks[0][3] != blocks[0][2]


def answers(image: str, label: str, simple: str, hard: str, **changes) -> list[Prediction]:
    """Return a direct answer under the simple bank and a reasoned one under the hard bank."""
    texts = {"simple": render_answer(simple), "hard": render_answer(hard, "The shadows differ.")}
    return [
        prediction(
            image, label, bank=bank, completion=text, n_completion_tokens=len(text), **changes
        )
        for bank, text in texts.items()
    ]


def test_cases_are_those_that_their_rules_name(tmp_path: Path) -> None:
    loop = "<think>" + "the shadows of the chairs point in different directions " * 20
    rows = [
        *answers("both", "real", "real", "real"),
        *answers("helps", "real", "fake", "real"),
        *answers("hurts", "fake", "fake", "real"),
        *answers("neither", "fake", "real", "real", p_fake=0.01),
        prediction("silent", "real", "unparsed", n_completion_tokens=2),
        prediction("loop", "fake", completion=loop, n_completion_tokens=500),
    ]
    other = [replace(row, completion=render_answer(row.label)) for row in rows]
    folders = [evaluation(tmp_path / "e", rows), evaluation(tmp_path / "o", other)]
    cases = choose_cases(read_evaluations(folders))
    chosen = {c.title: c.answers[0].prediction.id for c in cases if c.answers}
    assert chosen["The mode follows the question, a real image"] == "both"
    assert chosen["Right only with reasoning, a real image"] == "helps"
    assert chosen["Right only without reasoning, a fake image"] == "hurts"
    assert chosen["Wrong under both banks, a fake image"] == "neither"
    assert chosen["Longest loop"] == "loop"
    assert chosen["No verdict"] == "silent"
    assert chosen["Most confidently wrong"] == "neither"
    assert chosen["Longest answer"] in {"both", "helps", "hurts", "neither"}
    unfit = {c.title for c in cases if not c.answers}
    assert "The mode follows the question, a fake image" in unfit
    first = next(c for c in cases if c.answers)
    assert (first.n_fit, first.n_all) == (1, 6)
    assert [a.prediction.id for a in first.answers] == ["both"] * 4
    assert len({a.run for a in first.answers}) == 2
    names = [run.name for run in read_evaluations(folders)]
    disagreement = next(c for c in cases if c.title == f"{names[1]} right, {names[0]} wrong")
    assert disagreement.n_fit == 3  # neither, silent, loop: wrong under every bank


def test_case_among_several_does_not_depend_on_their_order(tmp_path: Path) -> None:
    rows = [answers(f"image-{i}", "real", "real", "real") for i in range(9)]
    forth = evaluation(tmp_path / "forth", [p for pair in rows for p in pair])
    back = evaluation(tmp_path / "back", [p for pair in reversed(rows) for p in pair])
    chosen = [
        choose_cases(read_evaluations([folder]))[0].answers[0].prediction.id
        for folder in (forth, back)
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("jpeg-50", ("jpeg", 50.0)),
        ("blur-1.5", ("blur", 1.5)),
        ("resize_0.5", ("resize", 0.5)),
        ("screenshot", ("screenshot", None)),
        ("re-encode-twice", ("re-encode-twice", None)),
    ],
)
def test_variant_has_family_and_strength(variant: str, expected: tuple[str, float | None]) -> None:
    assert split_variant(variant) == expected


def test_numbers_in_cells() -> None:
    assert per_cent(0.12345, [0.1, 0.2]).text == "12.35"
    assert per_cent(0.12345, [0.1, 0.2]).interval == "[10.00, 20.00]"
    assert per_cent(None).text == "–"  # noqa: RUF001
    assert number(0.0, digits=1).text == "0.0"


def test_long_and_unprintable_names_are_shortened() -> None:
    assert shorten("a" * 40) == "a" * 25 + "…"
    assert shorten("a\x00\ud800b") == "a��b"


def test_command_line_writes_the_page(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "e", [prediction("a"), prediction("b", "fake", "fake")])
    root = Path(__file__).parents[2]
    words = [sys.executable, "-m", "recipes.report"]
    done = subprocess.run([*words, folder], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
