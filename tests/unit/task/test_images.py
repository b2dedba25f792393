from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from snnrun.errors import DataError
from snnrun.task import Data, ImagePart, ImageSet, ImageTask
from support.refusals import fails, refuses

CPU = torch.device("cpu")


class Plain(ImageTask):
    """Images whose every pixel is their own number."""

    name = "plain"
    input_shape = (1, 2, 3)
    white = 200

    def __init__(self, num: int = 100, num_test: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.num, self.num_test = num, num_test

    def read(self, data_dir: Path) -> ImageSet:
        numbers = torch.arange(self.num)
        images = numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, *self.input_shape)
        return ImageSet(images, numbers % 10, self.num_test)


def load(seed: int = 0, **options: Any) -> Data:
    return Plain(**options).load(Path("unused"), 25, CPU, torch.Generator().manual_seed(seed))


def numbers(part: Any, batch_size: int = 8, generator: torch.Generator | None = None) -> list[int]:
    batches = part.batches(batch_size, generator)
    return [round(float(v)) for batch in batches for v in batch.x[0, :, 0, 0, 0] * Plain.white]


def test_a_batch_is_still_time_first_scaled_and_labelled() -> None:
    part = load().train
    for batch in part.batches(16):
        size = len(batch.x[0])
        assert batch.x.shape == (1, size, 1, 2, 3) and batch.x.dtype == torch.float32
        assert batch.target is not None and batch.target.shape == (size,) and batch.target.dtype == torch.int64
        assert torch.equal((batch.x[0, :, 0, 0, 0] * 200).round().long() % 10, batch.target)


def test_white_becomes_exactly_one() -> None:
    images = torch.arange(256).to(torch.uint8).view(256, 1)
    part = ImagePart(images, torch.zeros(256, dtype=torch.int64), torch.arange(256), white=255)
    (batch,) = part.batches(256)
    assert torch.equal(batch.x[0, :, 0], torch.arange(256).div(255))
    assert batch.x.min() == 0 and batch.x.max() == 1


def test_the_last_smaller_batch_is_kept() -> None:
    assert [batch.x.shape[1] for batch in load().train.batches(32)] == [32, 32, 6]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_a_pass_has_every_sample_exactly_once(shuffle: bool, batch_size: int) -> None:
    data = load()
    generator = torch.Generator().manual_seed(0) if shuffle else None
    samples = [number for part in data[:3] for number in numbers(part, batch_size, generator)]
    assert Counter(samples) == Counter(range(100))
    assert [len(part) for part in data[:3]] == [70, 10, 20]


def test_without_a_generator_the_order_is_fixed() -> None:
    part = load().train
    assert numbers(part) == numbers(part) == sorted(numbers(part))


def test_with_a_generator_each_pass_has_an_order_of_its_own_that_the_seed_decides() -> None:
    part, generator, again = load().train, *(torch.Generator().manual_seed(3) for _ in range(2))
    first, second = numbers(part, 8, generator), numbers(part, 8, generator)
    assert first != second and first != sorted(first)
    assert numbers(part, 5, again) == first  # the order does not depend on the batch size


def test_parts_are_stratified_and_follow_split_seed_not_the_run() -> None:
    data, same, other = load(seed=1), load(seed=2), load(seed=1, split_seed=1)
    for part, size in zip(data[:3], (7, 1, 2), strict=True):
        assert Counter(number % 10 for number in numbers(part)) == Counter(dict.fromkeys(range(10), size))
    assert [numbers(part) for part in data[:3]] == [numbers(part) for part in same[:3]]
    assert numbers(data.test) != numbers(other.test)


def test_an_official_test_part_is_the_test_part() -> None:
    data = load(num_test=20, test=None, validation=0.25)
    assert numbers(data.test) == list(range(80, 100))
    assert len(data.validation) == 20 and len(data.train) == 60
    assert sorted(numbers(data.train) + numbers(data.validation)) == list(range(80))


@pytest.mark.parametrize(("num_test", "test", "rest"), [(20, None, 80), (0, 0.2, 80)])
def test_a_run_may_do_without_a_validation_part(num_test: int, test: float | None, rest: int) -> None:
    data = load(num_test=num_test, test=test, validation=0)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [rest, 0, 20]
    assert not list(data.validation.batches(4))
    assert not Plain(validation=0).has_validation and Plain().has_validation


def test_parts_share_one_tensor() -> None:
    train, validation, test = load()[:3]
    assert isinstance(train, ImagePart) and isinstance(validation, ImagePart) and isinstance(test, ImagePart)
    assert train.images is validation.images is test.images
    assert train.images.dtype == torch.uint8


def test_the_hash_is_that_of_the_raw_bytes() -> None:
    content = bytes(n for n in range(100) for _ in range(6)) + bytes(n % 10 for n in range(100))
    assert load().hashes == {"plain": hashlib.sha256(content).hexdigest()}


class CountCalls(TorchFunctionMode):
    calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_the_work_of_a_pass_grows_with_the_batches_not_with_the_samples() -> None:
    calls = []
    for num in (100, 200):
        part = load(num=num).train
        with CountCalls() as counter:
            assert len(list(part.batches(num // 10, torch.Generator()))) == 7
        calls.append(counter.calls)
    assert calls[0] == calls[1] > 0


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"validation": -0.1}, ("validation", -0.1, "at least 0 and below 1")),
        ({"validation": 1.0}, ("validation", 1.0, "at least 0 and below 1")),
        ({"validation": "0.1"}, ("validation", "0.1", "at least 0 and below 1")),
        ({"test": -0.1}, ("test", -0.1, "above 0 and below 1")),
        ({"split_seed": -1}, ("split_seed", -1, "whole number of at least 0")),
        ({"split_seed": 0.5}, ("split_seed", 0.5, "whole number of at least 0")),
        ({"validation": 0.5, "test": 0.5}, ("validation, test", (0.5, 0.5), "below 1")),
    ],
)
def test_options_are_checked(options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal):
        Plain(**options)


def test_too_few_images_are_a_data_error() -> None:
    with fails(DataError, "plain: ", "class 0 has 2 samples", "3 parts", "smaller shares"):
        load(num=20)
