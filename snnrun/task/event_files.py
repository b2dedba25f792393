"""The files of event cameras: the content of a folder or an archive, and the formats of single recordings.

======== ======================================================================================================
``.bin``     N-MNIST: 5 bytes an event: x, y, 1 bit polarity and 23 bits time in µs, big-endian
``.npy``     DVS Gesture from tonic: an array [n, 4] of x, y, polarity and time in ms
``.aedat``   AEDAT 2, of CIFAR10-DVS: text lines with ``#``, then 8 bytes an event: address and time in µs, big-endian
``.aedat``   AEDAT 3.1, of DVS Gesture from its authors: see ``aedat3``
``.aedat4``  AEDAT 4, of CIFAR10-DVS from tonic: see ``aedat4``
======== ======================================================================================================
"""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.errors import DataError, StorageError

Array = NDArray[Any]

#: What the readers of archives raise at a damaged one.
_DAMAGES = (
    *(zipfile.BadZipFile, gzip.BadGzipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError),
)
_LARGEST = 2**53  # larger floats are not exact, and not coordinates or times


class Recording(NamedTuple):
    """The events of one recording, four arrays ``[n]``."""

    t: Array  # µs
    x: Array
    y: Array
    p: Array  # 0 or 1


class Member(NamedTuple):
    """A file in a folder or an archive."""

    name: str  # with the folder that it is in: 0/00002.bin
    source: str  # for messages
    content: bytes


Decoder = Callable[[bytes, str], Recording]


class MissingPackage(DataError):
    """A package that reads the files is not installed."""

    def __init__(self, source: object, what: str, package: str) -> None:
        super().__init__(
            f"{source}: {what} is read by the package {package}, which is not installed.\n"
            "Install it with: pip install 'snnrun[events]'"
        )


def members(path: Path, suffix: str, most: int | None = None) -> Iterator[Member]:
    """Every file ``*suffix`` of a folder, a zip file (including zip files in it) or a tar file (gzip or xz).

    Hidden files are skipped, and so are links in a tar file. Files are in order of names, except in a tar file, which
    is read once from beginning to end.

    Args:
        most: bytes that a file in a folder or a tar file may have; None: any number.

    Raises:
        DataError: a file cannot be read or is too large, or an archive is damaged; it names the file.
    """
    try:
        if path.is_dir():
            yield from _of_folder(path, suffix, most)
        elif path.suffix == ".zip":
            with path.open("rb") as file:
                yield from _of_zip(file, suffix, path, path.stem)
        else:
            yield from _of_tar(path, suffix, most)
    except _DAMAGES as error:
        raise DataError(f"{path}: a damaged archive: {' '.join(str(error).split()) or 'it ends too early'}") from None
    except OSError as error:
        raise read_error(path, error) from None


def read_error(path: Path, error: OSError) -> DataError | StorageError:
    """The error for an OSError while an archive was read, or unpacked beside itself."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"{path}: no space to unpack it beside it; free some, or unpack it into its folder")
    return DataError(f"{error.filename or path}: cannot be read: {error.strerror or error}")


def nmnist(content: bytes, source: str) -> Recording:
    """A recording of N-MNIST; an event with y = 240 means that 2¹³ µs have passed."""
    if len(content) % 5:
        raise DataError(f"{source}: expected 5 bytes for each event, got {len(content)} bytes: truncated?")
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, 5)
    times = (rows[:, 2] & 127).astype(np.int64) << 16 | rows[:, 3].astype(np.int64) << 8 | rows[:, 4]
    overflow = rows[:, 1] == 240
    if overflow.any():
        times, rows = (times + (np.cumsum(overflow) << 13))[~overflow], rows[~overflow]
    return Recording(times, rows[:, 0], rows[:, 1], rows[:, 2] >> 7)


def npy(content: bytes, source: str) -> Recording:
    """A recording of DVS Gesture in tonic's form; its times become µs."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{source}: not a whole NPY file: {' '.join(str(error).split())}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "uif":
        got = f"{list(array.shape)} of {array.dtype}" if isinstance(array, np.ndarray) else "an NPZ file"
        raise DataError(f"{source}: expected an array [n, 4] of x, y, polarity and time in ms, got {got}")
    if (wrong := ~(np.abs(array) < _LARGEST)).any():  # NaN included
        raise DataError(f"{source}: expected numbers below 2**53, got {array[wrong][0]} (event {_row(wrong)})")
    return Recording(array[:, 3].astype(np.int64) * 1000, array[:, 0], array[:, 1], array[:, 2])


