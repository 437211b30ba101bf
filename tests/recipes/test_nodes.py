"""What the 7B run costs on 1 to 64 nodes, and that the page says what the command prints."""

from pathlib import Path

import pytest

from recipes.budget.nodes import divide, points, table

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_table_that_the_command_prints() -> None:
    assert table() in (ROOT / "launch/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rows", "n_gpus", "most", "expected"),
    [
        pytest.param(64, 8, 2, (2, 4), id="accumulates"),
        pytest.param(64, 32, 2, (2, 1), id="one micro batch"),
        pytest.param(64, 512, 2, (1, 1), id="more GPUs than rows"),
        pytest.param(256, 128, 8, (2, 1), id="a group over several GPUs"),
    ],
)
def test_a_step_is_divided(rows: int, n_gpus: int, most: int, expected: tuple[int, int]) -> None:
    assert divide(rows, n_gpus, most) == expected


def test_what_is_sent_by_hand() -> None:
    """P = 8.292 billion; r = 31/32; SFT 2 x 2 r P + 2 r P, GRPO with two gathers and 4 bytes."""
    by_place = {(point.stage, point.nodes): point for point in points()}
    share = 31 / 32 * 8.292166656e9
    assert by_place["SFT", 4].sent == pytest.approx(6 * share, rel=1e-6)
    assert by_place["GRPO", 4].sent == pytest.approx((6 + 4 + 4) * share, rel=1e-6)
    # Over 8 ports of 25 GB/s, or one.
    assert by_place["SFT", 4].sending == pytest.approx(6 * share / 200e9, rel=1e-6)
    assert by_place["SFT", 4].sending_by_one_port == pytest.approx(6 * share / 25e9, rel=1e-6)


def test_more_nodes_never_take_longer() -> None:
    for stage in ("SFT", "GRPO"):
        hours = [point.hours for point in points() if point.stage == stage]
        assert hours == sorted(hours, reverse=True)
