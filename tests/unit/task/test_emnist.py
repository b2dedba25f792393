"""EMNIST: small files in its format, held against torchvision's own reading of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from snnrun.errors import DataError
from snnrun.task import EMNIST, Data, ImagePart
from support.refusals import refuses
from support.written import cyclic, random_pixels, write_emnist, write_idx

CPU = torch.device("cpu")
CLASSES = {"balanced": 47, "letters": 26, "digits": 10, "byclass": 62, "bymerge": 47, "mnist": 10}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", refuse)


def load(data_dir: Path, split: str = "balanced") -> Data:
    return EMNIST(split=split).load(data_dir, 25, CPU, torch.Generator())


def write_split(folder: Path, split: str, suffix: str = "", seed: int = 0) -> tuple[Tensor, Tensor]:
    """Five of each class, one of them for the test; the images upright, the labels from 0 on."""
    count = CLASSES[split]
    images, labels = random_pixels(5 * count, 28, 28, seed=seed), cyclic(5 * count, count)
    write_emnist(folder, split, images, labels + (split == "letters"), count, suffix)
    return images, labels


@pytest.mark.parametrize("split", CLASSES)
def test_every_split_stands_upright_and_begins_with_label_0(tmp_path: Path, split: str) -> None:
    images, labels = write_split(tmp_path / "EMNIST" / "raw", split)
    task, data = EMNIST(split=split), load(tmp_path, split)
    assert task.num_outputs == CLASSES[split]
    assert isinstance(data.test, ImagePart)
    assert torch.equal(data.test.images[:, 0], images)
    assert torch.equal(data.test.labels, labels)
    assert [len(part) for part in data[:3]] == [3 * len(labels) // 5, len(labels) // 5, len(labels) // 5]


@pytest.mark.parametrize("split", ["balanced", "letters"])
def test_it_is_what_torchvision_reads(tmp_path: Path, split: str) -> None:
    write_split(tmp_path / "EMNIST" / "raw", split)
    theirs = torchvision.datasets.EMNIST(tmp_path, split, train=False)
    (test,) = load(tmp_path, split).test.batches(1000)
    assert test.target is not None
    assert torch.equal(test.x[0, :, 0].mul(255).round().byte(), theirs.data.transpose(1, 2))
    assert torch.equal(test.target + (split == "letters"), theirs.targets)


@pytest.mark.parametrize(("layout", "suffix"), [("emnist", ""), (".", ".gz")])
def test_other_folders_and_gzipped_files(tmp_path: Path, layout: str, suffix: str) -> None:
    write_split(tmp_path / layout, "digits", suffix)
    assert list(load(tmp_path, "digits").hashes) == ["emnist"]


def test_one_split_does_not_take_the_files_of_another(tmp_path: Path) -> None:
    write_split(tmp_path, "digits")
    with pytest.raises(
        DataError, match=r"^emnist: the data is missing.*\n(.*\n)*.*emnist-mnist-train-images-idx3-ubyte"
    ):
        load(tmp_path, "mnist")


@pytest.mark.parametrize("wrong", [0, 27])
def test_a_label_out_of_range_is_named(tmp_path: Path, wrong: int) -> None:
    write_split(tmp_path, "letters")
    path = tmp_path / "emnist-letters-test-labels-idx1-ubyte"
    write_idx(path, torch.tensor([1] * 25 + [wrong], dtype=torch.uint8))
    with pytest.raises(DataError) as error:
        load(tmp_path, "letters")
    assert str(error.value).startswith(f"emnist: {path}: expected labels of 1 to 26, got {wrong} (label 25)")


def test_one_download_brings_every_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = []

    def archive(url: str, download_root: str, **options: Any) -> None:
        urls.append(url)
        for split in CLASSES:
            write_split(Path(download_root) / "gzip", split, ".gz")
        Path(download_root, "gzip.zip").write_bytes(b"the archive itself")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", archive)
    hashes = [load(tmp_path, split).hashes["emnist"] for split in CLASSES]
    assert len(urls) == 1
    assert len(set(hashes)) == len(CLASSES) - 2  # bymerge and digits are written as balanced and mnist
    raw = tmp_path / "EMNIST" / "raw"
    assert len(list(raw.iterdir())) == 4 * len(CLASSES)
    shutil.rmtree(raw)
    assert list(tmp_path.rglob("*")) == [tmp_path / "EMNIST"]


def test_a_split_that_there_is_not() -> None:
    with refuses("split", "all", "'balanced' or 'letters'"):
        EMNIST(split="all")
