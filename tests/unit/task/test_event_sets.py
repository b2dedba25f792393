"""The event sets, from small files in their own formats."""

from __future__ import annotations

import shutil
import sys
import urllib.error
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.errors import DataError
from snnrun.task import CIFAR10DVS, NMNIST, SHD, SSC, Batch, Data, DVSGesture, EventTask, Part, binning, event_files
from snnrun.task import event_download as fetching
from support import event_sets
from support.event_sets import (
    cifar10_files,
    folder_of,
    gesture_files,
    nmnist_files,
    tar_of,
    write_event_set,
    write_speech,
    zip_of,
)
from support.refusals import fails, refuses

CPU = torch.device("cpu")
T = 4


@pytest.fixture(autouse=True)
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No test reaches for the network; returns the sets that were asked for."""
    sets: list[str] = []

    def refuse(source: str, data_dir: Path, parts: Any) -> str:
        sets.append(f"{source} {' '.join(parts)}")
        return "no network"

    monkeypatch.setattr("snnrun.task.events.download_events", refuse)
    return sets


def load(task: EventTask, data_dir: Path, num_steps: int = T) -> Data:
    return task.load(data_dir, num_steps, CPU, torch.Generator())


def whole(part: Part) -> Batch:
    (batch,) = part.batches(100_000)
    return batch


def frames_of(events: event_sets.Events, size: int = 34, num_steps: int = T, by: str = "count") -> torch.Tensor:
    """As the definition says, for a camera of ``size`` pixels, not made smaller."""
    shape = (2, size, size)
    step = binning.steps(events.t, num_steps, by)
    return torch.from_numpy(
        binning.frames(step, binning.cells((events.p, events.y, events.x), shape), num_steps, shape)
    ).float()


def same(first: Data, second: Data) -> None:
    assert first.hashes == second.hashes
    for one, other in zip(first[:3], second[:3], strict=True):
        for batch, twin in zip(one.batches(7), other.batches(7), strict=True):
            assert torch.equal(batch.x, twin.x)
            assert batch.target is not None and twin.target is not None
            assert torch.equal(batch.target, twin.target)


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["NMNIST", "nmnist"])
@pytest.mark.parametrize("archives", [True, False])
def test_nmnist_is_read_from_archives_and_folders(
    tmp_path: Path, downloads: list[str], folder: str, archives: bool
) -> None:
    train, test = nmnist_files("Train", 3), nmnist_files("Test", 1, seed=100)
    if archives:
        zip_of(tmp_path / folder / "train.zip", {**train, "__MACOSX/Train/0/._00000.bin": b"?"})
        zip_of(tmp_path / folder / "test.zip", test)
    else:
        folder_of(tmp_path / folder, {**train, **test, "Test/0/._00000.bin": b"?", "Test/readme.txt": b"?"})
    data = load(NMNIST(validation=0.3), tmp_path)
    assert downloads == []
    batch = whole(data.test)
    assert batch.x.shape == (T, 10, 2, 34, 34)
    assert batch.x.dtype is torch.float32
    assert batch.target is not None and batch.target.tolist() == list(range(10))
    for label in range(10):
        assert torch.equal(batch.x[:, label], frames_of(event_sets.random_events(100 + label, 34, label, 10)))
    assert (len(data.train), len(data.validation)) == (20, 10)
    assert list(data.hashes) == ["nmnist"]


def test_the_hash_is_that_of_the_recordings_alone(tmp_path: Path) -> None:
    files = {**nmnist_files("Train", 2), **nmnist_files("Test", 1, seed=100)}
    folder_of(tmp_path / "folders/NMNIST", files)
    for name, part in (("train.zip", "Train"), ("test.zip", "Test")):
        zip_of(tmp_path / "archives/NMNIST" / name, {k: v for k, v in files.items() if k.startswith(part)})
    from_folders, from_archives = load(NMNIST(), tmp_path / "folders"), load(NMNIST(), tmp_path / "archives")
    same(from_folders, from_archives)
    assert load(NMNIST(size=2, by="time", clip=True), tmp_path / "folders", 3).hashes == from_archives.hashes
    recording = tmp_path / "folders/NMNIST/Train/3/00003.bin"
    recording.write_bytes(recording.read_bytes()[5:])
    assert load(NMNIST(), tmp_path / "folders").hashes != from_archives.hashes


@pytest.mark.parametrize("archives", [True, False])
def test_dvs_gesture_is_read_from_archives_and_folders(tmp_path: Path, archives: bool) -> None:
    train, test = gesture_files("ibmGestureTrain", 1), gesture_files("ibmGestureTest", 1, seed=100)
    if archives:
        tar_of(tmp_path / "DVSGesture/ibmGestureTrain.tar.gz", train)
        tar_of(tmp_path / "DVSGesture/ibmGestureTest.tar.gz", test)
    else:
        folder_of(tmp_path / "DVSGesture", {**train, **test})
    batch = whole(load(DVSGesture(validation=0.3), tmp_path).test)
    assert batch.x.shape == (T, 22, 2, 128, 128)
    # In the order of names, whatever that of the archive: fluorescent, then led, in each 0, 1, 10, 2, …
    assert batch.target is not None
    assert batch.target.tolist() == [0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9] * 2
    events = event_sets.random_events(110, 128, 10, 11)
    expected = frames_of(events._replace(t=events.t // 1000), 128)
    assert torch.equal(batch.x[:, 2], expected)


def test_dvs_gesture_is_read_as_its_authors_give_it(tmp_path: Path) -> None:
    folder_of(tmp_path / "DVSGesture/DvsGesture", event_sets.original_gestures())
    data = load(DVSGesture(validation=0.5), tmp_path)
    assert [len(part) for part in data[:3]] == [11, 11, 22]
    batch = whole(data.test)
    assert batch.target is not None and batch.target.tolist() == [*range(11)] * 2
    for i in (0, 13, 21):
        assert torch.equal(batch.x[:, i], frames_of(event_sets.random_events(200 + i, 128, i % 11, 11), 128))
    path = tmp_path / "DVSGesture/DvsGesture/user02_led_labels.csv"
    path.write_text(path.read_text() + "11,6000000,6000001\n")
    with fails(DataError, "user02_led.aedat (6000000 to 6000001 µs): ", "got none"):
        load(DVSGesture(), tmp_path)  # a table that has changed is another cache


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("user02_led_labels.csv", b"class,from,to\n1,2\n", r"labels.csv: line 2: expected class, begin and end in µs"),
        ("user02_led_labels.csv", b"class,from,to\n12,0,9000000\n", "expected a label from 0 to 10, got 11"),
        ("trials_to_test.txt", b"user03_led.aedat\n", "user03_led.aedat: cannot be read: No such file or directory"),
        ("user02_led.aedat", b"#!AER-DAT2.0\r\n", "expected AEDAT 3, beginning with #!AER-DAT3"),
        ("user02_led.aedat", b"#!AER-DAT3.1\r\n", "truncated: it ends in its header"),
        ("user02_led.aedat", event_sets.aedat3(event_sets.random_events(0, 128, 0, 11))[:-1], "truncated or damaged"),
        ("user02_led.aedat", event_sets.aedat3(event_sets.random_events(0, 128, 0, 11)) + b"?", "ends within a packet"),
    ],
)
def test_a_fault_in_the_authors_gestures_is_named(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    files = event_sets.original_gestures()
    folder_of(tmp_path / "DVSGesture/DvsGesture", {**files, name: content})
    with pytest.raises(DataError, match=fault) as error:
        load(DVSGesture(size=8), tmp_path)
    assert str(error.value).startswith(f"dvs_gesture: {tmp_path / 'DVSGesture/DvsGesture'}/user0") or "txt" in name


def test_times_beyond_31_bits_are_read() -> None:
    events = event_sets.random_events(0, 128, 0, 11)
    later = events._replace(t=events.t + (5 << 31))
    for result, column in zip(event_files.aedat3(event_sets.aedat3(later), "x"), later, strict=True):
        assert np.array_equal(result, column)


@pytest.mark.parametrize(
    ("layout", "suffix"), [("folders", "aedat"), ("zips", "aedat"), ("folders", "aedat4"), ("zip of zips", "aedat4")]
)
def test_cifar10_dvs_is_read_in_both_of_its_formats(tmp_path: Path, layout: str, suffix: str) -> None:
    if suffix == "aedat4":
        pytest.importorskip("lz4", reason="the extra events is not installed")
    files = cifar10_files(4, suffix)
    if layout == "folders":
        folder_of(tmp_path / "CIFAR10DVS", files)
    else:
        for name in event_sets.CIFAR10:
            zip_of(tmp_path / f"CIFAR10DVS/{name}.zip", {k: v for k, v in files.items() if k.startswith(name)})
    if layout == "zip of zips":
        zips = {path.name: path.read_bytes() for path in (tmp_path / "CIFAR10DVS").iterdir()}
        shutil.rmtree(tmp_path / "CIFAR10DVS")
        zip_of(tmp_path / "CIFAR10DVS/CIFAR10DVS.zip", zips)
    data = load(CIFAR10DVS(validation=0.25, test=0.25), tmp_path)
    assert [len(part) for part in data[:3]] == [20, 10, 10]
    frames = torch.cat([whole(part).x for part in data[:3]], dim=1).transpose(0, 1)
    assert any(torch.equal(one, frames_of(event_sets.random_events(32, 128, 2, 10), 128)) for one in frames)
    for part in data[:3]:
        target = whole(part).target
        assert target is not None and len(set(target.bincount().tolist())) == 1
    other = load(CIFAR10DVS(validation=0.25, test=0.25, split_seed=1), tmp_path)
    assert not torch.equal(whole(other.test).x, whole(data.test).x)


@pytest.mark.parametrize("archives", [True, False])
def test_shd_is_read_from_hdf5(tmp_path: Path, archives: bool) -> None:
    write_speech(tmp_path / "SHD", "shd", {"train": 5, "test": 4}, 20)  # the latter more than are read at a time
    if archives:
        for part in ("train", "test"):
            path = tmp_path / f"SHD/shd_{part}.h5"
            zip_of(path.with_suffix(".h5.zip"), {path.name: path.read_bytes()})
            path.unlink()
    data = load(SHD(duration=0.5, validation=0.2), tmp_path, 10)
    assert [len(part) for part in data[:3]] == [80, 20, 80]
    batch = whole(data.test)
    assert batch.x.shape == (10, 80, 700)
    assert batch.target is not None and batch.target.tolist() == list(range(20)) * 4
    times, units = event_sets.random_speech(np.arange(80) % 20, 1000, 20)
    for i in (0, 33, 79):
        expected = torch.zeros(10, 700)
        for time, unit in zip(times[i].astype(float), units[i], strict=True):
            if time < 0.5:  # what comes later is left out
                expected[int(time * 20), unit] += 1
        assert torch.equal(batch.x[:, i], expected)
        assert 0 < expected.sum() < len(times[i])
    assert not list(tmp_path.glob("SHD/.*"))


def test_ssc_has_a_validation_part_of_its_own(tmp_path: Path) -> None:
    write_event_set(tmp_path, "ssc")
    data = load(SSC(), tmp_path)
    assert [len(part) for part in data[:3]] == [105, 35, 35]
    times, _ = event_sets.random_speech(np.arange(35), 1000, 35)
    assert whole(data.validation).x.sum(dim=(0, 2)).tolist() == [len(one) for one in times]


def test_a_recording_without_a_spike_is_silence(tmp_path: Path) -> None:
    write_event_set(tmp_path, "shd")
    times, units = event_sets.random_speech([0, 1, 2], 0, 20)
    times[1], units[1] = times[1][:0], units[1][:0]
    event_sets.write_hdf5(tmp_path / "SHD/shd_test.h5", [0, 1, 2], times, units)
    assert whole(load(SHD(), tmp_path).test).x.sum(dim=(0, 2)).tolist() == [80, 0, 82]


@pytest.mark.long  # imports tonic, which takes two seconds
def test_what_tonic_reads_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("tonic.datasets", reason="the extra events is not installed")
    pytest.importorskip("aedat", reason="tonic reads AEDAT 4 by it, but does not ask for it")
    monkeypatch.setattr("tonic.dataset.Dataset._folder_contains_at_least_n_files_of_type", lambda *_: True)
    folder_of(tmp_path / "NMNIST", {**nmnist_files("Train", 2), **nmnist_files("Test", 1), "test.zip": b""})
    folder_of(tmp_path / "DVSGesture", {**gesture_files("ibmGestureTrain", 2), **gesture_files("ibmGestureTest", 1)})
    folder_of(tmp_path / "CIFAR10DVS", {**cifar10_files(3, "aedat4"), "CIFAR10DVS.zip": b""})
    write_event_set(tmp_path, "shd")
    folder_of(tmp_path, {"SHD/shd_test.h5.zip": b"", "DVSGesture/ibmGestureTest.tar.gz": b""})
    tonic_sets = {
        "nmnist": datasets.NMNIST(str(tmp_path), train=False),
        "dvs_gesture": datasets.DVSGesture(str(tmp_path), train=False),
        "cifar10_dvs": datasets.CIFAR10DVS(str(tmp_path)),
        "shd": datasets.SHD(str(tmp_path), train=False),
    }
    for empty in ("NMNIST/test.zip", "DVSGesture/ibmGestureTest.tar.gz", "CIFAR10DVS/CIFAR10DVS.zip"):
        (tmp_path / empty).unlink()  # an archive, where there is one, is what is read
    tasks: list[EventTask] = [NMNIST(), DVSGesture(), CIFAR10DVS(), SHD(by="count", duration=None)]
    for task in tasks:
        parts = load(task, tmp_path)
        our_parts = (parts.train, parts.validation, parts.test) if task.name == "cifar10_dvs" else (parts.test,)
        batches = [whole(part) for part in our_parts]
        ours = [
            (int(y), x)
            for b in batches
            if b.target is not None
            for y, x in zip(b.target, b.x.transpose(0, 1), strict=True)
        ]
        assert len(ours) == len(tonic_sets[task.name])
        for events, label in tonic_sets[task.name]:
            if task.name == "shd":
                frames = binning.frames(binning.steps(events["t"], T), binning.cells([events["x"]], [700]), T, [700])
                expected = torch.from_numpy(frames).float()
            else:
                columns = event_sets.Events(*(events[name].astype(int) for name in "txyp"))
                expected = frames_of(columns, task.input_shape[-1])
            assert any(label == y and torch.equal(expected, x) for y, x in ours), task.name


# --- options -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gestures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gestures")
    folder_of(folder / "DVSGesture", {**gesture_files("ibmGestureTrain", 1), **gesture_files("ibmGestureTest", 1)})
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    write_event_set(folder, "shd")
    return folder


def test_a_smaller_frame_adds_up_squares_of_pixels(gestures: Path) -> None:
    full = whole(load(DVSGesture(), gestures).test).x
    small = whole(load(DVSGesture(size=32), gestures).test).x
    assert small.shape == (T, 22, 2, 32, 32)
    assert torch.equal(small, 16 * torch.nn.functional.avg_pool2d(full.flatten(0, 1), 4).view_as(small))
    odd = whole(load(DVSGesture(size=48), gestures).test).x
    where = torch.arange(128) * 48 // 128
    assert torch.equal(odd.sum(dim=-1), torch.zeros(T, 22, 2, 48).index_add_(-1, where, full.sum(dim=-1)))
    one = whole(load(DVSGesture(size=1), gestures).test).x
    assert torch.equal(one[..., 0, 0], full.sum(dim=(-2, -1)))


def test_pooled_units_are_added_up(words: Path) -> None:
    full = whole(load(SHD(), words).test).x
    for pool in (5, 9, 700):
        sums = whole(load(SHD(pool=pool), words).test).x
        assert sums.shape == (T, 40, -(-700 // pool))
        where = torch.arange(700) // pool
        assert torch.equal(sums, torch.zeros(sums.shape).index_add_(-1, where, full))


def test_every_event_is_counted_and_clipped_frames_are_at_most_1(gestures: Path) -> None:
    counts = whole(load(DVSGesture(size=4), gestures).test).x
    assert counts.sum(dim=(0, 2, 3, 4)).tolist() == [150.0] * 22
    flags = whole(load(DVSGesture(size=4, clip=True), gestures).test).x
    assert counts.max() > 1
    assert torch.equal(flags, counts.clamp(max=1))


def test_frames_by_count_have_equal_numbers_and_frames_by_time_have_not(gestures: Path) -> None:
    by_count = whole(load(DVSGesture(by="count"), gestures, 5).test).x.sum(dim=(2, 3, 4))
    assert (by_count == 30).all()
    by_time = whole(load(DVSGesture(by="time"), gestures, 5).test).x.sum(dim=(2, 3, 4))
    assert not (by_time == 30).all()
    assert (by_time.sum(dim=0) == 150).all()


def test_after_a_short_recording_frames_are_empty(gestures: Path) -> None:
    counts = whole(load(DVSGesture(by="time", duration=0.6), gestures, 10).test).x.sum(dim=(2, 3, 4))
    assert (counts[:5] > 0).all()  # 0.3 s
    assert not counts[5:].any()


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (lambda: NMNIST(size=35), ("size", 35, "whole number of at least 1 and at most 34")),
        (lambda: NMNIST(by="number"), ("by", "number", "'count' or 'time'")),
        (lambda: NMNIST(duration=0.3), ("duration", 0.3, "null", "by=time")),
        (lambda: NMNIST(by="time", duration=-1), ("duration", -1, "above 0")),
        (lambda: NMNIST(clip=1), ("clip", 1, "true or false")),  # type: ignore[arg-type]
        (lambda: CIFAR10DVS(validation=0.5, test=0.5), ("validation, test", (0.5, 0.5), "below 1")),
        (lambda: SHD(pool=0), ("pool", 0, "whole number of at least 1 and at most 700")),
        (lambda: SHD(split_seed=-1), ("split_seed", -1, "whole number of at least 0")),
    ],
)
def test_options_are_checked_before_anything_is_read(make: Any, refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal):
        make()


# --- batches -------------------------------------------------------------------------------------------------------


def test_a_pass_has_every_recording_once_in_an_order_of_the_generator(gestures: Path) -> None:
    part = load(DVSGesture(size=8), gestures).train
    in_order = list(part.batches(5))
    assert [batch.x.shape[1] for batch in in_order] == [5, 5, 1] and len(part) == 11
    again = list(part.batches(5))
    assert all(torch.equal(one.x, other.x) for one, other in zip(in_order, again, strict=True))
    at_random, twin, other = (
        torch.cat([batch.x for batch in part.batches(5, torch.Generator().manual_seed(seed))], dim=1)
        for seed in (1, 1, 2)
    )
    assert torch.equal(at_random, twin)
    assert not torch.equal(at_random, other)
    straight = torch.cat([batch.x for batch in in_order], dim=1)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    assert torch.equal(at_random, straight[:, order])


def test_a_set_may_do_without_a_validation_part(gestures: Path) -> None:
    task = DVSGesture(size=8, validation=0)
    data = load(task, gestures)
    assert not task.has_validation and DVSGesture().has_validation and SSC().has_validation
    assert [len(part) for part in data[:3]] == [22, 0, 22]
    assert list(data.validation.batches(5)) == []


# --- faults --------------------------------------------------------------------------------------------------------

NPY = event_sets.gesture(event_sets.random_events(0, 128, 0, 11))


def npy(rows: Any) -> bytes:
    return event_sets.gesture(event_sets.Events(*np.array(rows).T))


GESTURES = [
    ("user01_led/3.npy", NPY[:-8], "not a whole NPY file"),
    ("user01_led/3.npy", b"", "not a whole NPY file"),
    ("user01_led/3.npy", npy([[0, 0, 0, 0], [0, 128, 5, 1]]), "expected coordinates from 0 to 127 on axis 2 .* 128"),
    ("user01_led/3.npy", npy([[0, 0, 0, 2]]), r"expected coordinates from 0 to 1 on axis 0 .* got 2 \(event 0\)"),
    ("user01_led/3.npy", event_sets.gesture(event_sets.random_events(0, 128, 0, 11, 0)), "expected events, got none"),
    ("user01_led/11.npy", NPY, "expected a label from 0 to 10, got 11"),
    ("user01_led/wave.npy", NPY, "expected a name with the number of a class, got 'wave'"),
]


@pytest.mark.parametrize(
    ("name", "content", "fault", "archives"), [(*row, i % 2 == 0) for i, row in enumerate(GESTURES)]
)
def test_a_recording_with_a_fault_is_named(
    tmp_path: Path, downloads: list[str], name: str, content: bytes, fault: str, archives: bool
) -> None:
    files = {**gesture_files("ibmGestureTrain", 1), f"ibmGestureTrain/{name}": content}
    folder_of(tmp_path / "DVSGesture", {"ibmGestureTest/user01_led/0.npy": NPY})
    if archives:
        tar_of(tmp_path / "DVSGesture/ibmGestureTrain.tar.gz", files)
    else:
        folder_of(tmp_path / "DVSGesture", files)
    with pytest.raises(DataError, match=fault) as error:
        load(DVSGesture(size=8), tmp_path)
    where = tmp_path / "DVSGesture/ibmGestureTrain"
    assert str(error.value).startswith(f"dvs_gesture: {where}{'.tar.gz: ' if archives else '/'}{name}: ")
    assert "Replace that file, or remove it to have the set downloaded again." in str(error.value)
    assert downloads == []
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_nan_in_an_array_is_named(tmp_path: Path) -> None:
    rows = np.zeros((3, 4))
    rows[1, 3] = np.nan
    file = tmp_path / "x.npy"
    np.save(file, rows)
    folder_of(tmp_path / "DVSGesture", {"ibmGestureTest/user01_led/0.npy": NPY})
    folder_of(tmp_path / "DVSGesture", {"ibmGestureTrain/user01_led/0.npy": file.read_bytes()})
    with fails(DataError, "below 2**53", "got nan (event 1)"):
        load(DVSGesture(), tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_damaged_archive_is_named(tmp_path: Path, kind: str) -> None:
    if kind == "zip":
        task: EventTask = NMNIST()
        path = tmp_path / "NMNIST/train.zip"
        write_event_set(tmp_path, "nmnist")
    else:
        task, path = DVSGesture(size=8), tmp_path / "DVSGesture/ibmGestureTrain.tar.gz"
        tar_of(path, gesture_files("ibmGestureTrain", 1))
        folder_of(tmp_path / "DVSGesture", {"ibmGestureTest/user01_led/0.npy": NPY})
    content = path.read_bytes()
    flip = bytearray(content)
    flip[len(flip) // 3] ^= 255
    for damage in (content[: len(content) // 2], bytes(flip), b"<html>not found</html>", b""):
        path.write_bytes(damage)
        with pytest.raises(DataError) as error:
            load(task, tmp_path)
        assert str(error.value).startswith(f"{task.name}: {path}: ")
        assert "Traceback" not in str(error.value)


def test_a_truncated_recording_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path / "NMNIST", {**nmnist_files("Train", 2), **nmnist_files("Test", 1)})
    path = tmp_path / "NMNIST/Test/7/00007.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with fails(DataError, "00007.bin: ", "5 bytes", "got 749 bytes"):
        load(NMNIST(), tmp_path)


def test_an_empty_folder_is_no_part(tmp_path: Path) -> None:
    folder_of(tmp_path / "NMNIST", nmnist_files("Train", 2))
    (tmp_path / "NMNIST/Test").mkdir()
    with pytest.raises(DataError, match=r"nmnist: no recording in .*Test"):
        load(NMNIST(), tmp_path)


@pytest.mark.parametrize(
    ("suffix", "content", "fault"),
    [
        ("aedat", b"#!AER-DAT3.1\r\n" + bytes(16), "expected AEDAT 2, beginning with #!AER-DAT2"),
        ("aedat", b"#!AER-DAT2.0", "truncated: it ends in its header"),
        ("aedat", b"#!AER-DAT2.0\r\n" + bytes(12), "expected 8 bytes for each event, got 12 bytes"),
        ("aedat4", b"#!AER-DAT4.0\r\n" + bytes(12), "not a whole AEDAT 4 file"),
    ],
)
def test_an_aedat_file_with_a_fault_is_named(tmp_path: Path, suffix: str, content: bytes, fault: str) -> None:
    if suffix == "aedat4":
        pytest.importorskip("lz4", reason="the extra events is not installed")
    folder_of(tmp_path / "CIFAR10DVS", {**cifar10_files(3, suffix), f"frog/cifar10_frog_1.{suffix}": content})
    with pytest.raises(DataError, match=f"frog/cifar10_frog_1.{suffix}: {fault}"):
        load(CIFAR10DVS(), tmp_path)


def test_compressed_packets_are_read() -> None:
    frame = pytest.importorskip("lz4.frame", reason="the extra events is not installed")
    events = event_sets.random_events(0, 128, 3, 10)
    content = event_sets.aedat4(events, frame.compress)
    for result, column in zip(event_files.aedat4(content, "x"), events, strict=True):
        assert np.array_equal(result, column)
    for length in range(1, len(content), 11):
        try:
            assert not len(event_files.aedat4(content[:length], "x").t)  # cut off before the first packet
        except DataError as error:
            assert str(error).startswith(("x: expected AEDAT 4", "x: not a whole AEDAT 4 file"))
    for place in range(20, len(content), 13):  # whatever is damaged: an answer or a DataError
        damage = bytearray(content)
        damage[place] ^= 255
        with suppress(DataError):
            event_files.aedat4(bytes(damage), "x")


def test_a_time_that_overflows_is_read() -> None:
    t = np.array([0, 5, (1 << 23) - 1, 1 << 23, (1 << 23) + 8192 * 3])
    ones = np.ones(5, dtype=int)
    events = event_files.nmnist(event_sets.nmnist(event_sets.Events(t, ones, 2 * ones, ones)), "x")
    assert np.array_equal(events.t, t)
    assert events.x.tolist() == events.p.tolist() == [1] * 5 and events.y.tolist() == [2] * 5


def test_a_folder_that_is_no_class_is_named(tmp_path: Path) -> None:
    files = cifar10_files(3)
    zip_of(tmp_path / "CIFAR10DVS/CIFAR10DVS.zip", {**files, "toad/1.aedat": files["frog/cifar10_frog_0.aedat"]})
    with fails(DataError, "toad/1.aedat: ", "airplane, ", "got 'toad'"):
        load(CIFAR10DVS(), tmp_path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("label", "recording 70: expected a label from 0 to 19, got 20"),
        ("unit", r"recording 70: expected coordinates from 0 to 699 on axis 0 .* got 700 \(event 3\)"),
        ("time", r"recording 70: expected times of at least 0, got -0.5 \(event 3\)"),
        ("nan", r"recording 70: expected finite times, got nan \(event 3\)"),
        ("lengths", "recording 70: expected 80 units, one a time, got 79"),
        ("shapes", r"expected a label, times and units for each recording, got shapes \[79\], \[80\], \[80\]"),
    ],
)
def test_a_fault_in_an_hdf5_file_is_named_with_its_recording(tmp_path: Path, fault: str, message: str) -> None:
    write_speech(tmp_path / "SHD", "shd", {"train": 1, "test": 1}, 20)
    labels = np.arange(80) % 20
    times, units = event_sets.random_speech(labels, 0, 20)
    if fault == "label":
        labels[70] = 20
    elif fault == "unit":
        units[70][3] = 700
    elif fault in ("time", "nan"):
        times[70][3] = -0.5 if fault == "time" else np.nan
    elif fault == "lengths":
        units[70] = units[70][:-1]
    else:
        labels = labels[:-1]
    path = tmp_path / "SHD/shd_test.h5"
    event_sets.write_hdf5(path, labels, times, units)
    with pytest.raises(DataError, match=message) as error:
        load(SHD(), tmp_path)
    assert str(error.value).startswith(f"shd: {path}: ")


@pytest.mark.parametrize("damage", ["truncated", "not HDF5", "other", "empty"])
def test_a_damaged_hdf5_file_is_named(tmp_path: Path, damage: str) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra events is not installed")
    write_speech(tmp_path / "SHD", "shd", {"train": 1, "test": 1}, 20)
    path = tmp_path / "SHD/shd_train.h5"
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-3000], "not HDF5": b"<html>", "empty": b"", "other": content}[damage])
    if damage == "other":
        with h5py.File(path, "w") as file:
            file["something"] = 1
    with pytest.raises(DataError) as error:
        load(SHD(), tmp_path)
    assert str(error.value).startswith(f"shd: {path}: not a whole set in HDF5")


def test_a_zip_file_without_the_one_hdf5_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="the extra events is not installed")
    zip_of(tmp_path / "SHD/shd_train.h5.zip", {"readme.txt": b""})
    zip_of(tmp_path / "SHD/shd_test.h5.zip", {"readme.txt": b""})
    with fails(DataError, "shd_train.h5.zip: ", "one HDF5 file", "got []"):
        load(SHD(), tmp_path)


@pytest.mark.parametrize(
    ("name", "package", "task"), [("shd", "h5py", SHD()), ("cifar10_dvs", "lz4", CIFAR10DVS())], ids=["h5py", "lz4"]
)
def test_without_a_package_the_error_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, task: EventTask
) -> None:
    if package == "h5py":
        folder_of(tmp_path / "SHD", {"shd_train.h5": b"", "shd_test.h5": b""})
    else:
        folder_of(tmp_path / "CIFAR10DVS", cifar10_files(2, "aedat4"))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError) as error:
        load(task, tmp_path)
    assert f"is read by the package {package}, which is not installed" in str(error.value)
    assert "pip install 'snnrun[events]'" in str(error.value)
    assert "Replace that file" not in str(error.value)


# --- downloads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [NMNIST(), DVSGesture(), CIFAR10DVS(), SHD(), SSC()], ids=lambda task: task.name)
def test_missing_data_names_the_folders_searched_and_what_to_do(
    tmp_path: Path, downloads: list[str], task: EventTask
) -> None:
    with pytest.raises(DataError) as error:
        load(task, tmp_path)
    message = str(error.value)
    assert message.startswith(f"{task.name}: ") and "no network\n" in message
    assert str(tmp_path / task.source) in message and str(tmp_path / task.name) in message
    for source in task.sources.values():
        assert source.places[0][0] in message
    assert "task=moving_bars" in message
    assert [words.split()[0] for words in downloads] == [task.source]


def test_without_tonic_a_download_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tonic", None)
    fault = fetching.download_events("NMNIST", tmp_path, ["train", "test"])
    assert fault is not None and "pip install 'snnrun[events]'" in fault
    assert list(tmp_path.iterdir()) == []


ARCHIVES = [
    ("NMNIST", ["train", "test"], ["train.zip", "test.zip"]),
    ("DVSGesture", ["train", "test"], ["ibmGestureTrain.tar.gz", "ibmGestureTest.tar.gz"]),
    ("CIFAR10DVS", [""], ["CIFAR10DVS.zip"]),
    ("SHD", ["train", "test"], ["shd_train.h5.zip", "shd_test.h5.zip"]),
    ("SSC", ["train", "valid", "test"], ["ssc_train.h5.zip", "ssc_valid.h5.zip", "ssc_test.h5.zip"]),
]


@pytest.mark.long  # imports tonic
@pytest.mark.parametrize(("source", "parts", "names"), ARCHIVES)
def test_a_download_brings_the_archives_that_tonic_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, parts: list[str], names: list[str]
) -> None:
    pytest.importorskip("tonic", reason="the extra events is not installed")
    requests = []

    def download(url: str, root: str, name: str, md5: str) -> None:
        requests.append((name, url, md5))
        print("Downloading", url)
        Path(root, name).write_bytes(b"whole")

    monkeypatch.setattr("tonic.download_utils.download_url", download)
    data_dir = tmp_path / "not" / "there"
    assert fetching.download_events(source, data_dir, parts) is None
    assert [name for name, _, _ in requests] == names
    assert all(url.startswith("https://") and len(md5) == 32 for _, url, md5 in requests)
    assert sorted(path.name for path in data_dir.rglob("*") if path.is_file()) == sorted(names)
    assert fetching.download_events(source, data_dir, parts) is None
    assert len(requests) == len(names)  # what is there is not fetched again


@pytest.mark.long  # imports tonic
@pytest.mark.parametrize(
    "error",
    [urllib.error.URLError("no route"), TimeoutError("no answer"), RuntimeError("File not found or corrupted.")],
)
def test_a_download_that_breaks_off_leaves_nothing_to_mistake_for_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    pytest.importorskip("tonic", reason="the extra events is not installed")

    def break_off(url: str, root: str, name: str, md5: str) -> None:
        Path(root, name).write_bytes(b"half")
        raise error

    monkeypatch.setattr("tonic.download_utils.download_url", break_off)
    fault = fetching.download_events("SHD", tmp_path, ["train", "test"])
    assert fault is not None and str(error) in fault
    assert list(tmp_path.rglob("*")) == []


def test_a_download_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(source: str, data_dir: Path, parts: Any) -> None:
        write_event_set(data_dir, "nmnist")

    monkeypatch.setattr("snnrun.task.events.download_events", fetch)
    assert len(load(NMNIST(), tmp_path).test) == 20
    assert zipfile.is_zipfile(tmp_path / "NMNIST/train.zip")
