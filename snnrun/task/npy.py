"""Arrays in NPY and NPZ files: checked by their headers, and read without pickle."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from snnrun.errors import DataError

#: Errors of broken files.
_BROKEN = (OSError, ValueError, EOFError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class LazyArray(NamedTuple):
    """An array that is read on request.

    Attributes:
        place: file and name, for messages.
        read: returns the array; for an NPY file a memory map, which reads only the used parts.
    """

    place: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


class Store:
    """The arrays in an NPZ file, or in the NPY files of a folder.

    Raises:
        DataError: ``path`` is neither of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            self.names = sorted(file.stem for file in path.iterdir() if file.suffix == ".npy" and file.is_file())
            return
        if not path.is_file() or path.suffix != ".npz":
            raise DataError(f"{path}: expected an .npz file, or a folder with an .npy file for each array")
        try:
            with zipfile.ZipFile(path) as archive:
                self.names = sorted(Path(name).stem for name in archive.namelist() if name.endswith(".npy"))
        except _BROKEN as error:
            raise DataError(f"{path}: {_fault(error)}; expected a file as np.savez writes it") from None

    def array(self, name: str) -> LazyArray:
        """The array ``name``, by its header.

        Raises:
            DataError: it is missing, damaged, or does not hold numbers.
        """
        if name not in self.names:
            raise DataError(f"{self.path}: expected an array {name}; there are {', '.join(self.names) or 'none'}")
        inside = not self.path.is_dir()
        file = self.path if inside else self.path / f"{name}.npy"
        place = f"{file}: {name}" if inside else str(file)
        try:
            if inside:
                with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
                    shape, column_first, dtype, start = _header(stream)
                    size = archive.getinfo(f"{name}.npy").file_size
            else:
                with file.open("rb") as stream:
                    shape, column_first, dtype, start = _header(stream)
                size = file.stat().st_size
        except _BROKEN as error:
            raise DataError(f"{place}: {_fault(error)}") from None
        if dtype.hasobject:
            raise DataError(
                f"{place}: expected numbers, got Python objects, which are never read: they may be programs"
            )
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise DataError(f"{place}: expected an array of integers, floats or booleans, got {dtype}")
        if size != start + math.prod(shape) * dtype.itemsize:
            fault = "truncated" if size < start + math.prod(shape) * dtype.itemsize else "too long"
            raise DataError(f"{place}: {fault}: {list(shape)} of {dtype} need other than {size - start} bytes")

        def read() -> np.ndarray:
            order: Literal["F", "C"] = "F" if column_first else "C"
            try:
                if not inside:
                    return np.memmap(file, dtype=dtype, mode="r", offset=start, shape=shape, order=order)
                with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
                    content = stream.read()
                return np.frombuffer(content, dtype, offset=start).reshape(shape, order=order)
            except _BROKEN as error:
                raise DataError(f"{place}: {_fault(error)}") from None
            except MemoryError:
                raise DataError(
                    f"{place}: {list(shape)} of {dtype} do not fit into memory; save each array as an .npy file in a "
                    "folder, from which only what is needed is read"
                ) from None

        return LazyArray(place, shape, dtype, read)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, True for column order, type, and the position of the numbers."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, column_first, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, column_first, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"format version {version} holds no plain array")
    if not all(type(n) is int and n >= 0 for n in shape):  # true is an int too
        raise ValueError(f"shape {shape}")
    return shape, column_first, dtype, stream.tell()


def _fault(error: BaseException) -> str:
    message = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return f"cannot be read: {message}"
