"""The cache of frames, where several processes want it at the same time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

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


def refuse() -> Iterator[Chunk]:
    raise AssertionError("read although it was cached")


def _make(data_dir: str, out: Any) -> None:
    def reader() -> list[Chunk]:
        out.put("read")
        return chunks()

    for _ in range(3):
        check_is(load_frames(Path(data_dir), "set", {}, SIZE, reader), chunks())


def test_of_processes_at_the_same_time_one_makes_the_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    processes = [context.Process(target=_make, args=(str(tmp_path), out)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 2
    assert out.get() == "read"
    assert out.empty()
    check_is(load_frames(tmp_path, "set", {}, SIZE, refuse), chunks())
