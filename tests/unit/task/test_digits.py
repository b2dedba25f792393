from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from snnrun.task import Data, Digits, ImagePart

CPU = torch.device("cpu")


def load() -> Data:
    return Digits().load(Path("unused"), 25, CPU, torch.Generator())


def test_the_real_digits() -> None:
    data = load()
    assert [len(part) for part in data[:3]] == [1259, 179, 359]
    counts = torch.zeros(10, dtype=torch.int64)
    for part in data[:3]:
        for batch in part.batches(1000):
            assert batch.target is not None
            assert batch.x.shape[2:] == Digits.input_shape == (1, 8, 8)
            assert batch.x.min() == 0 and batch.x.max() == 1
            counts += batch.target.bincount(minlength=10)
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_parts_are_the_same_everywhere() -> None:
    # Published accuracies stand on this split: should a release of torch change it, that must not go unnoticed.
    test = load().test
    assert isinstance(test, ImagePart)
    assert test.indices[:10].tolist() == [1, 2, 6, 10, 13, 16, 22, 25, 29, 31]
    assert load().hashes == {"digits": "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"}


def test_the_file_holds_what_scikit_learn_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Digits().read(Path("unused"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # no folder to look into: the long way round
    slow = Digits().read(Path("unused"))
    assert torch.equal(quick.images, slow.images)
    assert torch.equal(quick.labels, slow.labels)
    assert quick.images.dtype == slow.images.dtype == torch.uint8
