"""The cache of frames: the same as without one, whole or absent, never trusted blindly, made once."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.errors import DataError, StorageError
from snnrun.task import frame_store
from snnrun.task.frame_store import Chunk, FrameStore, load_frames

CPU = torch.device("cpu")
T, SIZE = 3, 5


def chunks(most: int = 3, size: int = SIZE, seed: int = 0) -> list[Chunk]:
    """7 recordings in 3 chunks, in an order that is not that of their names."""
    random = np.random.default_rng(seed)
    parts = []
    for part, names in ((0, ["d", "c"]), (2, ["a"]), (0, ["b", "e", "a", "f"])):
        counts = random.integers(0, most + 1, (len(names), T, size)) * random.integers(0, 2, (len(names), T, size))
        parts.append(Chunk(names, part, [ord(name) for name in names], [name.encode() for name in names], counts))
    return parts


def expected(of: list[Chunk]) -> dict[tuple[int, str], Any]:
    return {(chunk.part, name): frame for chunk in of for name, frame in zip(chunk.names, chunk.counts, strict=True)}


ORDER = [(0, "a"), (0, "b"), (0, "c"), (0, "d"), (0, "e"), (0, "f"), (2, "a")]


def check_is(store: FrameStore, of: list[Chunk], size: int = SIZE) -> None:
    counts = expected(of)
    assert store.parts.tolist() == [part for part, _ in ORDER]
    assert store.labels.tolist() == [ord(name) for _, name in ORDER]
    for indices in ([0, 1, 2, 3, 4, 5, 6], [6, 2, 2], [3], []):
        frames = store.dense(torch.tensor(indices, dtype=torch.int64), CPU)
        assert frames.dtype is torch.float32
        assert frames.shape == (T, len(indices), size)
        for place, i in enumerate(indices):
            assert np.array_equal(frames[:, place], counts[ORDER[i]])


def folder_in(data_dir: Path) -> Path:
    (folder,) = (data_dir / "cache").iterdir()
    return folder


def refuse() -> Iterator[Chunk]:
    raise AssertionError("read although it was cached")


@pytest.mark.parametrize("most", [1, 3, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("size", [1, SIZE, 70_000])
def test_what_is_kept_is_what_was_read(tmp_path: Path, most: int, size: int) -> None:
    recordings = chunks(most, size)
    first = load_frames(tmp_path, "set", {"a": 1}, size, lambda: recordings)
    check_is(first, recordings, size)
    second = load_frames(tmp_path, "set", {"a": 1}, size, refuse)
    check_is(second, recordings, size)
    assert first.digest == second.digest
    about = json.loads((folder_in(tmp_path) / "about.json").read_text())
    assert ("counts" in about["arrays"]) == (most > 1)
    assert not list(tmp_path.rglob("*.lock")) and not list(tmp_path.rglob("*.partial*"))


def test_counts_that_outgrow_their_bytes_late_are_kept(tmp_path: Path) -> None:
    recordings = [
        chunk._replace(counts=chunk.counts * factor) for chunk, factor in zip(chunks(), (1, 100, 40_000), strict=True)
    ]
    check_is(load_frames(tmp_path, "set", {}, SIZE, lambda: recordings), recordings)


def test_a_cache_is_compact(tmp_path: Path) -> None:
    recordings = chunks()
    load_frames(tmp_path, "set", {}, SIZE, lambda: recordings)
    entries = sum(int((chunk.counts > 0).sum()) for chunk in recordings)
    sizes = {path.stem: path.stat().st_size for path in folder_in(tmp_path).glob("*.bin")}
    assert (sizes["cells"], sizes["counts"]) == (2 * entries, entries)


def test_other_options_are_another_cache(tmp_path: Path) -> None:
    load_frames(tmp_path, "set", {"by": "time"}, SIZE, lambda: chunks(seed=1))
    check_is(load_frames(tmp_path, "set", {"by": "count"}, SIZE, lambda: chunks(seed=2)), chunks(seed=2))
    check_is(load_frames(tmp_path, "set", {"by": "time"}, SIZE, refuse), chunks(seed=1))


def test_the_hash_is_of_the_recordings_and_not_of_their_frames_or_order() -> None:
    recordings = chunks()
    digests = {
        frame_store._in_memory(lambda of=of: of, SIZE).digest  # type: ignore[misc]
        for of in (recordings, recordings[::-1], chunks(seed=1))
    }
    assert len(digests) == 1
    (other,) = [chunk._replace(digests=[b"z"]) for chunk in recordings[1:2]]
    assert frame_store._in_memory(lambda: [recordings[0], other, recordings[2]], SIZE).digest not in digests


DAMAGE: list[Callable[[Path], Any]] = [
    lambda folder: (folder / "cells.bin").write_bytes(b""),
    lambda folder: (folder / "cells.bin").write_bytes((folder / "cells.bin").read_bytes()[:-1] + b"\xff"),
    lambda folder: (folder / "bounds.bin").write_bytes(bytes((folder / "bounds.bin").stat().st_size)),
    lambda folder: (folder / "labels.bin").unlink(),
    lambda folder: (folder / "about.json").unlink(),
    lambda folder: (folder / "about.json").write_text("{"),
    lambda folder: (folder / "about.json").write_text("[]"),
    lambda folder: (folder / "about.json").write_text(
        '{"format": 1, "arrays": {"cells": {"type": "O", "shape": [1]}}}'
    ),
    lambda folder: (folder / "about.json").write_text('{"format": 1, "arrays": {}, "size": 5, "sha256": ""}'),
    lambda folder: (folder / "about.json").write_text("[" * 100_000),
    lambda folder: folder.rename(folder.with_name("aside")) and folder.write_text("no folder"),
]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_cache_is_made_again(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    recordings = chunks()
    load_frames(tmp_path, "set", {}, SIZE, lambda: recordings)
    damage(folder_in(tmp_path))
    shutil.rmtree(tmp_path / "cache" / "aside", ignore_errors=True)
    times = []

    def reader() -> list[Chunk]:
        times.append(1)
        return recordings

    check_is(load_frames(tmp_path, "set", {}, SIZE, reader), recordings)
    assert times == [1]
    check_is(load_frames(tmp_path, "set", {}, SIZE, refuse), recordings)


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    recordings = chunks()
    load_frames(tmp_path, "set", {}, SIZE, lambda: recordings)
    folder = folder_in(tmp_path)
    folder.rename(folder.with_name(f".{folder.name}.partial-1"))
    load_frames(tmp_path, "set", {}, SIZE, lambda: recordings)
    assert folder_in(tmp_path) == folder


def test_a_fault_in_the_data_leaves_nothing(tmp_path: Path) -> None:
    def reader() -> Iterator[Chunk]:
        yield chunks()[0]
        raise DataError("a file with a fault")

    with pytest.raises(DataError, match="a file with a fault"):
        load_frames(tmp_path, "set", {}, SIZE, reader)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="how a write fails is the system's own")
@pytest.mark.parametrize("call", ["mkdir", "write", "fsync", "rename"])
def test_a_full_disk_is_a_storage_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "cache").mkdir()

    def full(*args: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr(frame_store._Writer, "add", full)
        elif call == "fsync":
            patch.setattr("snnrun.task.frame_store.os.fsync", full)
        else:
            patch.setattr(Path, call, full)
        with pytest.raises(StorageError, match=r"choose another data_dir|choose another output_dir"):
            load_frames(tmp_path, "set", {}, SIZE, chunks)
    assert list((tmp_path / "cache").iterdir()) == []
    check_is(load_frames(tmp_path, "set", {}, SIZE, chunks), chunks())


def test_where_nothing_can_be_written_frames_are_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snnrun.task.frame_store.os.access", lambda *_: False)  # a superuser may write anywhere
    for most in (1, 300):
        check_is(load_frames(tmp_path, "set", {}, SIZE, lambda most=most: chunks(most)), chunks(most))  # type: ignore[misc]
    assert list((tmp_path / "cache").iterdir()) == []
