from __future__ import annotations

import pytest
import torch

from snnrun.task.split import stratified_split

# 7 classes of different sizes, in no order, one label missing in between.
SIZES = {0: 100, 1: 37, 2: 10, 3: 3, 4: 55, 5: 200, 8: 20}
LABELS = torch.cat([torch.full((n,), label) for label, n in SIZES.items()])
LABELS = LABELS[torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(0))]


def test_each_sample_lands_in_exactly_one_part() -> None:
    parts = stratified_split(LABELS, [0.2, 0.1], seed=0)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(len(LABELS)))


def test_each_class_is_shared_out_in_proportion() -> None:
    test, validation, train = stratified_split(LABELS, [0.2, 0.1], seed=0)
    for label, n in SIZES.items():
        counts = [int((LABELS[part] == label).sum()) for part in (test, validation, train)]
        expected = [max(1, round(0.2 * n)), max(1, round(0.1 * n))]
        assert counts == [*expected, n - sum(expected)]


def test_a_part_is_in_ascending_order() -> None:
    for part in stratified_split(LABELS, [0.2, 0.1], seed=0):
        assert (part.diff() > 0).all() and part.dtype == torch.int64


def test_the_seed_decides() -> None:
    first, again, other = (stratified_split(LABELS, [0.2], seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_the_global_random_stream_has_no_effect() -> None:
    torch.manual_seed(1)
    first = stratified_split(LABELS, [0.2], seed=0)
    torch.manual_seed(2)
    assert torch.equal(first[0], stratified_split(LABELS, [0.2], seed=0)[0])


def test_a_class_too_small_for_all_parts_is_named() -> None:
    with pytest.raises(ValueError, match=r"^class 3 has 3 samples, too few for 4 parts$"):
        stratified_split(LABELS, [0.1, 0.1, 0.1], seed=0)
