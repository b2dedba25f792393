"""Frames of a whole set of recordings, on disk and in use: for each frame the cells with events, and their numbers.

A cache is a folder that is created atomically: under another name, flushed, then renamed. Its arrays are mapped into
memory, so that a start reads them once, to compare their checksums, and the jobs of a sweep share them.

============ =============== ==========================================================================
cells.bin    [K] uint16      cells with events, frame by frame (uint32 if a frame has more than 65,536)
counts.bin   [K] uint8       their numbers of events (uint16, uint32 if needed); empty if all are 1
bounds.bin   [N, T+1] int64  frame t of recording n is ``cells[bounds[n, t] : bounds[n, t+1]]``
labels.bin   [N] int64       classes
parts.bin    [N] uint8       0 training, 1 validation, 2 test
about.json                   shapes, types and checksums of these, the data's hash, and the options
============ =============== ==========================================================================
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnrun.errors import ConfigError, StorageError
from snnrun.system.device import fits, upload
from snnrun.system.files import without_links, write_json
from snnrun.system.lock import RunLock, holder

Array = NDArray[Any]

FORMAT = 1
_BLOCK = 1 << 24  # bytes
_TYPES = ("|u1", "<u1", "<u2", "<u4", "<i8")
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class Chunk(NamedTuple):
    """Recordings read together."""

    names: list[str]  # for the order within a part
    part: int  # 0 training, 1 validation, 2 test
    labels: list[int]
    digests: list[bytes]  # sha256 of the content
    counts: Array  # [n, T, *frame] numbers of events


class FrameStore:
    """The frames of N recordings in T frames of ``size`` cells each.

    Attributes:
        labels: ``[N]`` int64.
        parts: ``[N]`` uint8: 0 training, 1 validation, 2 test.
        digest: sha256 of the original data.
    """

    def __init__(self, arrays: Mapping[str, Array], size: int, digest: str) -> None:
        self._cells, self._counts, self._bounds = arrays["cells"], arrays.get("counts"), arrays["bounds"]
        self.labels = torch.from_numpy(np.array(arrays["labels"]))
        self.parts = torch.from_numpy(np.array(arrays["parts"]))
        self.size, self.digest = size, digest
        self._stored: StoredFrames | None = None

    def dense(self, chosen: Tensor, device: torch.device) -> Tensor:
        """``[T, B, size]`` float32 on ``device``: the numbers of events of the recordings ``chosen``, ``[B]``."""
        bounds = np.asarray(self._bounds[chosen.numpy()])  # [B, T+1]
        if self._stored is not None:
            return self._stored.dense(bounds, self.size)
        batch, num_steps = len(bounds), bounds.shape[1] - 1
        lengths = (bounds[:, 1:] - bounds[:, :-1]).reshape(-1)
        ends = np.cumsum(lengths)
        entries = np.arange(lengths.sum()) + np.repeat(bounds[:, :-1].reshape(-1) - (ends - lengths), lengths)
        frames = np.arange(num_steps) * batch + np.arange(batch)[:, None]  # [B, T]: index of each in [T, B]
        places = np.repeat(frames.reshape(-1) * self.size, lengths) + self._cells[entries]
        values = None if self._counts is None else torch.from_numpy(self._counts[entries].astype(np.float32))
        where = upload(torch.from_numpy(places), device)
        x = torch.zeros(num_steps * batch * self.size, device=device)
        _put(x, where, None if values is None else upload(values, device))
        return x.view(num_steps, batch, self.size)

    def store(self, device: torch.device) -> torch.device:
        """Store cells and counts on ``device``, if they fit there; returns the device that has them."""
        arrays = [self._cells, *([] if self._counts is None else [self._counts])]
        if not fits(sum(array.nbytes for array in arrays), device):
            return torch.device("cpu")
        self._stored = StoredFrames(*(_words(array, device) for array in arrays))
        return device


class StoredFrames:
    """Cells ``[K]`` and numbers of events ``[K]`` on a device, as :func:`_words` has them."""

    def __init__(self, cells: Tensor, counts: Tensor | None = None) -> None:
        self._cells, self._counts = cells, counts

    def dense(self, bounds: Array, size: int) -> Tensor:
        """``[T, B, size]`` float32 for the ``bounds`` ``[B, T+1]`` of B recordings. The device is not waited for."""
        device, batch, num_steps = self._cells.device, len(bounds), bounds.shape[1] - 1
        # Only the bounds go to the device; all sizes are known here.
        lengths = (bounds[:, 1:] - bounds[:, :-1]).reshape(-1)
        frames = (np.arange(num_steps) * batch + np.arange(batch)[:, None]).reshape(-1)  # index of each in [T, B]
        skipped = bounds[:, :-1].reshape(-1) - (np.cumsum(lengths) - lengths)
        total = int(lengths.sum())
        count, first, skip = upload(torch.from_numpy(np.stack([lengths, frames * size, skipped])), device)
        spread = torch.repeat_interleave(torch.stack([first, skip], 1), count, dim=0, output_size=total)
        entries = torch.arange(total, device=device) + spread[:, 1]
        where = spread[:, 0] + _read(self._cells, entries)
        x = torch.zeros(num_steps * batch * size, device=device)
        _put(x, where, None if self._counts is None else _read(self._counts, entries).float())
        return x.view(num_steps, batch, size)


def _words(array: Array, device: torch.device) -> Tensor:
    """Unsigned numbers on a device, with signed types of the same size: torch computes little with uint16."""
    signed = {1: np.uint8, 2: np.int16, 4: np.int32}[array.dtype.itemsize]
    native = np.array(array, dtype=array.dtype.newbyteorder("="))  # a copy, since a map of a file is read-only
    return torch.from_numpy(native.view(signed)).to(device)


def _read(words: Tensor, entries: Tensor) -> Tensor:
    """Some of them, int64."""
    return words.index_select(0, entries).long() & (1 << 8 * words.element_size()) - 1


def _put(x: Tensor, where: Tensor, values: Tensor | None) -> None:
    """Set the different places ``where`` of ``x`` to the values; None: to 1."""
    if values is None:
        x.index_fill_(0, where, 1.0)
    else:
        x.scatter_(0, where, values)


def load_frames(
    data_dir: Path, name: str, identity: Mapping[str, Any], size: int, read: Callable[[], Iterable[Chunk]]
) -> FrameStore:
    """The frames from the cache ``<data_dir>/cache/<name>-<key>``, which is created from ``read`` if it is missing.

    If several processes need the same cache at once, one creates it and the others wait. If ``data_dir`` is not
    writable, frames stay in memory.

    Args:
        identity: everything that the frames depend on, as JSON; the key is its hash.
        size: cells in a frame.
        read: reads all recordings.

    Raises:
        StorageError: the disk is full, or failed; partial files are removed.
    """
    text = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
    folder = data_dir / "cache" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if store := open_cache(folder):
        return store
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(folder.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if error.errno in _READ_ONLY:
            return _in_memory(read, size)
        raise _storage_error(folder, error) from error
    with _alone(folder):
        if store := open_cache(folder):  # another process created it meanwhile
            return store
        _make(folder, read, size, identity)
        store = open_cache(folder)
    if store is None:
        raise StorageError(f"{folder}: what was written there is not what is read; check the disk of data_dir")
    return store


def open_cache(folder: Path) -> FrameStore | None:
    """The cache in ``folder``, mapped; None if it is missing or damaged."""
    try:
        about = json.loads((folder / "about.json").read_bytes())
        if about["format"] != FORMAT:
            return None
        arrays = {}
        for name, facts in about["arrays"].items():
            if facts["type"] not in _TYPES:  # some other types are addresses in memory
                return None
            arrays[name] = _map(folder / f"{name}.bin", np.dtype(facts["type"]), tuple(facts["shape"]))
            if _checksum(arrays[name]) != facts["crc32"]:
                return None
        return FrameStore(arrays, int(about["size"]), str(about["sha256"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _map(path: Path, kind: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if path.stat().st_size != kind.itemsize * int(np.prod(shape)):
        raise ValueError(f"{path} has another size")
    if not path.stat().st_size:  # an empty file cannot be mapped
        return np.zeros(shape, kind)
    return np.memmap(path, kind, "r", shape=shape)


def _checksum(array: Array) -> int:
    content: Any = array.reshape(-1).view(np.uint8)
    value = 0
    for start in range(0, len(content), _BLOCK):
        value = zlib.crc32(content[start : start + _BLOCK], value)
    return value


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Context in which one process creates a cache; the others wait while it is alive."""
    name = f".{folder.name}.lock"
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(RunLock(folder.parent, name, "cache"))
                break
            except ConfigError:
                if holder(folder.parent, name) is None:
                    raise
                time.sleep(0.2)
        yield


