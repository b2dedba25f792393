"""Augmentations: what torchvision's functions make of the same parameters, and what every one of them promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as F
from torch import Generator, Tensor
from torchvision.transforms import InterpolationMode

from snnrun.augmentation import Affine, Augmentation, Crop, Erase, Flip, augment
from snnrun.job.job import Job
from snnrun.job.parts import parts_of
from snnrun.run.execute import execute
from snnrun.task import Digits, ImagePart
from snnrun.training.records import LogRecord, StepRecord
from snnrun.training.stop import Pruned
from support.catalogued import options, part
from support.refusals import refuses
from support.small import config_for, training

#: Of images; test_sequence.py has the others.
ALL = {name: each for name in options("augmentation") if isinstance(each := part("augmentation", name), Augmentation)}
EVERY = pytest.mark.parametrize("name", ALL)


def images(count: int = 6, channels: int = 3, height: int = 9, width: int = 12) -> Tensor:
    return torch.rand(count, channels, height, width, generator=Generator().manual_seed(0))


def draws(augmentation: Augmentation, count: int = 6, seed: int = 1) -> Tensor:
    generator = Generator().manual_seed(seed)
    return torch.rand(count, augmentation.num_draws, dtype=torch.float64, generator=generator)


# --- torchvision's functions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [1, 4, 20])
def test_crop(padding: int) -> None:
    x, places = images(25), 2 * padding + 1
    numbers = draws(Crop(), 25)
    numbers[:2] = torch.tensor([[0.0, 0.0], [1 - 2**-53, 1 - 2**-53]])  # the corners
    crops = Crop(padding).apply(x, numbers)
    for image, one, (top, start) in zip(x, crops, (numbers * places).floor().int().tolist(), strict=True):
        assert torch.equal(one, F.crop(F.pad(image, [padding]), min(top, places - 1), min(start, places - 1), 9, 12))


def test_flip() -> None:
    x, numbers = images(40), draws(Flip(), 40)
    for p in (0.0, 0.3, 1.0):
        flips = Flip(p).apply(x, numbers)
        expected = [F.horizontal_flip(image) if u < p else image for image, u in zip(x, numbers[:, 0], strict=True)]
        assert torch.equal(flips, torch.stack(expected))
    assert 0 < int((numbers < 0.3).sum()) < 40


@pytest.mark.parametrize("size", [1, 4, 7, 30])
def test_erase(size: int) -> None:
    x, numbers = images(25), draws(Erase(), 25)
    images_with_holes = Erase(size).apply(x, numbers)
    for image, one, (u, v) in zip(x, images_with_holes, numbers.tolist(), strict=True):
        (top, bottom), (start, end) = (
            (max(0, centre - size // 2), min(length, centre - size // 2 + size))
            for centre, length in ((int(9 * u), 9), (int(12 * v), 12))
        )
        assert torch.equal(one, F.erase(image, top, start, bottom - top, end - start, torch.zeros(3, 1, 1)))


@pytest.mark.parametrize(
    "affine",
    [Affine(), Affine(90, 0, 0), Affine(0, 0.5, 0), Affine(0, 0, 0.5), Affine(180, 0.3, 0.4), Affine(0, 0, 0)],
    ids=str,
)
@pytest.mark.parametrize(("height", "width"), [(9, 12), (12, 9), (10, 10)])
def test_affine(affine: Affine, height: int, width: int) -> None:
    x, numbers = images(10, 1, height, width), draws(affine, 10)
    transforms = affine.apply(x, numbers)
    for image, one, (turn, size, right, down) in zip(x, transforms, (2 * numbers - 1).tolist(), strict=True):
        expected = F.affine(
            image,
            angle=turn * affine.degrees,
            translate=[right * affine.translate * width, down * affine.translate * height],
            scale=1 + size * affine.scale,
            shear=[0.0, 0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(one, expected, rtol=0, atol=2e-5)


# --- every one -----------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_images_and_the_input_as_it_was(name: str, channels: int) -> None:
    augmentation: Augmentation = part("augmentation", name)
    x = images(50, channels).round(decimals=1)
    before, numbers = x.clone(), draws(augmentation, 50)
    output = augmentation.apply(x, numbers)
    assert output.shape == x.shape and output.dtype == x.dtype
    assert output.is_contiguous()
    assert 0 <= output.min() <= output.max() <= 1
    assert torch.equal(x, before)
    assert not torch.equal(output, x)
    assert torch.equal(output, augmentation.apply(x, numbers))


@EVERY
def test_a_sample_depends_on_its_own_numbers_alone(name: str) -> None:
    augmentation: Augmentation = part("augmentation", name)
    x, numbers = images(8), draws(augmentation, 8)
    whole = augmentation.apply(x, numbers)
    for i in range(8):
        assert torch.equal(augmentation.apply(x[i : i + 1], numbers[i : i + 1]), whole[i : i + 1])


@pytest.mark.parametrize(
    ("kind", "arguments", "refusal"),
    [
        (Crop, (0,), ("padding", 0, "whole number of at least 1")),
        (Flip, (1.5,), ("p", 1.5, "at least 0 and at most 1")),
        (Erase, (2.5,), ("size", 2.5, "whole number of at least 1")),
        (Affine, (181,), ("degrees", 181, "at least 0 and at most 180")),
        (Affine, (0, 1), ("translate", 1, "at least 0 and below 1")),
        (Affine, (0, 0, -1), ("scale", -1, "at least 0 and below 1")),
    ],
)
def test_arguments_are_checked(kind: Any, arguments: tuple[Any, ...], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal):
        kind(*arguments)


# --- in a task -----------------------------------------------------------------------------------------------------


def passes(batch_size: int, seed: int = 0, **options: Any) -> tuple[list[Tensor], ImagePart]:
    """The training images of two shuffled passes, one sample after the other."""
    data = Digits(**options).load(Path("unused"), 25, torch.device("cpu"), Generator().manual_seed(seed))
    order, train = Generator().manual_seed(5), data.train
    assert isinstance(train, ImagePart)
    return [torch.cat([batch.x[0] for batch in train.batches(batch_size, order)]) for _ in range(2)], train


def test_images_are_augmented_one_after_the_other_from_a_stream_of_their_own() -> None:
    (first, second), train = passes(100, augmentation=ALL)
    (plain, plain_second), _ = passes(100)
    assert not torch.equal(first, second)
    # The same order of the images as without, and draws that belong to the sample, not to the batch.
    stream = Generator().manual_seed(int(torch.randint(0, 2**63 - 1, (), generator=Generator().manual_seed(0))))
    assert torch.equal(first, augment(plain, list(ALL.values()), stream))
    assert torch.equal(second, augment(plain_second, list(ALL.values()), stream))
    assert torch.equal(passes(7, augmentation=ALL)[0][1], second)
    assert not torch.equal(passes(100, seed=1, augmentation=ALL)[0][0], first)
    # A pass in fixed order is for looking at the data.
    (batch,) = train.batches(10_000)
    assert torch.equal(batch.x[0], train.images[train.indices].float() / 16)


def test_their_order_is_that_of_the_command() -> None:
    task: Any = parts_of(config_for("augmentation=[flip,crop]", "task.augmentation.crop.padding=2")).task
    assert list(task.augmentation.items()) == [("flip", Flip()), ("crop", Crop(2))]
    task = parts_of(config_for("task=fashion_mnist", "augmentation=[crop,flip]")).task
    assert list(task.augmentation.items()) == [("crop", Crop()), ("flip", Flip())]
    with refuses("augmentation", {"flip": 1}):
        Digits(augmentation={"flip": 1})  # type: ignore[dict-item]


def test_validation_and_test_are_untouched() -> None:
    plain, randomised = (training(*words).data for words in ((), ("augmentation=[affine,crop,erase,flip]",)))
    for one, other in ((plain.validation, randomised.validation), (plain.test, randomised.test)):
        for generator in (None, 0):
            orders = [None if generator is None else Generator().manual_seed(generator) for _ in range(2)]
            pairs = zip(one.batches(50, orders[0]), other.batches(50, orders[1]), strict=True)
            assert all(torch.equal(a.x, b.x) for a, b in pairs)
    pairs = zip(*(data.train.batches(50, Generator().manual_seed(0)) for data in (plain, randomised)), strict=True)
    assert all(not torch.equal(a.x, b.x) for a, b in pairs)
    assert plain.hashes == randomised.hashes


@pytest.mark.long
def test_a_resumed_run_goes_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    words = ("augmentation=[crop,affine]", "epochs=2", "batch_size=300", "num_steps=4", "model.hidden=[12]")
    config = config_for(*words, "checkpoint.every_steps=1", "report.figures=false", "report.summary=false")

    def go(name: str, watch: Any = lambda record: None, resume: bool = False) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return execute(Job.of(config, folder=folder, command=["x"], resuming=resume), watch=watch)

    def stop(record: LogRecord) -> None:
        if record.step == 8 and isinstance(record, StepRecord):
            raise Pruned("enough")

    whole = go("whole")
    with pytest.raises(Pruned):
        go("broken", stop)
    assert [path.name for path in sorted((tmp_path / "broken" / "checkpoints").glob("step-*"))][-1].endswith(
        "07.safetensors"
    )
    assert go("broken", resume=True).weights_sha256 == whole.weights_sha256
