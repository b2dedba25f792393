"""SVHN: small MATLAB files as it has them, held against torchvision's own reading."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from scipy.io import savemat
from torch import Tensor

from snnrun.errors import DataError
from snnrun.task import SVHN, Data, ImagePart
from support.refusals import refuses
from support.written import cyclic, random_pixels, write_svhn

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    files: list[str] = []

    def refuse(url: str, *arguments: Any, **options: Any) -> None:
        files.append(url.rpartition("/")[2])
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.svhn.download_url", refuse)
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda path, md5: os.path.isfile(path))
    return files


def load(data_dir: Path, **options: Any) -> Data:
    return SVHN(**options).load(data_dir, 25, CPU, torch.Generator())


def write_parts(folder: Path) -> tuple[Tensor, Tensor]:
    """60 images to train on, 20 extra, 10 to test, in this order."""
    images, labels = random_pixels(90, 3, 32, 32), cyclic(90, 10)
    for part, rows in (("train", slice(60)), ("extra", slice(60, 80)), ("test", slice(80, 90))):
        write_svhn(folder / f"{part}_32x32.mat", images[rows], labels[rows])
    return images, labels


@pytest.mark.parametrize("layout", [".", "svhn"])
def test_label_10_is_the_digit_0(tmp_path: Path, layout: str) -> None:
    images, labels = write_parts(tmp_path / layout)
    data = load(tmp_path)
    assert isinstance(data.train, ImagePart)
    assert torch.equal(data.train.images, torch.cat([images[:60], images[80:]]))
    assert torch.equal(data.train.labels, torch.cat([labels[:60], labels[80:]]))
    assert [len(part) for part in data[:3]] == [50, 10, 10]


def test_the_extra_part_is_trained_on(tmp_path: Path) -> None:
    images, labels = write_parts(tmp_path)
    data = load(tmp_path, extra=True)
    assert isinstance(data.train, ImagePart)
    assert torch.equal(data.train.images, images)
    assert torch.equal(data.train.labels, labels)
    assert [len(part) for part in data[:3]] == [70, 10, 10]
    with refuses("extra", 1, "true or false"):
        SVHN(extra=1)  # type: ignore[arg-type]


def test_it_is_what_torchvision_reads(tmp_path: Path) -> None:
    write_parts(tmp_path)
    (test,) = load(tmp_path).test.batches(100)
    theirs = torchvision.datasets.SVHN(tmp_path, "test")
    assert test.target is not None
    assert np.array_equal(test.target.numpy(), theirs.labels)
    assert np.array_equal(test.x[0].mul(255).round().byte().numpy(), theirs.data)


def test_only_the_files_of_the_chosen_parts_are_downloaded(
    tmp_path: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"(?s)^svhn: the data is missing.*no network.*train_32x32.mat, test_32x32.mat"):
        load(tmp_path)
    assert downloads == ["train_32x32.mat"]
    files = []

    def fetch(url: str, root: str, filename: str, md5: str) -> None:
        files.append(filename)
        write_svhn(Path(root) / filename, random_pixels(40, 3, 32, 32), cyclic(40, 10))

    monkeypatch.setattr("torchvision.datasets.svhn.download_url", fetch)
    for _ in range(2):
        assert len(load(tmp_path).test) == 40
    assert files == ["train_32x32.mat", "test_32x32.mat"]
    assert {path.name for path in tmp_path.iterdir()} == set(files)


X, Y = np.zeros((32, 32, 3, 4), dtype=np.uint8), np.ones((4, 1), dtype=np.uint8)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"X": X, "y": Y[:3]}, "expected 4 labels, one for each image, got 3"),
        ({"X": X, "y": Y - 1}, "expected labels of 1 to 10, got 0 (label 0)"),
        ({"X": X, "y": Y + 10}, "expected labels of 1 to 10, got 11 (label 0)"),
        ({"X": X, "y": Y / 2}, "expected labels y, whole numbers [N, 1], got float64 [4, 1]"),
        ({"X": X, "y": np.ones((2, 2), dtype=np.uint8)}, "expected labels y, whole numbers [N, 1], got uint8 [2, 2]"),
        ({"X": X}, "expected labels y, whole numbers [N, 1], got none"),
        ({"y": Y}, "expected images X, uint8 [32, 32, 3, N], got none"),
        ({"X": X[:, :31], "y": Y}, "expected images X, uint8 [32, 32, 3, N], got uint8 [32, 31, 3, 4]"),
        ({"X": X.astype(float), "y": Y}, "expected images X, uint8 [32, 32, 3, N], got float64 [32, 32, 3, 4]"),
    ],
)
def test_a_file_with_a_fault_is_named(tmp_path: Path, content: dict[str, Any], fault: str) -> None:
    write_parts(tmp_path)
    path = tmp_path / "test_32x32.mat"
    savemat(path, content)
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"svhn: {path}: {fault}")


@pytest.mark.parametrize("keep", [0, 50, 200, 5000])
def test_a_truncated_file_is_not_taken_for_data(tmp_path: Path, keep: int) -> None:
    write_parts(tmp_path)
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"svhn: {path}: damaged, or no MATLAB file of version 5: ")
