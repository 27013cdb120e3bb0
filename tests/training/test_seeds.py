"""Seeds differ by what they are for."""

from __future__ import annotations

from training.seeds import child_seed


def test_seeds_differ_by_purpose() -> None:
    seeds = {child_seed(0, "split"), child_seed(0, "probe"), child_seed(1, "split"), child_seed(0, "split", 1)}
    assert len(seeds) == 4
    assert child_seed(0, "split") == child_seed(0, "split")