def _make(folder: Path, read: Callable[[], Iterable[Chunk]], size: int, identity: Mapping[str, Any]) -> None:
    for remains in folder.parent.glob(f".{folder.name}.partial-*"):  # of a killed process
        shutil.rmtree(remains, ignore_errors=True)
    partial = folder.parent / f".{folder.name}.partial-{secrets.token_hex(8)}"
    try:
        with _wording(folder):
            partial.mkdir()
        with ExitStack() as stack:
            writer = _Writer(size, lambda name: stack.enter_context((partial / f"{name}.bin").open("w+b")))
            for chunk in read():
                with _wording(folder):
                    writer.add(chunk)
            with _wording(folder):
                about = writer.end()
        with _wording(folder):
            write_json(
                without_links(partial) / "about.json", {"format": FORMAT, "size": size, **about, "of": dict(identity)}
            )
            if folder.is_dir():  # damaged
                shutil.rmtree(folder)
            folder.unlink(missing_ok=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _in_memory(read: Callable[[], Iterable[Chunk]], size: int) -> FrameStore:
    sinks: dict[str, io.BytesIO] = {}
    writer = _Writer(size, lambda name: sinks.setdefault(name, io.BytesIO()))
    for chunk in read():
        writer.add(chunk)
    about = writer.end()
    arrays = {
        name: np.frombuffer(sinks[name].getbuffer(), facts["type"]).reshape(facts["shape"])
        for name, facts in about["arrays"].items()
    }
    return FrameStore(arrays, size, about["sha256"])


class _Writer:
    """Writes recordings as they are read; ``end`` sorts them."""

    def __init__(self, size: int, sink: Callable[[str], IO[bytes]]) -> None:
        self._size, self._sink = size, sink
        self._cells, self._counts = sink("cells"), sink("counts")
        self._kind: np.dtype[Any] = np.dtype("<u2" if size <= 1 << 16 else "<u4")
        self._count_kind: np.dtype[Any] = np.dtype("<u1")
        self._most = 1  # events in a cell
        self._total = 0
        self._bounds: list[Array] = []
        self._recordings: list[tuple[int, str, int, bytes]] = []  # part, name, label, digest

    def add(self, chunk: Chunk) -> None:
        number, num_steps = chunk.counts.shape[:2]
        flat = chunk.counts.reshape(-1)
        where = np.flatnonzero(flat)
        self._cells.write((where % self._size).astype(self._kind).tobytes())
        values = flat[where]
        self._widen(int(values.max(initial=1)))
        self._counts.write(values.astype(self._count_kind).tobytes())
        ends = self._total + np.searchsorted(where, np.arange(number * num_steps + 1) * self._size)
        self._bounds.append(ends[np.arange(number)[:, None] * num_steps + np.arange(num_steps + 1)])
        self._total += len(where)
        self._recordings += zip([chunk.part] * number, chunk.names, chunk.labels, chunk.digests, strict=True)

    def end(self) -> dict[str, Any]:
        order = sorted(range(len(self._recordings)), key=lambda i: self._recordings[i][:2])
        recordings = [self._recordings[i] for i in order]
        digest = hashlib.sha256()
        for part, _, label, one in recordings:
            digest.update(part.to_bytes(1, "little") + label.to_bytes(4, "little") + one)
        bounds = np.concatenate(self._bounds)[order] if self._bounds else np.zeros((0, 1))
        arrays = {
            "bounds": bounds.astype("<i8"),
            "labels": np.array([label for _, _, label, _ in recordings], dtype="<i8"),
            "parts": np.array([part for part, _, _, _ in recordings], dtype="<u1"),
        }
        descriptions = {"cells": self._description(self._cells, self._kind)}
        if self._most > 1:
            descriptions["counts"] = self._description(self._counts, self._count_kind)
        for name, array in arrays.items():
            file = self._sink(name)
            file.write(array.tobytes())
            descriptions[name] = {**self._description(file, array.dtype), "shape": list(array.shape)}
        if self._most == 1:  # the file has no information
            self._counts.truncate(0)
        return {"sha256": digest.hexdigest(), "arrays": descriptions}

    def _description(self, file: IO[bytes], kind: np.dtype[Any]) -> dict[str, Any]:
        file.flush()
        if not isinstance(file, io.BytesIO):
            os.fsync(file.fileno())
        length = file.tell()
        file.seek(0)
        value = 0
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
        return {"type": kind.str, "shape": [length // kind.itemsize], "crc32": value}

    def _widen(self, most: int) -> None:
        """Use more bytes for the counts, also for those already written, if one of them needs it."""
        self._most = max(self._most, most)
        kind = np.dtype("<u1" if self._most < 1 << 8 else "<u2" if self._most < 1 << 16 else "<u4")
        if kind == self._count_kind:
            return
        self._counts.seek(0)
        values = np.frombuffer(self._counts.read(), self._count_kind).astype(kind)
        self._counts.seek(0)
        self._counts.write(values.tobytes())
        self._count_kind = kind


@contextmanager
def _wording(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _storage_error(folder, error) from error


def _storage_error(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{folder}: the frames could not be kept: {error.strerror or error}. Free some space or check the rights, or "
        "choose another data_dir"
    )
