"""Where the samples of a task are, and their way to the device of the batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.augmentation import (
    Affine,
    Crop,
    CutMix,
    DropChannels,
    DropEvents,
    Erase,
    Flip,
    JitterTime,
    SequenceAugmentation,
    ShiftChannels,
    ShiftTime,
)
from snnrun.task import (
    ArrayPart,
    Arrays,
    Batch,
    Data,
    MovingBars,
    SpokenTones,
    Task,
    Zeros,
    arrays,
    frame_store,
    images,
    noise,
)
from snnrun.task.digits import Digits
from snnrun.task.frame_store import FrameStore
from support.device import META, no_waiting

CPU = torch.device("cpu")
MODULES = (arrays, frame_store, images)


def place(monkeypatch: pytest.MonkeyPatch, *, fit: bool) -> None:
    """Let samples fit on the device, or not."""
    for module in MODULES:
        monkeypatch.setattr(module, "fits", lambda size, device: fit)


def load(task: Task, device: torch.device) -> Data:
    return task.load(Path("nowhere"), 5, device, torch.Generator().manual_seed(0))


def array_task(folder: Path, dtype: str, *, time: bool = False) -> Arrays:
    generator = np.random.default_rng(0)
    shape = (60, 5, 6) if time else (60, 6)
    values = generator.integers(0, 200, shape) if dtype != "<f4" else generator.random(shape)
    path = folder / f"{dtype[1:]}.npz"
    np.savez(path, inputs=values.astype(dtype), targets=np.arange(60) % 3)
    return Arrays(path=str(path), time=time, limits=(0, 200), num_steps=5)


SEQUENCES: dict[str, SequenceAugmentation] = {
    "time": ShiftTime(),
    "channels": ShiftChannels(),
    "events": DropEvents(),
    "broken": DropChannels(),
    "jitter": JitterTime(),
    "mix": CutMix(),
}


def tasks(folder: Path) -> dict[str, Task]:
    return {
        "images": Digits(augmentation={"a": Affine(), "c": Crop(), "e": Erase(size=2), "f": Flip()}),
        "bytes": array_task(folder, "|u1"),
        "floats": array_task(folder, "<f4"),
        "sequences": array_task(folder, ">i2", time=True),
        "bars": MovingBars(noise=0.01),
        "tones": SpokenTones(noise=0.01),
        "changed": SpokenTones(noise=0.01, augmentation=SEQUENCES),
        "bits": Zeros(size_input=4, size_output=4, batch_size=3),
    }


NAMES = ("images", "bytes", "floats", "sequences", "bars", "tones", "changed", "bits")


@pytest.mark.parametrize("fit", [True, False], ids=["on the device", "copied"])
@pytest.mark.parametrize("name", NAMES)
def test_batches_are_on_the_device_and_nothing_waits(
    name: str, fit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(monkeypatch, fit=fit)
    task = tasks(tmp_path)[name]
    data, expected = load(task, META), load(task, CPU)
    if name in ("images", "bytes", "floats", "sequences"):
        assert data.place == ("meta" if fit else "cpu")
    next(data.train.batches(7, torch.Generator()))  # copies constants
    passes = data.train.batches(7, torch.Generator())
    with no_waiting(uploads=True):
        batch = next(passes)
    like = next(expected.train.batches(7, torch.Generator()))
    assert batch.x.device == META
    assert (batch.x.shape, batch.x.dtype) == (like.x.shape, like.x.dtype)
    if like.target is not None:
        assert batch.target is not None
        assert (batch.target.device, batch.target.shape, batch.target.dtype) == (META, like.target.shape, torch.int64)


@pytest.mark.parametrize("name", ["bytes", "floats", "sequences"])
def test_stored_arrays_give_the_same_batches(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = tasks(tmp_path)[name]
    expected = load(task, CPU)
    stored: list[Any] = []

    def on_device(inputs: np.ndarray, device: torch.device) -> torch.Tensor:
        stored.append(copy(inputs, CPU))
        return stored[-1]

    copy = arrays._on_device
    monkeypatch.setattr(arrays, "_CHUNK", 100)  # several pieces
    monkeypatch.setattr(arrays, "_on_device", on_device)
    place(monkeypatch, fit=True)
    data = load(task, META)
    assert [each.dtype for each in stored] == [torch.uint8 if name == "bytes" else torch.float32]
    for part, other in zip(data[:3], expected[:3], strict=True):
        assert isinstance(part, ArrayPart) and isinstance(other, ArrayPart)
        part.targets = other.targets
        for one, two in zip(part.batches(9), other.batches(9), strict=True):
            assert same(one, two)


def same(one: Batch, two: Batch) -> bool:
    return torch.equal(one.x, two.x) and one.target is not None and torch.equal(one.target, two.target)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [300, 60_000, 200_000])
@pytest.mark.parametrize("most", [1, 200, 60_000, 3_000_000_000])
def test_stored_frames_are_the_frames(size: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    recordings, num_steps, cells = 6, 4, 3
    kind = "<u2" if size <= 1 << 16 else "<u4"
    lengths = generator.integers(0, cells, recordings * num_steps)
    ends = np.cumsum(lengths).reshape(recordings, num_steps)
    bounds = np.concatenate([np.concatenate([[0], ends[:-1, -1]])[:, None], ends], 1)
    where = [generator.choice(size, length, replace=False) for length in lengths]
    content = {
        "cells": np.concatenate(where).astype(kind),
        "bounds": bounds.astype("<i8"),
        "labels": np.zeros(recordings, "<i8"),
        "parts": np.zeros(recordings, "<u1"),
    }
    content["cells"][-1:] = size - 1
    if most > 1:
        counts = generator.integers(1, most, len(content["cells"]), endpoint=True)
        counts[0] = most
        content["counts"] = counts.astype("|u1" if most < 256 else "<u2" if most < 1 << 16 else "<u4")
    for array in content.values():
        array.flags.writeable = False  # as a map of a file is
    store, chosen = FrameStore(content, size, ""), torch.tensor([4, 0, 5, 1])
    expected = store.dense(chosen, CPU)
    place(monkeypatch, fit=True)
    assert store.store(CPU) == CPU
    assert store._stored is not None
    assert torch.equal(store.dense(chosen, CPU), expected)
    assert expected.any()
    store.store(META)
    with no_waiting(uploads=True):
        assert store.dense(chosen, META).shape == expected.shape


def test_frames_that_do_not_fit_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    content = {
        "cells": np.zeros(1, "<u2"),
        "bounds": np.array([[0, 1]], "<i8"),
        "labels": np.zeros(1, "<i8"),
        "parts": np.zeros(1, "<u1"),
    }
    store = FrameStore(content, 3, "")
    place(monkeypatch, fit=False)
    assert store.store(META) == CPU
    assert store.dense(torch.tensor([0]), META).device == META


def test_noise_sets_only_the_places_that_count() -> None:
    events = torch.zeros(3, 2, 5)
    events[0, 0, 0] = 1
    places = torch.tensor([[0.0, 0.5, 0.99], [0.3, 0.3, 0.6]])
    noise.add_noise(events, torch.tensor([0.0, 0.97]), places, 0.5)  # none, and two
    assert events.nonzero().tolist() == [[0, 0, 0], [0, 1, 4]]
