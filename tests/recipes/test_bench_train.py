"""The training benchmark: its rows, what it says of its numbers, and its way of measuring."""

import io
from collections import Counter

import pytest
from PIL import Image

from recipes.bench_train import best_turns, losses_agree, table_of, verdicts, ways_of
from recipes.bench_train_arguments import GPU_WAYS, BenchArguments
from recipes.bench_train_data import SIZES, mixed_rows
from recipes.bench_train_ways import Timed
from recipes.image_sizing import undecoded
from rewards.errors import UserError


def arguments(**values) -> BenchArguments:
    return BenchArguments(model_name_or_path="m", output_dir="o", **values)


def result(name, rate, *, stage="sft", wait=0.01, **checks):
    times = {"prepare_s": 1.0, "start_s": 2.0, "warm_up_s": 3.0, "seconds": 4.0}
    return {"stage": stage, "name": name, "rate": rate, "wait_share": wait, **times, **checks}


def test_rows_have_mixed_sizes_and_depend_on_the_seed_alone():
    rows = undecoded(mixed_rows(60, seed=1))
    files = [image["bytes"] for (image,) in rows["images"]]
    sizes = Counter(Image.open(io.BytesIO(data)).size for data in files)
    assert set(sizes) <= {(width, height) for width, height, _ in SIZES}
    assert len(sizes) >= 4
    assert sum(share for *_, share in SIZES) == pytest.approx(1)
    assert files == [image["bytes"] for (image,) in undecoded(mixed_rows(60, seed=1))["images"]]
    assert files != [image["bytes"] for (image,) in undecoded(mixed_rows(60, seed=2))["images"]]


@pytest.mark.parametrize(
    ("rate", "wait", "pass_loss", "said"),
    [
        (14.0, 0.04, 2.0, ["1.40 times stock; target 1.3: reached", "5 %: reached", "the same."]),
        (12.0, 0.04, 2.0, ["1.20 times stock; target 1.3: NOT reached", "5 %: reached"]),
        (14.0, 0.06, 2.0, ["5 %: NOT reached"]),
        (14.0, 0.04, 2.01, ["5.0e-03 at most: NOT THE SAME."]),
    ],
)
def test_what_is_not_reached_is_said(rate, wait, pass_loss, said):
    results = [
        result("stock", 10.0, wait=0.3, pass_loss=2.0, losses=[2.0]),
        result("ours", rate, wait=wait, pass_loss=pass_loss, losses=[2.0]),
    ]
    sentences = "\n".join(verdicts(results))
    assert all(part in sentences for part in said), sentences
    assert sentences in table_of(results, "a machine").replace("- ", "")


def test_losses_of_grpo_are_those_of_the_first_step_and_of_one_batch_twice():
    stock = result("stock", 1.0, stage="grpo", losses=[0.5])
    same = {"losses": [0.5], "loss_shared": 0.25, "loss_unshared": 0.25}
    ours = result("ours", 2.0, stage="grpo", **same)
    assert losses_agree({"stock": stock, "ours": ours}).endswith("at most: the same.")
    for changed in ({"losses": [0.51]}, {"loss_shared": 0.26}):
        other = {**ours, **changed}
        assert "NOT THE SAME" in losses_agree({"stock": stock, "ours": other})


def test_losses_that_are_all_zero_are_no_comparison():
    ways = {name: result(name, 1.0, stage="grpo", losses=[0.0]) for name in ("stock", "ours")}
    assert "NOTHING WAS COMPARED" in losses_agree(ways)


def test_the_fastest_turn_of_a_way_counts():
    runs = [result("stock", rate) for rate in (3.0, 9.0, 4.0)] + [result("ours", 5.0)]
    found = [(way["name"], way["rate"]) for way in best_turns(runs)]
    assert found == [("stock", 9.0), ("ours", 5.0)]


def test_some_ways_alone_run_beside_stock_and_ours():
    ways = ways_of(arguments(stages=["sft"], ways=["stock + pre-sized images"]))
    assert ways == ["sft: stock", "sft: stock + pre-sized images", "sft: ours"]


def test_sleep_mode_is_for_gpus_and_stages_are_known():
    assert not any(name in way for way in ways_of(arguments()) for name in GPU_WAYS)
    with_gpu = ways_of(arguments(gpu=True, stages=["grpo"]))
    assert with_gpu[0] == "grpo: stock"
    assert with_gpu[-1] == "grpo: ours + sleep mode"
    with pytest.raises(UserError, match="stages \\['rl'\\] are unknown"):
        ways_of(arguments(stages=["rl"]))
    with pytest.raises(UserError, match=r"ways \['no such way'\] are unknown; .*'stock'"):
        ways_of(arguments(ways=["stock", "no such way"]))


def test_waiting_is_the_time_that_fetching_a_step_takes(monkeypatch):
    clock = iter([10.0, 10.5, 20.0, 20.25])
    monkeypatch.setattr("recipes.bench_train_ways.time.perf_counter", lambda: next(clock))

    class Stock:
        def get_batch_samples(self, n):
            return n

    class Trainer(Timed, Stock):
        pass

    trainer = Trainer()
    assert [trainer.get_batch_samples(n) for n in (1, 2)] == [1, 2]
    assert trainer.waits == [0.5, 0.25]
