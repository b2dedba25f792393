"""Augmentations of sequences: what each does to a sample, and what every one of them promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from snnrun.augmentation import (
    CutMix,
    DropChannels,
    DropEvents,
    Flip,
    JitterTime,
    SequenceAugmentation,
    ShiftChannels,
    ShiftTime,
    augment_sequences,
)
from snnrun.cli import main
from snnrun.run.compare import compare
from snnrun.task import FSDD, SHD, UCR, Arrays, MovingBars, Part, SpokenTones, Task
from support.catalogued import options, part
from support.refusals import refuses
from support.written import digit_files, ts_header, ts_lines, write_digits, write_ts

CPU = torch.device("cpu")
T, B = 9, 8
LENGTHS = torch.tensor([9, 1, 5, 9, 7, 3, 2, 8])
EVERY = {
    name: each
    for name in options("augmentation")
    if isinstance(each := part("augmentation", name), SequenceAugmentation)
}
NAMES = pytest.mark.parametrize("name", EVERY)


def sequences(*shape: int, batch: int = B) -> Tensor:
    """Numbers of events, 0 after the end of each sample."""
    x = torch.randint(0, 3, (T, batch, *shape), generator=Generator().manual_seed(0)).float()
    return x * inside(batch).view(T, batch, *[1] * len(shape))


def inside(batch: int = B) -> Tensor:
    return torch.arange(T)[:, None] < LENGTHS.repeat(batch // B)


def augment(augmentation: SequenceAugmentation, x: Tensor, seed: int = 1, lengths: Tensor | None = LENGTHS) -> Tensor:
    return augment_sequences(x, lengths, [augmentation], Generator().manual_seed(seed))


def moved(sample: Tensor, d: int, axis: int) -> Tensor:
    """Shifted by d along an axis, with 0 where nothing comes from."""
    rows = np.moveaxis(sample.numpy(), axis, 0)
    return torch.from_numpy(np.stack([_at(rows, i - d) for i in range(len(rows))], axis))


def _at(rows: Any, i: int) -> Any:
    return rows[i] if 0 <= i < len(rows) else np.zeros_like(rows[0])


# --- one by one --------------------------------------------------------------------------------------------------


def test_a_shift_in_time_stays_within_the_sample() -> None:
    x = sequences(4)
    y, seen = augment(ShiftTime(3), x), set()
    for n, length in enumerate(LENGTHS.tolist()):
        shifts = [d for d in range(-3, 4) if torch.equal(y[:length, n], moved(x[:length, n], d, 0))]
        assert shifts, n
        seen.add(shifts[0])
    assert len(seen) > 2


@pytest.mark.parametrize("shape", [(6,), (2, 3, 5)])
def test_a_shift_of_channels_is_along_the_last_axis(shape: tuple[int, ...]) -> None:
    x = sequences(*shape)
    y, seen = augment(ShiftChannels(2), x), set()
    for n in range(B):
        shifts = [d for d in range(-2, 3) if torch.equal(y[:, n], moved(x[:, n], d, len(shape)))]
        assert shifts, n
        seen.add(shifts[0])
    assert len(seen) > 2


def test_events_are_dropped_one_by_one_and_channels_as_a_whole() -> None:
    x = torch.ones(T, B, 2, 50)
    events, channels = augment(DropEvents(0.3), x, lengths=None), augment(DropChannels(0.3), x, lengths=None)
    assert set(events.unique().tolist()) == set(channels.unique().tolist()) == {0, 1}
    # A standard deviation is 0.5 % of the 7,200 events, and 1.6 % of the 800 channels.
    assert events.mean().item() == pytest.approx(0.7, abs=0.03)
    assert channels.mean().item() == pytest.approx(0.7, abs=0.08)
    assert torch.equal(channels, channels[:1].expand_as(x))
    assert not torch.equal(events, events[:1].expand_as(x))
    assert not torch.equal(channels[:, 0], channels[:, 1])


def test_jitter_keeps_every_event_and_moves_it_by_a_few_steps() -> None:
    x = sequences(5)
    y = augment(JitterTime(2), x)
    assert torch.equal(y.sum(0), x.sum(0)) and not torch.equal(x, y)
    # By the definition, event by event.
    draws = torch.rand(B, T * 5, generator=Generator().manual_seed(1)).view(B, T, 5)
    expected = torch.zeros_like(x)
    for n, t, c in np.ndindex(B, T, 5):
        d = int(draws[n, t, c] * 5) - 2
        expected[min(max(t + d, 0), int(LENGTHS[n]) - 1), n, c] += x[t, n, c]
    assert torch.equal(y, expected)
    assert torch.equal(augment(JitterTime(50), x).sum(0), x.sum(0))


def test_a_piece_of_another_sample_takes_its_place() -> None:
    batch = 10 * B
    x = torch.arange(batch).float()[None, :, None].expand(T, batch, 3) + 1
    lengths = LENGTHS.repeat(10)
    x = x * inside(batch)[:, :, None]
    y = augment(CutMix(1.0, 0.5), x, lengths=lengths)
    changed = (y != x).any(2)
    assert changed.any(0).float().mean() > 0.3
    for n, length in enumerate(lengths.tolist()):
        steps = changed[:, n].nonzero().flatten()
        assert len(steps) <= length / 2 and not y[length:, n].any()
        if len(steps):
            values = y[steps, n]
            others = set(values[values > 0].tolist())
            assert int(steps[-1]) < length and len(others) <= 1
    assert torch.equal(augment(CutMix(0.0), x, lengths=lengths), x)


@pytest.mark.parametrize(
    ("kind", "arguments", "refusal"),
    [
        (ShiftTime, (0,), ("steps", 0)),
        (ShiftChannels, (-1,), ("channels", -1)),
        (DropEvents, (1.0,), ("p", 1.0)),
        (DropChannels, (-0.1,), ("p", -0.1)),
        (JitterTime, (1.5,), ("steps", 1.5)),
        (CutMix, (0.5, 0.6), ("longest", 0.6)),
        (CutMix, (2.0,), ("p", 2.0)),
    ],
)
def test_arguments_are_checked(kind: Any, arguments: tuple[Any, ...], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal):
        kind(*arguments)


# --- every one ---------------------------------------------------------------------------------------------------


@NAMES
@pytest.mark.parametrize("shape", [(6,), (2, 4, 4)])
def test_shape_type_end_and_input_stay(name: str, shape: tuple[int, ...]) -> None:
    x, lengths = sequences(*shape, batch=5 * B), LENGTHS.repeat(5)
    before = x.clone()
    y = augment(EVERY[name], x, lengths=lengths)
    assert (y.shape, y.dtype) == (x.shape, x.dtype) and torch.equal(x, before)
    assert not y[~inside(5 * B)].any() and not torch.equal(x, y)
    assert torch.equal(y, augment(EVERY[name], x, lengths=lengths))
    assert not torch.equal(y, augment(EVERY[name], x, seed=2, lengths=lengths))


@NAMES
def test_a_sample_is_changed_alike_in_every_batch(name: str) -> None:
    if name == "cut_mix":
        pytest.skip("it takes the other sample from the batch")
    x, generator = sequences(6), Generator().manual_seed(1)
    pieces = zip(x.split(3, dim=1), LENGTHS.split(3), strict=True)
    y = torch.cat([augment_sequences(one, some, [EVERY[name]], generator) for one, some in pieces], dim=1)
    assert torch.equal(y, augment(EVERY[name], x))


# --- in tasks ----------------------------------------------------------------------------------------------------


def tasks(folder: Path) -> dict[str, Any]:
    """A task of each kind, as a function of its augmentation."""
    write_digits(folder, digit_files(7))
    write_ts(folder, "own", ts_lines(30, 3, "abcd"), ts_lines(12, 3, "abcd", 1), ts_header(3, "abcd"))
    write_ts(folder / "ucr", "own", ts_lines(40, 3, "abcd"), ts_lines(12, 3, "abcd", 1), ts_header(3, "abcd"))
    values = np.random.default_rng(0).random((40, T, 6))
    np.savez(folder / "own.npz", inputs=values, targets=np.arange(40) % 2)
    return {
        "fsdd": FSDD,
        "ucr": lambda **more: UCR(dataset="own", data_dir=str(folder), **more),
        "tones": lambda **more: SpokenTones(train_samples=20, validation_samples=4, test_samples=4, **more),
        "bars": lambda **more: MovingBars(train_samples=20, validation_samples=4, test_samples=4, **more),
        "arrays": lambda **more: Arrays(path=str(folder / "own.npz"), time=True, num_steps=T, **more),
    }


def load(task: Task, folder: Path) -> Any:
    return task.load(folder, T, CPU, Generator().manual_seed(3))


def epoch(part: Part, batch_size: int = 8) -> Tensor:
    return torch.cat([batch.x for batch in part.batches(batch_size, Generator().manual_seed(5))], dim=1)


@pytest.mark.parametrize("name", ["fsdd", "ucr", "tones", "bars", "arrays"])
def test_training_samples_are_changed_from_a_stream_of_their_own(name: str, tmp_path: Path) -> None:
    task = tasks(tmp_path)[name]
    plain, data = load(task(), tmp_path), load(task(augmentation=EVERY), tmp_path)
    again = load(task(augmentation=EVERY), tmp_path)
    assert plain.hashes == data.hashes
    for one, other in ((plain.validation, data.validation), (plain.test, data.test)):
        assert torch.equal(epoch(one), epoch(other))
    stream = data.train.stream
    begin = stream.get_state()
    first, second = epoch(data.train), epoch(data.train)
    assert torch.equal(first, epoch(again.train)) and not torch.equal(first, second)
    assert not torch.equal(first, epoch(plain.train))
    stream.set_state(begin)  # as a run does that is resumed
    assert torch.equal(first, epoch(data.train)) and torch.equal(second, epoch(data.train))
    # Samples and order are the same as without: a change that changes nothing shows them.
    still = load(task(augmentation={"mix": CutMix(0.0)}), tmp_path)
    plain = load(task(), tmp_path)
    assert all(torch.equal(epoch(still.train), epoch(plain.train)) for _ in range(2))


def test_tasks_refuse_what_does_not_suit_them(tmp_path: Path) -> None:
    with refuses("augmentation", {"flip": Flip()}, "shift_time"):
        SHD(augmentation={"flip": Flip()})  # type: ignore[dict-item]
    with refuses("augmentation", ["shift"], "without a time axis"):
        Arrays(augmentation={"shift": ShiftTime()})
    with refuses("augmentation", ["shift"], "target for each step"):
        Arrays(time=True, steps=True, augmentation={"shift": ShiftTime()})


@pytest.mark.parametrize("task", ["spoken_tones", "ucr"])
def test_a_resumed_run_sees_the_samples_of_an_uninterrupted_one(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ts(tmp_path / "data" / "ucr", "own", ts_lines(36, 3, "abcd"), ts_lines(12, 3, "abcd"), ts_header(3, "abcd"))
    monkeypatch.chdir(tmp_path)
    small = {
        "spoken_tones": ["task.train_samples=16", "task.validation_samples=4", "task.test_samples=4"],
        "ucr": ["task.dataset=own"],
    }
    words = [
        *(f"task={task}", *small[task], "augmentation=[shift_time,drop_events,cut_mix]", "batch_size=8", "num_steps=6"),
        *("epochs=2", "model.hidden=[4]", "report.figures=false", "report.summary=false", "report.progress=false"),
    ]
    assert main([*words, "hydra.run.dir=whole"]) == 0
    code, resumes = main([*words, "hydra.run.dir=resumed", "max_seconds=1e-9"]), 0
    while code == 143:
        code, resumes = main(["resume", "resumed"]), resumes + 1
    assert code == 0 and resumes >= 4
    verdict = compare(tmp_path / "whole", tmp_path / "resumed", same_seed=True)
    assert verdict.exact, verdict.words()
