from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from snnrun.errors import DataError
from snnrun.task import KMNIST, MNIST, Data, FashionMNIST, IdxTask, ImagePart

CPU = torch.device("cpu")
SETS = [MNIST, FashionMNIST, KMNIST]
NAMES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of its package dataset-fashion-mnist


def load(task: IdxTask, data_dir: Path) -> Data:
    return task.load(data_dir, 25, CPU, torch.Generator())


@pytest.fixture(autouse=True)
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No test reaches for the network; returns the sets that were asked for."""
    sets: list[str] = []

    def refuse(self: Any) -> None:
        sets.append(type(self).__name__)
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried a mirror, got:\nno network\n")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", refuse)
    return sets


@pytest.mark.parametrize("task", SETS)
@pytest.mark.parametrize("layout", ["{source}/raw", "{name}", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_that_are_there_are_used_offline(
    tmp_path: Path, write_set: Any, downloads: list[str], task: type[IdxTask], layout: str, suffix: str
) -> None:
    images, labels = write_set(tmp_path / layout.format(source=task.dataset, name=task.name), suffix)
    data = load(task(), tmp_path)
    assert downloads == []
    (test,) = data.test.batches(100)
    assert torch.equal(test.x, images[60:].float().div(255)[None, :, None])
    assert test.target is not None and torch.equal(test.target, labels[60:].long())
    assert len(data.train) == 50 and len(data.validation) == 10
    assert list(data.hashes) == [task.name]
    assert isinstance(data.train, ImagePart) and torch.equal(data.train.images[:, 0], images)


def test_raw_and_gzipped_files_may_stand_side_by_side(tmp_path: Path, write_set: Any) -> None:
    write_set(tmp_path)
    whole = load(MNIST(), tmp_path).hashes
    write_set(tmp_path, ".gz")
    for name in NAMES[1:3]:
        (tmp_path / name).unlink()
    assert load(MNIST(), tmp_path).hashes == whole


def test_the_first_folder_that_has_all_four_files_is_used(tmp_path: Path, write_set: Any) -> None:
    write_set(tmp_path, seed=1)
    general = load(MNIST(), tmp_path).hashes
    write_set(tmp_path / "MNIST/raw", seed=2)
    assert load(MNIST(), tmp_path).hashes != general
    (tmp_path / "MNIST/raw" / NAMES[3]).unlink()
    assert load(MNIST(), tmp_path).hashes == general


def test_one_set_does_not_take_the_folder_of_another(tmp_path: Path, write_set: Any, downloads: list[str]) -> None:
    write_set(tmp_path / "FashionMNIST/raw")
    write_set(tmp_path / "fashion_mnist")
    with pytest.raises(DataError):
        load(KMNIST(), tmp_path)
    assert downloads == ["KMNIST"]


def test_the_validation_part_is_a_stratified_share_of_the_training_images(tmp_path: Path, write_set: Any) -> None:
    write_set(tmp_path)
    data = load(MNIST(validation=0.5), tmp_path)
    for part in (data.train, data.validation):
        (batch,) = part.batches(100)
        assert batch.target is not None and batch.target.bincount().tolist() == [3] * 10
    other = load(MNIST(validation=0.5, split_seed=1), tmp_path).validation
    assert isinstance(data.validation, ImagePart) and isinstance(other, ImagePart)
    assert not torch.equal(data.validation.indices, other.indices)


@pytest.mark.parametrize(
    ("name", "array", "fault"),
    [
        (NAMES[1], torch.arange(59).remainder(10), "expected 60 labels, one for each image, got 59"),
        (NAMES[3], torch.tensor([9] * 19 + [10]), "expected labels of at most 9, got 10 (label 19)"),
        (NAMES[0], torch.zeros(60, 28, 27), "expected images of 28 x 28 pixels, got 28 x 27"),
        (NAMES[2], torch.zeros(20), "wrong magic number"),
    ],
    ids=["count", "label", "size", "format"],
)
def test_a_file_with_a_fault_is_named(
    tmp_path: Path, write_set: Any, write_idx: Any, downloads: list[str], name: str, array: torch.Tensor, fault: str
) -> None:
    write_set(tmp_path)
    write_idx(tmp_path / name, array.to(torch.uint8))
    with pytest.raises(DataError) as error:
        load(MNIST(), tmp_path)
    assert str(error.value).startswith(f"mnist: {tmp_path / name}: {fault}")
    assert "Replace that file, or remove it" in str(error.value)
    assert downloads == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_truncated_file_is_not_taken_for_data(tmp_path: Path, write_set: Any, suffix: str) -> None:
    write_set(tmp_path, suffix)
    path = tmp_path / f"{NAMES[0]}{suffix}"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="truncated"):
        load(MNIST(), tmp_path)


@pytest.mark.parametrize("task", SETS)
def test_missing_data_names_the_folders_searched_and_what_to_do(tmp_path: Path, task: type[IdxTask]) -> None:
    with pytest.raises(DataError) as error:
        load(task(), tmp_path)
    message = str(error.value)
    for folder in (tmp_path / task.dataset / "raw", tmp_path / task.name, tmp_path):
        assert str(folder) in message
    assert all(name in message for name in NAMES)
    assert "task=digits" in message
    assert (
        "downloading it failed: Error downloading train-images-idx3-ubyte.gz: Tried a mirror, got: no network"
        in message
    )
    assert "Traceback" not in message and error.value.__context__ is None


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no route"),
        TimeoutError("no answer"),
        ConnectionResetError("reset"),
        EOFError("cut off"),
        RuntimeError("File not found or corrupted."),
        PermissionError(13, "Permission denied"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_download_that_breaks_off_leaves_nothing_to_mistake_for_data(
    tmp_path: Path, write_set: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def break_off(self: Any) -> None:
        write_set(Path(self.raw_folder))
        (Path(self.raw_folder) / NAMES[3]).unlink()
        raise error

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", break_off)
    for _ in range(2):
        with pytest.raises(DataError, match="downloading it failed"):
            load(MNIST(), tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_a_download_without_network_runs_through_torchvision_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real download(), with a network that is down

    def down(*args: Any, **kwargs: Any) -> None:
        raise urllib.error.URLError("name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", down)
    with pytest.raises(DataError, match="name or service not known"):
        load(KMNIST(), tmp_path)


@pytest.mark.parametrize("task", SETS)
def test_a_download_is_kept_for_the_next_time(
    tmp_path: Path, write_set: Any, monkeypatch: pytest.MonkeyPatch, task: type[IdxTask]
) -> None:
    sets = []

    def download(self: Any) -> None:
        sets.append(type(self).__name__)
        write_set(Path(self.raw_folder))
        write_set(Path(self.raw_folder), ".gz")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    data_dir = tmp_path / "not" / "there" / "yet"
    first = load(task(), data_dir)
    again = load(task(), data_dir)
    assert sets == [task.dataset]
    assert first.hashes == again.hashes
    assert sorted(path.name for path in data_dir.rglob("*") if path.is_file()) == sorted(NAMES)
    # torchvision itself finds the files, too.
    assert len(getattr(torchvision.datasets, task.dataset)(data_dir, train=False)) == 20


def test_a_download_replaces_an_incomplete_folder(
    tmp_path: Path, write_set: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path / "MNIST/raw", seed=1)
    (tmp_path / "MNIST/raw" / NAMES[3]).unlink()
    monkeypatch.setattr(torchvision.datasets.MNIST, "download", lambda self: write_set(Path(self.raw_folder), seed=2))
    images, _ = write_set(tmp_path / "elsewhere", seed=2)
    train = load(MNIST(), tmp_path).train
    assert isinstance(train, ImagePart) and torch.equal(train.images[:, 0], images)


def test_a_data_dir_that_is_a_file_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(DataError, match=r"downloading it failed: .*File exists"):
        load(MNIST(), path)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_all_of_fashion_mnist() -> None:
    data = load(FashionMNIST(), DEBIAN)
    for part, size in zip(data[:3], (5400, 600, 1000), strict=True):
        assert len(part) == 10 * size
        counts = torch.zeros(10, dtype=torch.int64)
        for batch in part.batches(1000):
            assert batch.target is not None
            assert batch.x.min() == 0 and batch.x.max() == 1
            counts += batch.target.bincount(minlength=10)
        assert counts.tolist() == [size] * 10
