"""The report's page in a real headless Chromium, opened from a file as a user opens it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from recipes.report import write_report
from recipes.report.screenshot import HEIGHT
from rewards.files import write_text
from rewards.judged import Judged, judge
from rewards.labels import LABELS
from rewards.records import Prediction, format_lines
from tests.recipes.made_up_evaluation import write_evaluation

CHROMIUM = shutil.which("chromium")
PAGE_SIZE = 24
N_IMAGES = 60
HOSTILE = '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">'
PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("REQUIRE_CHROMIUM"),
    reason="chromium is not installed; REQUIRE_CHROMIUM=1 makes this an error",
)


class Report(NamedTuple):
    """A page and what it was made from."""

    path: Path
    predictions: list[Prediction]
    judged: Judged


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Write a report of 60 images, one of whose answers is hostile, beside a second run."""
    folder = tmp_path_factory.mktemp("evaluations")
    predictions = write_evaluation(folder / "rl", N_IMAGES, name="RL")
    hostile = {**vars(predictions[0]), "completion": f"<think>{HOSTILE}</think>real {HOSTILE}"}
    hostile |= {"category": HOSTILE, "question": HOSTILE, "generator": "$x_{1}$"}
    hostile = {**hostile, "id": predictions[0].id}
    first = Prediction(**hostile)
    predictions = [first, *predictions[1:]]
    write_text(folder / "rl" / "predictions.jsonl", format_lines(predictions))
    others = write_evaluation(folder / "sft", N_IMAGES, 5, "SFT", skill=0.8, whole=False)
    both = [*predictions, *others]
    page = write_report(folder / "rl", [folder / "sft"])
    return Report(page, both, judge(both))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    assert CHROMIUM, "REQUIRE_CHROMIUM is set and there is no chromium"
    with sync_playwright() as playwright:
        # As root, which CI may be, Chromium runs without its sandbox only.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened(NamedTuple):
    """A page that was opened, and what it should not have done."""

    page: Page
    faults: list[str]
    requests: list[str]


@pytest.fixture
def opened(browser: Browser, report: Report) -> Iterator[Opened]:
    """Open the report; afterwards it must have logged no error and asked for nothing."""
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    faults: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.path.as_uri())
    yield Opened(page, faults, requests)
    asked = [url for url in requests if not url.startswith(("data:", report.path.as_uri()))]
    context.close()
    assert faults == []
    assert asked == []


@pytest.fixture
def page(opened: Opened) -> Page:
    """Return the opened page alone."""
    return opened.page


def n_shown(page: Page) -> tuple[int, int]:
    """Return how many answers pass the filters, and how many there are, as the page says."""
    found = re.match(r"([\d,]+) of ([\d,]+) answers", page.inner_text("#count"))
    assert found
    passed, total = (int(number.replace(",", "")) for number in found.groups())
    return passed, total


def titles(page: Page) -> list[str]:
    return page.locator("#cards .open").all_inner_texts()


def choose(page: Page, facet: str, value: str) -> None:
    page.select_option(f"#filters select[name={facet}]", value)


def search(page: Page, text: str) -> None:
    before = page.inner_text("#count")
    page.fill("#search", text)
    page.wait_for_function(
        "before => document.getElementById('count').innerText !== before", arg=before
    )


def test_page_opens_with_every_answer(page: Page, report: Report) -> None:
    assert n_shown(page) == (len(report.predictions),) * 2
    assert titles(page) == [p.id for p in report.predictions[:PAGE_SIZE]]


@pytest.mark.parametrize(
    ("facet", "value"),
    [
        ("run", "SFT"),
        ("questions", "hard"),
        ("label", "fake"),
        ("verdict", "real"),
        ("verdict", "none"),
        ("result", "wrong"),
        ("result", "right"),
        ("parsed", "no"),
        ("thinking", "yes"),
        ("repeats", "yes"),
        ("category", "animal"),
        ("generator", "camera"),
        ("source", "chameleon"),
    ],
)
def test_filter_shows_the_answers_it_names(
    page: Page, report: Report, facet: str, value: str
) -> None:
    fits = expected(report, facet, value)
    assert 0 < len(fits) < len(report.predictions)
    choose(page, facet, value)
    assert n_shown(page) == (len(fits), len(report.predictions))
    assert titles(page) == fits[:PAGE_SIZE]
    option = page.locator(f"#filters select[name={facet}] option[value='{value}']")
    assert option.inner_text() == f"{value} ({len(fits)})"


