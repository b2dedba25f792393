"""A folder of images: what is made of it, and what is said of a folder that is not as it should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from snnrun.errors import DataError
from snnrun.task import Data, Folder, ImagePart
from support.refusals import fails, refuses
from support.written import cyclic, random_pixels, write_folder

CPU = torch.device("cpu")


def task(root: Path, **options: Any) -> Folder:
    return Folder(path="own", data_dir=str(root), **options)


def load(root: Path, **options: Any) -> Data:
    return task(root, **options).load(Path("unused"), 25, CPU, torch.Generator())


def save(path: Path, pixels: np.ndarray | None = None, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((6, 9), np.uint8) if pixels is None else pixels).save(path, **options)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_that_is_split(tmp_path: Path, channels: int) -> None:
    images, labels = random_pixels(40, channels, 6, 9), cyclic(40, 4)
    write_folder(tmp_path / "own", images, labels)
    folder, data = task(tmp_path), load(tmp_path)
    assert (folder.input_shape, folder.num_outputs) == ((channels, 6, 9), 4)
    assert folder.classes == ("0", "1", "2", "3")
    assert [len(part) for part in data[:3]] == [28, 4, 8]
    assert isinstance(data.train, ImagePart)
    order = labels.argsort(stable=True)  # a class after the other
    assert torch.equal(data.train.images, images[order])
    assert torch.equal(data.train.labels, labels[order])
    assert list(data.hashes) == ["folder"]


def test_it_is_what_torchvision_reads(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", random_pixels(30, 3, 6, 9), cyclic(30, 3))
    theirs = torchvision.datasets.ImageFolder(tmp_path / "own")
    ours = load(tmp_path).train
    assert isinstance(ours, ImagePart)
    assert ours.labels.tolist() == theirs.targets
    assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), np.stack([np.asarray(x) for x, _ in theirs]))


def test_train_and_test_folders(tmp_path: Path) -> None:
    images, labels = random_pixels(50, 1, 6, 9), cyclic(50, 5)
    write_folder(tmp_path / "own" / "train", images[:40], labels[:40])
    write_folder(tmp_path / "own" / "test", images[40:], labels[40:])
    data = load(tmp_path, validation=0.25)
    assert [len(part) for part in data[:3]] == [30, 10, 10]
    (test,) = data.test.batches(100)
    order = labels[40:].argsort(stable=True)
    assert torch.equal(test.x[0], images[40:][order].float() / 255)


def test_classes_are_in_order_of_their_names_or_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "007"):
        save(tmp_path / "own" / name / "a.png")
    assert task(tmp_path).classes == ("007", "9", "10")
    save(tmp_path / "own" / "cat" / "a.png")
    assert task(tmp_path).classes == ("007", "10", "9", "cat")


def test_what_is_hidden_or_no_image_is_passed_over(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", random_pixels(20, 1, 6, 9), cyclic(20, 2))
    plain = load(tmp_path).hashes
    for name in (".cache/a.png", "0/.DS_Store", "0/.hidden.png", "0/notes.txt", "0/deeper/a.png", "README"):
        save(tmp_path / "own" / f"{name}.png")
        (tmp_path / "own" / f"{name}.png").rename(tmp_path / "own" / name)
    assert load(tmp_path).hashes == plain


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".pgm", ".tif", ".gif", ".webp", ".JPG"])
def test_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    for label in range(2):
        for i in range(4):
            save(tmp_path / "own" / str(label) / f"{i}{suffix}", np.full((6, 9), 40 * i, np.uint8), **options)
    part = load(tmp_path, channels=1).train
    assert isinstance(part, ImagePart)
    assert (part.images.int().flatten(1) - torch.tensor([0, 40, 80, 120] * 2)[:, None]).abs().max() <= 1


def test_images_are_resized_and_turned_to_grey_or_colour_by_their_options(tmp_path: Path) -> None:
    for label in range(2):
        for i, shape in enumerate([(6, 9), (12, 9), (6, 9, 3), (6, 9, 4)]):
            save(tmp_path / "own" / str(label) / f"{i}.png", np.full(shape, 100, np.uint8))
    folder = task(tmp_path, size=[4, 5], channels=3)
    assert folder.input_shape == (3, 4, 5)
    part = load(tmp_path, size=[4, 5], channels=3).train
    assert isinstance(part, ImagePart)
    assert part.images.shape == (8, 3, 4, 5)
    assert (part.images == 100).all()
    assert task(tmp_path, size=7, channels=1).input_shape == (1, 7, 7)


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it as it was
    for label in range(2):
        for i in range(3):
            save(tmp_path / "own" / str(label) / f"{i}.jpg", exif=exif)
    assert task(tmp_path).input_shape == (1, 9, 6)
    assert len(load(tmp_path).train) == 2


def fault(root: Path, path: str, **options: Any) -> str:
    """The error over a folder of four images in each of two classes, one of which is not as it should be."""
    with pytest.raises(DataError) as error:
        load(root, **options)
    message = str(error.value)
    place = root / "own" / path if path else root / "own"
    assert message.startswith(f"folder: {place}: ")
    return message.removeprefix(f"folder: {place}: ")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    write_folder(tmp_path / "own", random_pixels(8, 1, 6, 9), cyclic(8, 2))
    return tmp_path


def test_an_image_of_another_size_or_kind_is_named(two: Path) -> None:
    first, path = two / "own" / "0" / "0000.png", two / "own" / "1" / "0003.png"
    save(path, np.zeros((9, 6), np.uint8))
    assert fault(two, "1/0003.png") == (
        f"expected 6 x 9 pixels (height x width), as {first} has, got 9 x 6; task.size=[6,9] resizes all"
    )
    save(path, np.zeros((6, 9, 3), np.uint8))
    assert fault(two, "1/0003.png") == (
        f"expected grey, as {first} is, got colour; task.channels=1 makes all grey, 3 colour"
    )
    save(path, np.zeros((6, 9), np.uint16))
    assert fault(two, "1/0003.png") == "expected an image of 8 bits, got Pillow's mode I;16; convert it"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:50],
        lambda content: content[:-30],
        lambda content: b"<html>",
        lambda content: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 6\n",
    ],
    ids=["empty", "header", "cut", "web page", "a program in PostScript"],
)
def test_a_damaged_image_is_named(two: Path, damage: Callable[[bytes], bytes]) -> None:
    path = two / "own" / "1" / "0003.png"
    path.write_bytes(damage(path.read_bytes()))
    assert fault(two, "1/0003.png").startswith("not an image that can be read: ")


def test_an_image_that_would_fill_the_memory_is_refused(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert "not an image that can be read: Image size (54 pixels) exceeds limit" in fault(two, "0/0000.png")


def test_too_few_classes_or_images(two: Path) -> None:
    (two / "own" / "2").mkdir()
    assert fault(two, "2").startswith("expected images (.png, .jpg, ")
    for i in range(2):
        save(two / "own" / "2" / f"{i}.png")
    expected = "expected at least 3 images, one for each part (training, validation, test), got 2"
    assert fault(two, "2") == expected
    assert len(load(two, validation=0, test=0.3).validation) == 0
    for path in [*(two / "own" / "0").iterdir(), *(two / "own" / "2").iterdir()]:
        path.unlink()
    for name in ("0", "2"):
        (two / "own" / name).rmdir()
    assert fault(two, "") == "expected a sub-folder of images for each of at least 2 classes, got only 1"


def test_images_without_classes(tmp_path: Path) -> None:
    save(tmp_path / "own" / "a.png")
    assert fault(tmp_path, "").endswith("got none, but images that belong to no class")


def test_train_and_test_must_have_the_same_classes_and_no_folder_beside_them(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_folder(tmp_path / "own" / part, random_pixels(8, 1, 6, 9), cyclic(8, 2))
    save(tmp_path / "own" / "test" / "cat" / "a.png")
    assert fault(tmp_path, "") == "expected the same classes in train and test, but cat is in test"
    (tmp_path / "own" / "val").mkdir()
    assert fault(tmp_path, "").startswith(
        "expected train and test alone, or a sub-folder for each class, got val beside train and test"
    )
    # With val alone, train would be a class that has no images.
    (tmp_path / "own" / "test").rename(tmp_path / "elsewhere")
    assert fault(tmp_path, "train").startswith("expected images (")


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as error:
        Folder(path="own", data_dir="data")
    assert str(error.value) == "folder: there is no data/own; a relative task.path starts in data_dir, which is data"
    save(tmp_path / "own" / "0" / "a.png")
    with pytest.raises(DataError) as error:
        Folder(path="own", data_dir="data")
    assert str(error.value).endswith(
        f"There is own in the working directory: set task.path={tmp_path / 'own'} or data_dir=."
    )
    with fails(DataError, "folder: ", "a.png: ", "Not a directory"):
        Folder(path="own/0/a.png", data_dir=".")
    with fails(DataError, "folder: ", "task.path"):
        Folder().load(tmp_path, 25, CPU, torch.Generator())


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"path": 3}, ("path", 3, "data_dir")),
        ({"size": 0}, ("size", 0, "whole number of at least 1")),
        ({"size": [4]}, ("size", [4], "[height, width]", "one number", "null")),
        ({"size": "4x4"}, ("size", "4x4", "[height, width]", "one number", "null")),
        ({"channels": 2}, ("channels", 2, "1 (grey)", "3 (colour)")),
        ({"validation": 0.5, "test": 0.5}, ("validation, test", (0.5, 0.5), "below 1")),
    ],
)
def test_options_are_checked(options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal):
        Folder(**options)
