from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from snnrun.augmentation import Flip
from snnrun.config.settings import Settings
from snnrun.job.parts import Trial
from snnrun.task import Data, Digits, ImageSet, ImageTask, SequentialDigits, Task
from snnrun.task.scan import scan_of
from support.catalogued import CATALOGUE
from support.refusals import refuses
from support.small import config_for

CPU = torch.device("cpu")
SHAPE = (2, 4, 6)
#: Every value of the image is its own number: channel, row and column in turn.
NUMBERED = torch.arange(2 * 48, dtype=torch.float32).view(2, *SHAPE)


class Numbered(ImageTask):
    """Images whose every pixel has another value; images differ by one."""

    name = "numbered"
    input_shape = SHAPE

    def read(self, data_dir: Path) -> ImageSet:
        images = (torch.arange(48).view(1, *SHAPE) + torch.arange(30).view(-1, 1, 1, 1)).to(torch.uint8)
        return ImageSet(images, torch.arange(30) % 3, 0)


def load(num_steps: int, **options: Any) -> Data:
    return Numbered(**options).load(Path("unused"), num_steps, CPU, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("sequence", "length", "rows", "columns"),
    [("pixel", 24, 1, 1), ("row", 4, 1, 6), ("column", 6, 4, 1), ([2, 3], 4, 2, 3), ([4, 6], 1, 4, 6)],
)
def test_the_blocks_arrive_in_reading_order(sequence: Any, length: int, rows: int, columns: int) -> None:
    scan = scan_of(sequence, None, SHAPE)
    assert scan is not None and scan.length == length and scan.input_shape == (2 * rows * columns,)
    x = scan(NUMBERED)
    assert x.shape == (length, 2, 2 * rows * columns) and x.is_contiguous()
    across = 6 // columns
    for t in range(length):
        top, left = t // across * rows, t % across * columns
        assert torch.equal(x[t], NUMBERED[:, :, top : top + rows, left : left + columns].flatten(1))


def test_a_permuted_pixel_arrives_at_its_step_with_all_its_channels() -> None:
    scan = scan_of("pixel", 7, SHAPE)
    assert scan is not None and scan.permutation is not None
    x, pixels = scan(NUMBERED), NUMBERED.flatten(2)
    for t, place in enumerate(scan.permutation.tolist()):
        assert torch.equal(x[t], pixels[:, :, place])
    assert Counter(x.flatten().tolist()) == Counter(NUMBERED.flatten().tolist())


@pytest.mark.parametrize("sequence", ["none", "pixel", "row", "column", [2, 2]])
def test_a_permutation_has_an_inverse(sequence: Any) -> None:
    scan, plain = scan_of(sequence, 3, SHAPE), scan_of(sequence, None, SHAPE)
    assert scan is not None and scan.permutation is not None
    inverse = scan.permutation.argsort()
    changed = NUMBERED.flatten(2)[:, :, inverse].view_as(NUMBERED)
    expected = NUMBERED.unsqueeze(0) if plain is None else plain(NUMBERED)
    assert torch.equal(scan(changed), expected)
    assert not torch.equal(scan(NUMBERED), expected)


def test_the_permutation_depends_on_its_seed_alone() -> None:
    def order(seed: int) -> list[int]:
        scan = scan_of("pixel", seed, SHAPE)
        assert scan is not None and scan.permutation is not None
        return scan.permutation.tolist()

    torch.manual_seed(1)
    first = order(5)
    torch.manual_seed(2)
    assert order(5) == first != order(6)
    assert scan_of("pixel", 5, SHAPE) == scan_of("pixel", 5, SHAPE) != scan_of("pixel", 6, SHAPE)
    assert sorted(first) == list(range(24))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_sequence_is_the_still_image_in_another_form(shuffle: bool) -> None:
    def batches(data: Data) -> list[Any]:
        generator = torch.Generator().manual_seed(1) if shuffle else None
        return [batch for part in data[:3] for batch in part.batches(4, generator)]

    still, sequences = load(25), load(24, sequence="pixel", permute_seed=0)
    assert still.hashes == sequences.hashes
    scan = scan_of("pixel", 0, SHAPE)
    assert scan is not None
    for one, other in zip(batches(still), batches(sequences), strict=True):
        assert torch.equal(one.target, other.target)
        assert torch.equal(scan(one.x[0]), other.x)


def test_changes_are_made_to_the_image_before_it_is_a_sequence() -> None:
    flip = {"flip": Flip(p=1.0)}
    flipped = load(6, sequence="column", augmentation=flip, split_seed=0).train
    plain = load(6, sequence="column", split_seed=0).train
    pairs = (each.batches(30, torch.Generator().manual_seed(3)) for each in (flipped, plain))
    for one, other in zip(*pairs, strict=True):
        assert torch.equal(one.x, other.x.flip(0))


def test_a_task_of_sequences_declares_time_and_its_length() -> None:
    still, permuted = Digits(), Digits(permute_seed=0)
    assert (still.has_time, still.length, still.input_shape) == (False, None, (1, 8, 8))
    assert (permuted.has_time, permuted.length, permuted.input_shape) == (False, None, (1, 8, 8))
    sequences: Task = SequentialDigits()
    assert sequences.has_time and sequences.length == 64 and sequences.input_shape == (1,)
    assert (Digits.has_time, Digits.input_shape) == (False, (1, 8, 8))


def test_another_number_of_steps_is_refused() -> None:
    with refuses("num_steps", 25):
        load(25, sequence="pixel")


@pytest.mark.parametrize("sequence", ["diagonal", "", 3, None, [2], [1, 2, 3], [3, 3], [2, 4], [5, 6]])
def test_a_scan_that_does_not_cover_the_image_is_refused(sequence: Any) -> None:
    with refuses("sequence", sequence):
        Numbered(sequence=sequence)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", True])
def test_a_seed_that_is_none_is_refused(seed: Any) -> None:
    with refuses("permute_seed", seed):
        Numbered(sequence="pixel", permute_seed=seed)


@pytest.mark.parametrize("task", ["digits", "sequential_digits"])
def test_a_command_with_another_number_of_steps_is_refused_before_it_starts(task: str) -> None:
    words = [f"task={task}", "task.sequence=row", "encoder=none"]
    for steps, expected in ((8, []), (9, ["num_steps"])):
        config = config_for(*words, f"num_steps={steps}")
        trial = Trial(config, config, config, Settings.from_config(config))
        assert [fault.path for fault in trial.run(CATALOGUE)] == expected