def aedat2(content: bytes, source: str) -> Recording:
    """A recording of a DVS128 in AEDAT 2, turned upright as in SpikingJelly's CIFAR10-DVS."""
    start = 0
    while content[start : start + 1] == b"#":
        start = content.find(b"\n", start) + 1
        if not start:
            raise DataError(f"{source}: truncated: it ends in its header")
    if not content.startswith(b"#!AER-DAT2"):
        raise DataError(f"{source}: expected AEDAT 2, beginning with #!AER-DAT2, got {content[:12]!r}")
    if (len(content) - start) % 8:
        raise DataError(f"{source}: expected 8 bytes for each event, got {len(content) - start} bytes: truncated?")
    rows = np.frombuffer(content, dtype=">u4", offset=start).reshape(-1, 2).astype(np.int64)
    address = rows[:, 0]
    return Recording(rows[:, 1], 127 - (address >> 8 & 127), 127 - (address >> 1 & 127), 1 - (address & 1))


def aedat3(content: bytes, source: str) -> Recording:
    """The events of an AEDAT 3.1 file: after the header, packets of 28 bytes and then so many events of one kind."""
    if not content.startswith(b"#!AER-DAT3"):
        raise DataError(f"{source}: expected AEDAT 3, beginning with #!AER-DAT3, got {content[:12]!r}")
    end = b"#!END-HEADER\r\n"
    place = content.find(end) + len(end)
    if place < len(end):
        raise DataError(f"{source}: truncated: it ends in its header")
    events = [np.zeros((0, 2), np.int64)]
    while place < len(content):
        if place + 28 > len(content):
            raise DataError(f"{source}: truncated: it ends within a packet")
        kind, _, size, _, overflow, capacity, number, _ = struct.unpack_from("<hhiiiiii", content, place)
        place += 28
        if not (0 <= number <= capacity and size > 0 and place + size * capacity <= len(content)):
            raise DataError(f"{source}: truncated or damaged: it ends within a packet of {capacity} events")
        if kind == 1:  # polarity events; other kinds describe the camera
            if size != 8:
                raise DataError(f"{source}: expected 8 bytes for each event, got {size}")
            rows = np.frombuffer(content, "<u4", 2 * number, place).reshape(-1, 2).astype(np.int64)
            rows[:, 1] += overflow << 31
            events.append(rows[(rows[:, 0] & 1) > 0])  # the others are marked as invalid
        place += size * capacity
    word, times = np.concatenate(events).T
    return Recording(times, word >> 17, word >> 2 & 0x7FFF, word >> 1 & 1)


def aedat4(content: bytes, source: str) -> Recording:
    """The events of an AEDAT 4 file, in its first stream with events; needs the package lz4.

    After ``#!AER-DAT4.0`` come the size of a header, the header, and packets (stream, size, content, which may be
    compressed) up to a table; the header has its position. Header and packets are FlatBuffers: the first word points
    to a table, and the first word of the table to a list of the positions of its fields.
    """
    try:
        import lz4.frame
    except ImportError:
        raise MissingPackage(source, "AEDAT 4", "lz4") from None
    if not content.startswith(b"#!AER-DAT4"):
        raise DataError(f"{source}: expected AEDAT 4, beginning with #!AER-DAT4, got {content[:12]!r}")
    try:
        place = content.index(b"\n") + 1
        (size,) = struct.unpack_from("<I", content, place)
        header, place = content[place + 4 : place + 4 + size], place + 4 + size
        compression = struct.unpack_from("<i", header, at)[0] if (at := _field(header, 0)) else 0
        if compression not in (0, 1, 2):
            raise DataError(f"{source}: expected no compression, or LZ4, got compression {compression} (Zstandard?)")
        end = struct.unpack_from("<q", header, at)[0] if (at := _field(header, 1)) else -1
        end = len(content) if end < 0 else end
        if end > len(content):
            raise ValueError("it ends before its table")
        packets: dict[int, list[Array]] = {}
        while place < end:
            stream, size = struct.unpack_from("<iI", content, place)
            body = content[place + 8 : place + 8 + size]
            place += 8 + size
            if place > end:
                raise ValueError("it ends within a packet")
            body = lz4.frame.decompress(body) if compression else body
            if body[8:12] == b"EVTS":
                packets.setdefault(stream, []).append(_vector(body[4:]))
    except (struct.error, ValueError, IndexError, RuntimeError, EOFError, MemoryError) as error:
        raise DataError(f"{source}: not a whole AEDAT 4 file: {' '.join(str(error).split())}") from None
    rows = np.concatenate(packets[min(packets)]) if packets else np.zeros(0, _AEDAT4)
    t, x, y, p = (rows[name].astype(np.int64) for name in ("t", "x", "y", "p"))
    return Recording(t, x, y, p)


