"""The ECG as spikes: its files, made up here in their format, and the real ones where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.errors import DataError
from snnrun.task import ECG, NO_LABEL, Data
from support.paths import real_data
from support.refusals import fails
from support.written import write_ecg

STEPS = 1301


def load(data_dir: Path, num_steps: int = STEPS, **options: Any) -> Data:
    task = ECG(num_steps=num_steps, **options)
    return task.load(data_dir, num_steps, torch.device("cpu"), torch.Generator())


@pytest.mark.parametrize("place", ["", "ecg_qtdb"])
def test_sequences_and_labels(tmp_path: Path, place: str) -> None:
    write_ecg(tmp_path / place)
    arrays = write_ecg(tmp_path / place, "QTDB_test.mat", 3)
    data = load(tmp_path, validation=0.2)
    assert [len(part) for part in data[:3]] == [8, 2, 3]
    (batch,) = data.test.batches(8)
    assert torch.equal(batch.x, torch.from_numpy(arrays["x"]).float().transpose(0, 1))
    assert batch.target is not None
    missing = torch.from_numpy(~arrays["y"].any(2))
    assert torch.equal(batch.target == NO_LABEL, missing)
    assert torch.equal(batch.target[~missing], torch.from_numpy(arrays["y"].argmax(2))[~missing])
    assert data.hashes != load(tmp_path, unlabelled="first").hashes


def test_fewer_steps_and_the_published_count_of_labels(tmp_path: Path) -> None:
    write_ecg(tmp_path)
    write_ecg(tmp_path, "QTDB_test.mat", 3)
    data = load(tmp_path, num_steps=50, unlabelled="first", validation=0.0)
    (batch,) = data.test.batches(8)
    assert batch.x.shape == (50, 3, 4)
    assert batch.target is not None and batch.target.shape == (3, 50)
    assert not batch.target[:, ::3].any()
    with pytest.raises(ValueError, match="num_steps"):
        ECG(num_steps=STEPS + 1)


def test_damaged_files_are_refused_by_name_and_place(tmp_path: Path) -> None:
    write_ecg(tmp_path, "QTDB_test.mat", 3)
    with fails(DataError, "the data is missing", "QTDB_train.mat"):
        load(tmp_path)
    arrays = write_ecg(tmp_path)

    def broken(change: dict[str, Any], *facts: str) -> None:
        write_ecg(tmp_path, **change)
        with fails(DataError, "QTDB_train.mat", *facts):
            load(tmp_path)

    x, y = arrays["x"].copy(), arrays["y"].copy()
    x[2, 7, 1] = 5
    broken({"x": x}, "x[2, 7, 1]", "got 5")
    y[4, 9, :2] = 1
    broken({"y": y}, "y[4, 9]")
    y = arrays["y"].copy()
    y[3] = 0
    broken({"y": y}, "y[3]", "got none")
    broken({"x": arrays["x"][:, :100]}, "[10, 100, 4]")
    broken({"y": arrays["y"][:9]}, "got 9")
    broken({"y": np.full((10, STEPS, 6), "a")}, "y of numbers")
    whole = (tmp_path / "QTDB_train.mat").read_bytes()
    (tmp_path / "QTDB_train.mat").write_bytes(whole[: len(whole) // 2])
    with fails(DataError, "QTDB_train.mat"):
        load(tmp_path)
    (tmp_path / "QTDB_train.mat").write_bytes(b"no such thing")
    with fails(DataError, "QTDB_train.mat", "MATLAB"):
        load(tmp_path)


def test_the_published_set() -> None:
    data = load(real_data("ecg_qtdb").parent)
    assert [len(part) for part in data[:3]] == [556, 62, 141]
    (batch,) = data.test.batches(200)
    assert batch.target is not None
    missing = batch.target == NO_LABEL
    assert int(missing[:, :-1].sum()) == 19_034  # of the 183,300 steps of the published scores, which lack the last
    assert int(missing.sum()) == 19_056
