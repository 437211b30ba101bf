"""How the stages scale over nodes: by hand where the sums are short, and as the docs have it."""

from pathlib import Path

import pytest

from recipes.budget.scaling import GPUS_A_NODE, NODES, Scaling, layouts, tables

README = Path(__file__).parents[2] / "launch" / "README.md"
P = 8_292_166_656  # parameters of Qwen2.5-VL-7B, all trained


@pytest.fixture(scope="module")
def scaling() -> Scaling:
    return Scaling()


def test_documentation_has_the_tables_that_the_command_prints() -> None:
    text = README.read_text(encoding="utf-8")
    for stage, table in tables().items():
        assert table in text, f"launch/README.md has another table of {stage}: put in the new one"


def test_sft_traffic_by_hand(scaling: Scaling) -> None:
    # Gathered for forward and backward, 2 bytes each, and 2 bytes of gradient, once a step.
    assert scaling.sft(4, "all").sent == pytest.approx(31 / 32 * (2 * 2 * P + 2 * P))
    # Split within nodes: the same over 8 GPUs, and an all-reduce of an eighth of the gradients.
    within, between = 7 / 8 * 6 * P, 2 * 3 / 4 * 2 * P / 8
    hybrid = scaling.sft(4, "node")
    assert hybrid.sent == pytest.approx(within + between)
    assert hybrid.sending == pytest.approx(within / 300e9 + between / 25e9)


def test_grpo_traffic_by_hand(scaling: Scaling) -> None:
    # Besides: two forwards without gradient, and all weights for vLLM.
    row = scaling.grpo(4, "all")
    assert row.sent == pytest.approx(31 / 32 * (6 * P + 3 * 2 * P))
    assert row.sending == pytest.approx(row.sent / 25e9)


@pytest.mark.parametrize("layout", layouts())
def test_the_papers_batch_is_kept_as_far_as_it_goes(
    scaling: Scaling, layout: tuple[int, str]
) -> None:
    row = scaling.grpo(*layout)
    assert row.per_step == (32 if row.nodes < 64 else 64)
    completions = row.nodes * GPUS_A_NODE * row.batch[0] * row.batch[1]
    assert completions == 8 * row.per_step


def test_every_layout_fits_and_more_nodes_take_less_time(scaling: Scaling) -> None:
    for stage in (scaling.sft, scaling.grpo):
        rows = [stage(*layout) for layout in layouts()]
        assert all(row.memory < 80e9 for row in rows)
        for kind in ("all", "node"):
            hours = [stage(nodes, kind if nodes > 1 else "all").hours[0] for nodes in NODES]
            assert hours == sorted(hours, reverse=True)


def test_writing_does_not_shrink_with_nodes(scaling: Scaling) -> None:
    """Every GPU reads all weights for each token, however few completions it writes."""
    few, many = scaling.grpo(64, "node"), scaling.grpo(4, "node")
    assert few.writing > 0.9 * many.writing
