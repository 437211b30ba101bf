"""A picture of a report for README.md: a desktop's window beside a phone's.

    python -m recipes.report.screenshot runs/demo/eval/rl/report.html report.png

Needs Chromium, and playwright from the ``dev`` extra.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image

from rewards.errors import UserError, run_cli

HEIGHT = 1100  # pixels
WINDOWS = {"": 1240, "#samples?result=wrong": 390}  # address within the page -> width
GAP = 24
N_COLOURS = 128  # of the PNG's palette: small, and text stays sharp


def take_screenshot(page: Path, picture: Path) -> None:
    """Write a PNG of the top of ``page`` in a desktop's window and of its browser in a phone's.

    Raises:
        UserError: There is no page, or no Chromium.
    """
    chromium = shutil.which("chromium")
    if not page.is_file() or chromium is None:
        raise UserError(
            f"{page} or the program chromium is missing; `make report` writes the one, "
            "`apt-get install chromium` gives the other."
        )
    from playwright.sync_api import sync_playwright

    shots = []
    with sync_playwright() as playwright:
        # As root, Chromium runs without its sandbox only; the page is our own and asks for nothing.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for address, width in WINDOWS.items():
            tab = browser.new_page(viewport={"width": width, "height": HEIGHT})
            tab.goto(page.resolve().as_uri() + address)
            if address:
                tab.evaluate("document.getElementById('count').scrollIntoView()")
            shots.append(Image.open(io.BytesIO(tab.screenshot())).convert("RGB"))
        browser.close()
    total = sum(shot.width for shot in shots) + GAP * (len(shots) - 1)
    canvas = Image.new("RGB", (total, HEIGHT), "#c9ced6")
    left = 0
    for shot in shots:
        canvas.paste(shot, (left, 0))
        left += shot.width + GAP
    picture.parent.mkdir(parents=True, exist_ok=True)
    canvas.quantize(N_COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def main() -> None:
    """Read the command line and take the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.report.screenshot", description=__doc__
    )
    parser.add_argument("page", type=Path, help="report.html")
    parser.add_argument("picture", type=Path, help="PNG to write")
    args = parser.parse_args()
    take_screenshot(args.page, args.picture)


if __name__ == "__main__":
    run_cli(main)
