"""How many rows a shard has: enough shards for all cores, none too small, never by the machine."""

import pytest

from data_prep.shards import default_rows_per_shard, plan_shards


@pytest.mark.parametrize(
    ("n_rows", "rows", "n_shards"),
    [
        (1, 500, 1),
        (1_000, 500, 2),
        (4_000, 500, 8),
        (50_000, 782, 64),
        (128_000, 2_000, 64),
        (1_928_188, 2_000, 965),
    ],
)
def test_small_sets_have_smaller_shards(n_rows, rows, n_shards):
    assert default_rows_per_shard(n_rows) == rows
    shards = plan_shards("train", n_rows)
    assert len(shards) == n_shards
    assert [shard.start for shard in shards[1:]] == [shard.stop for shard in shards[:-1]]
    assert (shards[0].start, shards[-1].stop) == (0, n_rows)


def test_the_users_own_size_is_taken():
    assert len(plan_shards("test", 10, 3)) == 4
