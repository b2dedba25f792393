"""The files of event cameras: what lies in a folder or an archive, and the formats of single recordings.

======== ======================================================================================================
``.bin``     N-MNIST: 5 bytes an event: x, y, 1 bit polarity and 23 bits time in µs, big-endian
``.npy``     DVS Gesture as tonic keeps it: an array [n, 4] of x, y, polarity and time in ms
``.aedat``   AEDAT 2, of CIFAR10-DVS: text lines with ``#``, then 8 bytes an event: address and time in µs, big-endian
``.aedat4``  AEDAT 4, of CIFAR10-DVS as tonic keeps it: read by the package aedat
======== ======================================================================================================
"""

from __future__ import annotations

import errno
import io
import os
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

MICROSECOND = 1e-6


class Recording(NamedTuple):
    """The events of one recording, four arrays ``[n]``."""

    t: Array  # µs
    x: Array
    y: Array
    p: Array  # 0 or 1


Decoder = Callable[[bytes, str], Recording]


class MissingPackage(DataError):
    """A package that reads the files is not installed."""

    def __init__(self, source: object, what: str, package: str) -> None:
        super().__init__(
            f"{source}: {what} is read by the package {package}, which is not installed.\n"
            "Install it with: pip install 'snnrun[events]'"
        )


def members(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Every file ``*suffix`` of a folder, a zip file (zip files in it included) or a tar file: its name and content.

    The name is the folder that it is in, and its own: ``0/00002.bin``. Hidden files are passed over. The order is that
    of the names, but for a tar file, which is read once from its beginning to its end.

    Raises:
        DataError: something cannot be read, or an archive is damaged; it names the file.
    """
    try:
        if path.is_dir():
            yield from _of_folder(path, suffix)
        elif path.suffix == ".zip":
            with path.open("rb") as file:
                yield from _of_zip(file, suffix, path)
        else:
            yield from _of_tar(path, suffix)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(f"{path}: a damaged archive: {' '.join(str(error).split()) or 'it ends too early'}") from None
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> DataError | StorageError:
    """What an error while an archive was read, or unpacked beside itself, says."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"{path}: no space to unpack it beside it; free some, or unpack it into its folder")
    return DataError(f"{error.filename or path}: cannot be read: {error.strerror or error}")


def nmnist(content: bytes, source: str) -> Recording:
    """A recording of N-MNIST, where an event with y = 240 says that 2¹³ µs went by."""
    if len(content) % 5:
        raise DataError(f"{source}: expected 5 bytes for each event, got {len(content)} bytes: truncated?")
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, 5).astype(np.int64)
    overflow = rows[:, 1] == 240
    times = ((rows[:, 2] & 127) << 16 | rows[:, 3] << 8 | rows[:, 4]) + (np.cumsum(overflow) << 13)
    kept = rows[~overflow]
    return Recording(times[~overflow], kept[:, 0], kept[:, 1], kept[:, 2] >> 7)


def npy(content: bytes, source: str) -> Recording:
    """A recording of DVS Gesture in tonic's form; its times become µs."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{source}: not a whole NPY file: {' '.join(str(error).split())}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "uif":
        got = f"{list(array.shape)} of {array.dtype}" if isinstance(array, np.ndarray) else "an NPZ file"
        raise DataError(f"{source}: expected an array [n, 4] of x, y, polarity and time in ms, got {got}")
    if not np.isfinite(array).all():
        raise DataError(f"{source}: expected finite numbers, got one that is not (event {_row(~np.isfinite(array))})")
    return Recording(array[:, 3].astype(np.int64) * 1000, array[:, 0], array[:, 1], array[:, 2])


def aedat2(content: bytes, source: str) -> Recording:
    """A recording of a DVS128 in AEDAT 2, turned upright as SpikingJelly turns CIFAR10-DVS."""
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


def aedat4(content: bytes, source: str) -> Recording:
    """The first stream of events in an AEDAT 4 file; needs the package aedat."""
    try:
        import aedat
    except ImportError:
        raise MissingPackage(source, "AEDAT 4", "aedat") from None
    with tempfile.TemporaryDirectory() as folder:  # it takes names of files only
        path = Path(folder, "recording.aedat4")
        path.write_bytes(content)
        try:
            decoder = aedat.Decoder(str(path))
            streams = [number for number, said in decoder.id_to_stream().items() if said["type"] == "events"]
            if not streams:
                raise DataError(f"{source}: expected a stream of events, got none")
            packets = [packet["events"] for packet in decoder if packet["stream_id"] == min(streams)]
        except DataError:
            raise
        except Exception as error:  # what its Rust part raises is documented nowhere
            raise DataError(f"{source}: not a whole AEDAT 4 file: {' '.join(str(error).split())}") from None
    t, x, y, p = (
        np.concatenate([packet[packet.dtype.names[column]].astype(np.int64) for packet in packets] or [np.zeros(0)])
        for column in range(4)
    )
    return Recording(t, x, y, p)


DECODERS: dict[str, Decoder] = {".bin": nmnist, ".npy": npy, ".aedat": aedat2, ".aedat4": aedat4}


def _of_folder(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    for name in _listed(path, suffix):
        yield _short(name), (path / name).read_bytes()


def files_of(path: Path, suffix: str | tuple[str, ...]) -> list[tuple[str, int, int]]:
    """What stands for the content of a folder or archive: names, sizes and times of change, without reading it."""
    found = []
    for name in _listed(path, suffix) if path.is_dir() else [""]:
        status = os.stat(path / name)
        found.append((name or path.name, status.st_size, status.st_mtime_ns))
    return found


def _listed(path: Path, suffix: str | tuple[str, ...]) -> list[str]:
    found = []
    for folder, _, names in os.walk(path):
        inside = Path(folder).relative_to(path).as_posix()
        found += [f"{inside}/{name}" for name in names if name.endswith(suffix) and not name.startswith(".")]
    return sorted(found)


def _of_zip(file: IO[bytes], suffix: str, path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            if PurePosixPath(name).name.startswith(".") or name.endswith("/"):
                continue
            if name.endswith(suffix):
                yield _short(name), archive.read(name)
            elif name.endswith(".zip"):
                # Beside the archive: what is unpacked may be larger than the memory or the folder for small files.
                with tempfile.TemporaryFile(dir=path.parent) as inner:
                    with archive.open(name) as packed:
                        while block := packed.read(1 << 20):
                            inner.write(block)
                    inner.seek(0)
                    yield from _of_zip(inner, suffix, path)


def _of_tar(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if member.isfile() and name.endswith(suffix) and not name.startswith("."):
                file = archive.extractfile(member)
                assert file is not None  # it is one
                yield _short(member.name), file.read()


def _short(name: str) -> str:
    return "/".join(PurePosixPath(name).parts[-2:])


def _row(wrong: Array) -> int:
    return int(wrong.any(axis=1).argmax())
