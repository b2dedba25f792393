"""Time series in the ``.ts`` format: files made up here, and those in the package aeon where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.errors import DataError
from snnrun.task import UCR, Batch, Data
from snnrun.task import ucr as module
from snnrun.task.ucr import aeon_data
from support.refusals import fails, refuses
from support.written import ts_header, ts_lines, write_ts

CPU = torch.device("cpu")
CLASSES = ("left", "right")
HEADER = ts_header(2, CLASSES)
TRAIN, TEST = ts_lines(20, 2, CLASSES), ts_lines(10, 2, CLASSES, 1)


def load(data_dir: Path, num_steps: int | str = "max", dataset: str = "Waves", **options: Any) -> Data:
    task = UCR(dataset=dataset, data_dir=str(data_dir), **options)
    return task.load(data_dir, num_steps, CPU, torch.Generator())


def the_test_set(data: Data) -> Batch:
    (batch,) = data.test.batches(1000)
    return batch


@pytest.mark.parametrize("place", ["Waves", "ucr/Waves", "ucr"])
def test_series_labels_and_lengths(tmp_path: Path, place: str) -> None:
    write_ts(tmp_path / place, "Waves", TRAIN, TEST, HEADER)
    task = UCR(dataset="Waves", data_dir=str(tmp_path))
    assert (task.input_shape, task.num_outputs, task.classes) == ((2,), 2, CLASSES)
    data = load(tmp_path, normalise=False)
    assert [len(part) for part in data[:3]] == [18, 2, 10]
    batch = the_test_set(data)
    assert batch.lengths is not None and batch.target is not None
    assert batch.x.shape == (7, 10, 2)
    for n, line in enumerate(TEST):
        *rows, label = line.split(":")
        expected = torch.tensor([[float(word) for word in row.split(",")] for row in rows])
        length = int(batch.lengths[n])
        assert torch.equal(batch.x[:length, n].T, expected)
        assert not batch.x[length:, n].any()
        assert CLASSES[int(batch.target[n])] == label
    assert the_test_set(load(tmp_path, 4)).x.shape == (4, 10, 2)
    assert data.hashes == load(tmp_path, validation=0.3).hashes


def test_normalisation_is_by_the_training_samples(tmp_path: Path) -> None:
    write_ts(tmp_path, "Waves", TRAIN, TEST, HEADER)
    write_ts(tmp_path / "ucr", "Waves", TRAIN, TEST, HEADER)
    plain, data = load(tmp_path, normalise=False), load(tmp_path)

    def steps(data: Data) -> torch.Tensor:
        (batch,) = data.train.batches(100)
        assert batch.lengths is not None
        return batch.x[torch.arange(len(batch.x))[:, None] < batch.lengths].double()

    raw = steps(plain)
    torch.testing.assert_close(steps(data).mean(0), torch.zeros(2).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(steps(data).std(0, correction=0), torch.ones(2).double())
    mean, deviation = raw.mean(0), raw.std(0, correction=0)
    batch, before = the_test_set(data), the_test_set(plain)
    assert batch.lengths is not None
    inside = torch.arange(len(batch.x))[:, None] < batch.lengths
    torch.testing.assert_close(batch.x[inside].double(), (before.x[inside] - mean) / deviation)
    assert not batch.x[~inside].any()


def test_a_constant_dimension_stays_finite(tmp_path: Path) -> None:
    write_ts(tmp_path / "ucr", "Waves", ["1,2:5,5:left", "2,1,3:5,5,5:right"] * 10, TEST, HEADER)
    assert the_test_set(load(tmp_path)).x.isfinite().all()


def test_missing_values(tmp_path: Path) -> None:
    test = ["?,1,?,?,4,NaN:1,2,3,4,5,6:left"]
    write_ts(tmp_path / "ucr", "Waves", TRAIN, test, HEADER)
    with fails(DataError, "Waves_TEST.ts", "line 8", "step 1 of dimension 1", "task.missing=interpolate"):
        load(tmp_path)
    batch = the_test_set(load(tmp_path, missing="interpolate", normalise=False))
    assert batch.x[:, 0, 0].tolist() == [1, 1, 2, 3, 4, 4]
    write_ts(tmp_path / "ucr", "Waves", TRAIN, ["?,?:1,2:left"], HEADER)
    with fails(DataError, "line 8", "dimension 1"):
        load(tmp_path, missing="interpolate")


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("1,2:3,4:", ("column 9", "label")),
        ("1,2:left", ("2 dimensions", "got 1")),
        ("1,2:3,4:up", ("column 9", "label", "'up'")),
        ("1,2:3,4:5,6:left", ("2 dimensions", "got 3")),
        (":3,4:left", ("column 1", "dimension 1", "length of 0")),
        ("1,2::left", ("column 5", "dimension 2", "length of 0")),
        ("1,2:3,four:left", ("column 7", "dimension 2, step 2", "'four'")),
        ("1,:3,4:left", ("column 3", "dimension 1, step 2", "''")),
        ("1,inf:3,4:left", ("column 3", "'inf'")),
        ("1,2:-1e39,4:left", ("column 5", "'-1e39'")),
        ("1,2:3:left", ("column 5", "dimension 2", "got 1")),
    ],
)
def test_a_bad_series_is_refused_by_file_line_and_column(tmp_path: Path, line: str, facts: tuple[str, ...]) -> None:
    write_ts(tmp_path / "ucr", "Waves", [*TRAIN[:3], "", line], TEST, HEADER)
    with fails(DataError, "Waves_TRAIN.ts", "line 12", *facts):
        load(tmp_path)


@pytest.mark.parametrize(
    ("header", "facts"),
    [
        ("@classLabel false", ("@classLabel",)),
        ("@targetlabel true", ("@classLabel",)),
        ("@classLabel true", ("two different labels",)),
        ("@classLabel true a a", ("two different labels",)),
        ("@timeStamps true\n@classLabel true a b", ("@timeStamps",)),
        ("@dimension two\n@classLabel true a b", ("dimensions", "two")),
        ("1,2,3:a", ("line 1", "header")),
    ],
)
def test_a_bad_header_is_refused(tmp_path: Path, header: str, facts: tuple[str, ...]) -> None:
    write_ts(tmp_path / "ucr", "Waves", TRAIN, TEST, header)
    with fails(DataError, "Waves_TRAIN.ts", *facts):
        load(tmp_path)


def test_files_without_series_or_data(tmp_path: Path) -> None:
    write_ts(tmp_path / "ucr", "Waves", TRAIN, [], HEADER)
    with fails(DataError, "Waves_TEST.ts", "got none"):
        load(tmp_path)
    (tmp_path / "ucr" / "Waves_TRAIN.ts").write_text(HEADER)
    with fails(DataError, "Waves_TRAIN.ts", "@data"):
        load(tmp_path)


def test_the_header_need_not_have_the_dimensions(tmp_path: Path) -> None:
    header = HEADER.replace("@dimension 2\n", "")
    write_ts(tmp_path / "ucr", "Waves", TRAIN, TEST, header)
    assert UCR(dataset="Waves", data_dir=str(tmp_path)).input_shape == (2,)


def test_the_files_of_aeon_are_used_where_data_dir_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "aeon_data", lambda: None)
    with fails(DataError, "Waves", "task.dataset", "pip install --no-deps aeon"):
        load(tmp_path)
    monkeypatch.setattr(module, "aeon_data", lambda: tmp_path / "aeon")
    with fails(DataError, "does not have it"):
        load(tmp_path)
    write_ts(tmp_path / "aeon" / "Waves", "Waves", TRAIN, TEST, HEADER)
    packaged = load(tmp_path)
    write_ts(tmp_path / "Waves", "Waves", TRAIN[:16], TEST, HEADER)
    assert (len(packaged.train), len(load(tmp_path).train)) == (18, 14)


def test_arguments() -> None:
    with refuses("dataset", "../Waves"):
        UCR(dataset="../Waves")
    with fails(DataError, "task.dataset"):
        UCR().load(Path("data"), 10, CPU, torch.Generator())


def test_japanese_vowels(tmp_path: Path) -> None:
    if aeon_data() is None:
        pytest.skip("the package aeon, which has the set JapaneseVowels, is not installed")
    data = load(tmp_path, dataset="JapaneseVowels")
    assert [len(part) for part in data[:3]] == [243, 27, 370]
    batch = the_test_set(data)
    assert batch.lengths is not None and batch.target is not None
    assert (batch.x.shape, int(batch.lengths.min())) == ((29, 370, 12), 7)
    assert np.array_equal(batch.target.bincount(), [31, 35, 88, 44, 29, 24, 40, 50, 29])
