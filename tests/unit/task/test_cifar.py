"""CIFAR: small files in its format, held against torchvision's own reading, and pickles that are programs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from snnrun.errors import DataError
from snnrun.task import CIFAR10, CIFAR100, Data, ImagePart, ImageTask
from snnrun.task.unpickle import read_pickle
from support.refusals import fails, refuses
from support.written import cyclic, python2, random_pixels, write_cifar10, write_cifar100

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    # Of the files that the tests write no checksum was published.
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5: os.path.isfile(path))


def load(task: ImageTask, data_dir: Path) -> Data:
    return task.load(data_dir, 25, CPU, torch.Generator())


def ten(folder: Path, seed: int = 0) -> tuple[Tensor, Tensor]:
    images, labels = random_pixels(240, 3, 32, 32, seed=seed), cyclic(240, 10)
    write_cifar10(folder, images, labels)
    return images, labels


def write_hundred(folder: Path) -> tuple[Tensor, Tensor]:
    images, labels = random_pixels(400, 3, 32, 32), cyclic(400, 100)
    write_cifar100(folder, images, labels, num_test=100)
    return images, labels


@pytest.mark.parametrize("layout", ["cifar-10-batches-py", "cifar10", "."])
def test_ten_classes(tmp_path: Path, layout: str) -> None:
    images, labels = ten(tmp_path / layout)
    data = load(CIFAR10(), tmp_path)
    assert isinstance(data.train, ImagePart)
    assert torch.equal(data.train.images, images)
    assert torch.equal(data.train.labels, labels)
    assert [len(part) for part in data[:3]] == [180, 20, 40]
    (test,) = data.test.batches(100)
    assert torch.equal(test.x[0], images[200:].float() / 255)
    assert list(data.hashes) == ["cifar10"]


@pytest.mark.parametrize("labels", ["fine", "coarse"])
def test_a_hundred_classes_or_twenty(tmp_path: Path, labels: str) -> None:
    images, fine = write_hundred(tmp_path / "cifar-100-python")
    task = CIFAR100(labels=labels)
    data = load(task, tmp_path)
    assert task.num_outputs == (100 if labels == "fine" else 20)
    assert isinstance(data.train, ImagePart)
    assert torch.equal(data.train.images, images)
    assert torch.equal(data.train.labels, fine if labels == "fine" else fine // 5)
    with refuses("labels", "all", "'fine' or 'coarse'"):
        CIFAR100(labels="all")


def test_it_is_what_torchvision_reads(tmp_path: Path) -> None:
    ten(tmp_path / "cifar-10-batches-py")
    write_hundred(tmp_path / "cifar-100-python")
    pairs = [(CIFAR10(), torchvision.datasets.CIFAR10), (CIFAR100(), torchvision.datasets.CIFAR100)]
    for task, theirs in pairs:
        (test,) = load(task, tmp_path).test.batches(1000)
        other = theirs(tmp_path, train=False)
        assert test.target is not None
        assert test.target.tolist() == other.targets
        images = test.x[0].mul(255).round().byte().permute(0, 2, 3, 1)  # theirs are [N, H, W, C]
        assert np.array_equal(images.numpy(), other.data)


def test_a_download_runs_through_torchvision_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = []

    def archive(url: str, root: str, **options: Any) -> None:
        urls.append(url)
        ten(Path(root) / "cifar-10-batches-py")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: bool(urls), raising=True)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", archive)
    first, again = load(CIFAR10(), tmp_path), load(CIFAR10(), tmp_path)
    assert len(urls) == 1
    assert first.hashes == again.hashes
    assert {path.name for path in tmp_path.rglob("*")} == {
        "cifar-10-batches-py", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"
    }  # fmt: skip


def test_missing_files_are_named_with_the_folders_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for task in (CIFAR10(), CIFAR100()):
        with pytest.raises(DataError) as error:
            load(task, tmp_path)
        message = str(error.value)
        assert f"{task.name}: " in message and "no network" in message
        for folder in (tmp_path / task.folder, tmp_path / task.name, tmp_path):
            assert str(folder) in message
        assert all(name in message for name in (*task.train_files, *task.test_files))
        assert error.value.__context__ is None


def test_the_writer_writes_what_pickle_reads() -> None:
    array = np.arange(600, dtype=np.uint8).reshape(2, 300)
    content = {"data": array, "labels": [0, 255, 256], "batch_label": "a" * 300}
    result = pickle.loads(python2(content), encoding="latin1")
    assert np.array_equal(result.pop("data"), array)
    assert result == {key: value for key, value in content.items() if key != "data"}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pickles_of_a_later_python_are_read_too(tmp_path: Path, protocol: int) -> None:
    array = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({"data": array, "labels": [1]}, protocol=protocol))
    if protocol == 5:  # which numpy writes with a name of its own
        with pytest.raises(DataError, match=r"_frombuffer, which is refused"):
            read_pickle(path)
        return
    result = read_pickle(path)
    assert np.array_equal(result["data"], array)
    assert result["labels"] == [1]


class Payload:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "function", [os.mkdir, eval, np.load, getattr], ids=["os.mkdir", "eval", "numpy.load", "getattr"]
)
def test_a_pickle_that_is_a_program_is_refused_before_it_runs(tmp_path: Path, function: Any) -> None:
    ten(tmp_path)
    canary = tmp_path / "canary"
    path = tmp_path / "data_batch_3"
    argument = f"__import__('os').mkdir({str(canary)!r})" if function is eval else str(canary)
    path.write_bytes(pickle.dumps({"data": Payload(function, argument), "labels": []}, protocol=2))
    with pytest.raises(DataError) as error:
        load(CIFAR10(), tmp_path)
    assert str(error.value).startswith(f"cifar10: {path}: no pickle of plain data: it asks for ")
    assert "which is refused" in str(error.value)
    assert not canary.exists()


def test_an_array_of_objects_made_from_bytes_is_refused(tmp_path: Path) -> None:
    # numpy would take such bytes for addresses.
    path = tmp_path / "batch"
    path.write_bytes(python2({"data": np.zeros(8, dtype=np.uint8)}).replace(b"U\x02u1", b"U\x02O8"))
    with fails(DataError, "data: ", "u1", "got one of 'O8'"):
        read_pickle(path)


WHOLE = python2({"data": np.zeros((40, 3072), dtype=np.uint8), "labels": [0] * 40})


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "truncated: the pickle ends too early"),
        (WHOLE[:5000], "truncated"),
        (WHOLE[:20], "truncated"),
        (b"<!DOCTYPE html><html>", "no pickle of plain data"),
        (b"\x80\xff", "no pickle of plain data: unsupported pickle protocol: 255"),
        (pickle.dumps([1, 2]), "expected images as data, an array of [N, 3072] bytes, got none"),
        (python2({"data": np.zeros((4, 5), dtype=np.uint8)}), "expected images as data, an array of [N, 3072]"),
        (python2({"data": np.zeros((1, 3072), dtype=np.uint8), "fine_labels": [0]}), "expected labels, a list"),
        (python2({"data": np.zeros((1, 3072), dtype=np.uint8), "labels": ["a"]}), "expected labels, a list"),
        (python2({"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [0]}), "expected 2 labels, one for each"),
        (
            python2({"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [0, 10]}),
            "expected labels of at most 9, got 10 (label 1)",
        ),
        (
            python2({"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [-1, 0]}),
            "expected labels of at most 9, got -1 (label 0)",
        ),
    ],
    ids=["empty", "cut", "cut early", "web page", "protocol", "list", "size", "other set", "text", "few", "big", "neg"],
)
def test_a_damaged_file_is_named_with_its_fault(tmp_path: Path, content: bytes, fault: str) -> None:
    ten(tmp_path)
    path = tmp_path / "data_batch_3"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        load(CIFAR10(), tmp_path)
    assert str(error.value).startswith(f"cifar10: {path}: {fault}")
    assert "Replace that file, or remove it" in str(error.value)