def expected(report: Report, facet: str, value: str) -> list[str]:
    """Return the ids of the answers that a filter should show."""
    judged = report.judged
    n_own = N_IMAGES * 3
    verdicts = [*LABELS, "none"]
    rows = []
    for i, prediction in enumerate(report.predictions):
        said = {
            "run": "RL" if i < n_own else "SFT",
            "questions": prediction.question_bank,
            "label": prediction.label,
            "verdict": verdicts[judged.verdict[i]],
            "result": "right" if judged.verdict[i] == judged.label[i] else "wrong",
            "parsed": "no" if verdicts[judged.verdict[i]] == "none" else "yes",
            "thinking": "yes" if judged.thinking[i] else "no",
            "repeats": "yes" if judged.repeats[i] else "no",
            # Of the image, which the first run describes.
            "category": report.predictions[i % n_own // 3 * 3].category,
            "generator": report.predictions[i % n_own // 3 * 3].generator,
            "source": prediction.source,
        }
        if said[facet] == value:
            rows.append(prediction.id)
    return rows


def test_filters_add_up_and_are_cleared(page: Page, report: Report) -> None:
    choose(page, "run", "RL")
    choose(page, "questions", "hard")
    choose(page, "result", "wrong")
    judged = report.judged
    rows = slice(0, N_IMAGES * 3)
    wrong = judged.verdict[rows] != judged.label[rows]
    assert n_shown(page)[0] == (wrong & (judged.question_bank[rows] == "hard")).sum()
    page.click("#reset")
    assert n_shown(page)[0] == len(report.predictions)


def test_filters_that_fit_nothing_say_so(page: Page) -> None:
    choose(page, "verdict", "none")
    choose(page, "parsed", "yes")
    assert n_shown(page)[0] == 0
    assert page.locator("#none").is_visible()
    assert page.locator("#cards li").count() == 0


def test_search_wants_every_word(page: Page, report: Report) -> None:
    def fits(*words: str) -> int:
        texts = ["\n".join((p.completion, p.id)).lower() for p in report.predictions]
        return sum(all(word in text for word in words) for text in texts)

    search(page, "SIX fingers real")
    # References and questions are searched, too: at least the answers that hold the words.
    n_found = n_shown(page)[0]
    assert fits("six", "fingers", "real") <= n_found < len(report.predictions)
    search(page, report.predictions[0].id)
    assert n_shown(page)[0] == 6  # three banks, two runs
    search(page, "no such words anywhere")
    assert n_shown(page)[0] == 0


def test_pages_follow_each_other(page: Page, report: Report) -> None:
    ids = [p.id for p in report.predictions]
    page.click("[data-page=next] >> nth=0")
    assert titles(page) == ids[PAGE_SIZE : 2 * PAGE_SIZE]
    page.click("[data-page=last]")
    n_pages = -(-len(ids) // PAGE_SIZE)
    assert titles(page) == ids[(n_pages - 1) * PAGE_SIZE :]
    assert page.locator("[data-page=next] >> nth=0").is_disabled()
    page.fill("#page-number", "3")
    page.press("#page-number", "Enter")
    assert titles(page) == ids[2 * PAGE_SIZE : 3 * PAGE_SIZE]
    page.click("[data-page=first]")
    assert page.locator("[data-page=previous] >> nth=0").is_disabled()


def test_thumbnails_are_of_their_images(page: Page) -> None:
    images = page.locator("#cards img.picture")
    assert images.count() == PAGE_SIZE
    page.wait_for_function(
        "[...document.querySelectorAll('#cards img')].every(i => i.naturalWidth > 0)"
    )
    assert images.first.get_attribute("alt") == f"Image {titles(page)[0]}"


def test_keyboard_alone_is_enough(page: Page, report: Report) -> None:
    ids = [p.id for p in report.predictions]
    focused = "document.activeElement.innerText"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("j")  # a letter, while one types
    assert page.input_value("#search") == "j"
    page.click("#reset")
    page.keyboard.press("j")
    assert page.evaluate(focused) == ids[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate(focused) == ids[1]
    page.keyboard.press("ArrowRight")
    assert titles(page)[0] == ids[PAGE_SIZE]
    page.keyboard.press("j")
    page.keyboard.press("k")  # back over the page's edge
    assert page.evaluate(focused) == ids[PAGE_SIZE - 1]
    page.keyboard.press("Enter")
    assert page.locator("#detail").is_visible()
    assert page.inner_text("#detail-title") == ids[PAGE_SIZE - 1]
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#detail-title") == ids[PAGE_SIZE]
    page.keyboard.press("Escape")
    assert not page.locator("#detail").is_visible()
    # The dialog's close event comes after it is gone.
    page.wait_for_function(f"id => {focused} === id", arg=ids[PAGE_SIZE], timeout=5000)


def test_focus_can_be_seen_and_reaches_all_controls(page: Page) -> None:
    page.focus("#search")
    for name in ("sort", "reset"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == name
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    unnamed = """[...document.querySelectorAll('button, input, select, [tabindex="0"]')].filter(
        e => !(e.getAttribute('aria-label') || e.innerText.trim() || e.labels?.length))"""
    assert page.evaluate(f"{unnamed}.map(e => e.outerHTML)") == []


def test_opened_answer_stands_beside_all_answers_to_its_image(page: Page, report: Report) -> None:
    page.click("#cards .open >> nth=1")
    answers = page.locator("#detail .answer")
    assert answers.count() == 6
    assert page.locator("#detail .answer.current .question").inner_text() == (
        report.predictions[1].question
    )
    page.click("#detail-close")
    page.wait_for_function("document.activeElement.dataset.answer === '1'", timeout=5000)


def test_address_leads_back(page: Page, report: Report, browser: Browser) -> None:
    choose(page, "questions", "hard")
    choose(page, "label", "fake")
    page.click("[data-page=next] >> nth=0")
    shown, address = titles(page), page.url
    assert "#samples?questions=hard&label=fake&page=2" in address
    again = browser.new_page()
    again.goto(address)
    assert titles(again) == shown
    assert again.input_value("select[name=questions]") == "hard"
    again.close()
    page.evaluate("location.hash = '#samples?answer=5'")
    page.wait_for_selector("#detail[open]")
    assert page.inner_text("#detail-title") == report.predictions[4].id


def test_counts_of_the_confusion_lead_to_their_answers(page: Page) -> None:
    cell = page.locator("#confusion table").first.locator("a").nth(1)
    n = int(cell.inner_text())
    cell.click()
    page.wait_for_function("location.hash.includes('verdict=fake')")
    assert n_shown(page)[0] == n


def test_what_a_model_wrote_is_text(page: Page, report: Report) -> None:
    first = page.locator("#cards .card").first
    assert HOSTILE in first.locator(".completion .think").inner_text()
    assert first.locator(".completion .outside").inner_text() == f"real {HOSTILE}"
    assert first.locator(".question").inner_text() == HOSTILE
    first.locator(".open").click()
    assert HOSTILE in page.locator("#detail .answer.current .completion").inner_text()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("body > script, main script").count() == page.locator("script").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["", "#samples?answer=1"], ids=["page", "opened answer"])
def test_phone_needs_no_sideways_scrolling(
    browser: Browser, report: Report, scheme: str, where: str
) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)  # pyright: ignore
    page = context.new_page()
    page.goto(report.path.as_uri() + where)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    wide = "[...document.querySelectorAll('dialog[open] *')].filter(e => e.scrollWidth > 360)"
    assert page.evaluate(f"{wide}.length") == 0
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, report: Report, scheme: str) -> None:
    """WCAG 2.1 asks for a contrast of 4.5."""
    context = browser.new_context(viewport=DESKTOP, color_scheme=scheme)  # pyright: ignore
    page = context.new_page()
    page.goto(report.path.as_uri())
    names = ("ink", "quiet", "accent", "right", "wrong", "warn")
    colours = page.evaluate(
        """names => Object.fromEntries([...names, 'page', 'panel', 'think'].map(name => [name,
            getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()]))""",
        names,
    )
    for ground in ("page", "panel", "think"):
        for name in names:
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    context.close()


def contrast(first: str, second: str) -> float:
    """Return WCAG's contrast ratio of two colours written as #rrggbb."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_page_is_readable_without_script(browser: Browser, report: Report) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.path.as_uri())
    assert page.locator("noscript").count() == 1
    assert page.locator("#cases article").count() > 3
    assert page.locator("#confusion table").count() == 6
    context.close()


def test_screenshot_is_small_and_shows_something(report: Report, tmp_path: Path) -> None:
    file = tmp_path / "report.png"
    # A process of its own: two of playwright's loops do not fit into one.
    words = [sys.executable, "-m", "recipes.report.screenshot", report.path, file]
    root = Path(__file__).parents[2]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_size <= 300_000
    with Image.open(file) as picture:
        assert picture.height == HEIGHT
        assert len(picture.convert("RGB").getcolors(2**24) or ()) > 50