_AEDAT4 = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("_", "V3")])


def _field(table: bytes, number: int) -> int:
    """The position of a field in a FlatBuffer's first table; 0 if it has its default."""
    (root,) = struct.unpack_from("<I", table, 0)
    fields = root - struct.unpack_from("<i", table, root)[0]
    (size,) = struct.unpack_from("<H", table, fields)
    (offset,) = struct.unpack_from("<H", table, fields + 4 + 2 * number) if 4 + 2 * number < size else (0,)
    return root + offset if offset else 0


def _vector(packet: bytes) -> Array:
    """The events of a packet, ``[n]`` of four fields."""
    if not (at := _field(packet, 0)):
        return np.zeros(0, _AEDAT4)
    at += struct.unpack_from("<I", packet, at)[0]
    (count,) = struct.unpack_from("<I", packet, at)
    return np.frombuffer(packet, _AEDAT4, count, at + 4)


DECODERS: dict[str, Decoder] = {".bin": nmnist, ".npy": npy, ".aedat": aedat2, ".aedat4": aedat4}


def _of_folder(path: Path, suffix: str, most: int | None) -> Iterator[Member]:
    for name in _names(path, suffix):
        _check_size((path / name).stat().st_size, most, path / name)
        yield Member(_short(path.name, name), str(path / name), (path / name).read_bytes())


def files_of(path: Path, suffix: str | tuple[str, ...]) -> list[tuple[str, int, int]]:
    """A fingerprint of a folder or archive: names, sizes and modification times, without reading the content."""
    files = []
    for name in _names(path, suffix) if path.is_dir() else [""]:
        status = os.stat(path / name)
        files.append((name or path.name, status.st_size, status.st_mtime_ns))
    return files


def _names(path: Path, suffix: str | tuple[str, ...]) -> list[str]:
    files = []
    for folder, _, names in os.walk(path):
        inside = Path(folder).relative_to(path).as_posix()
        files += [f"{inside}/{name}" for name in names if name.endswith(suffix) and not name.startswith(".")]
    return sorted(files)


def _of_zip(file: IO[bytes], suffix: str, path: Path, folder: str) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            last = PurePosixPath(name)
            if last.name.startswith(".") or name.endswith("/"):
                continue
            if name.endswith(suffix):
                short = _short(folder, name)
                yield Member(short, f"{path}: {short}", archive.read(name))
            elif name.endswith(".zip"):
                # Beside the archive: the unpacked file may be too large for the memory or the temporary folder.
                with tempfile.TemporaryFile(dir=path.parent) as inner:
                    with archive.open(name) as packed:
                        shutil.copyfileobj(packed, inner, 1 << 20)
                    inner.seek(0)
                    yield from _of_zip(inner, suffix, path, last.stem)


def _check_size(size: int, most: int | None, source: object) -> None:
    if most is not None and size > most:
        raise DataError(f"{source}: expected a file of at most {most} bytes, got {size}")


def _of_tar(path: Path, suffix: str, most: int | None) -> Iterator[Member]:
    with lzma.open(path) if path.suffix == ".xz" else gzip.open(path) as file:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and name.endswith(suffix) and not name.startswith("."):
                    inside = archive.extractfile(member)
                    assert inside is not None  # a regular file
                    short = _short("", member.name)
                    _check_size(member.size, most, f"{path}: {short}")
                    yield Member(short, f"{path}: {short}", inside.read())
        while file.read(1 << 20):  # up to the checksum: for tarfile a damaged entry is the end
            pass


def _short(folder: str, name: str) -> str:
    return "/".join(PurePosixPath(folder, name).parts[-2:])


def _row(wrong: Array) -> int:
    return int(wrong.any(axis=1).argmax())
