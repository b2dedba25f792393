"""Reads a pickle of lists, dictionaries, texts, numbers and arrays of bytes, and nothing else.

A pickle is a program: it may name any function and call it. This reader knows three names, those with which a numpy
array begins, and has stand-ins for them that hold what they are given; numpy itself sees bytes and a shape, both
checked. So a file is data whoever it comes from, where a comparison of its checksum would let nothing but one
publisher's very bytes pass.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from snnrun.errors import DataError


def read_pickle(path: Path) -> Any:
    """What is in the file; texts of Python 2 are read as Latin-1, and arrays are of ``uint8``.

    Arrays are found as values of a dictionary at the top, where CIFAR has them; elsewhere they stay unread.

    Raises:
        DataError: it is no such pickle, or is damaged.
    """
    try:
        with path.open("rb") as file:
            content = _Reader(file, encoding="latin1").load()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except EOFError:
        raise DataError(f"{path}: truncated: the pickle ends too early") from None
    except Exception as error:  # what garbage makes of a reader of pickles has no end of names
        message = " ".join(str(error).split()) or type(error).__name__
        fault = "truncated" if "truncated" in message or "Ran out" in message else "no pickle of plain data"
        raise DataError(f"{path}: {fault}: {message}") from None
    if isinstance(content, dict):
        return {key: _array(path, key, value) if isinstance(value, _Array) else value for key, value in content.items()}
    return content


class _Held:
    """Keeps what a pickle would call and set; both are looked at afterwards."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Held):
    pass


class _Type(_Held):
    pass


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,  # numpy 2
    ("numpy", "ndarray"): _Held,
    ("numpy", "dtype"): _Type,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused")
        return _STAND_INS[module, name]


def _array(path: Path, key: Any, held: _Array) -> np.ndarray:
    """The array that a pickle describes, if it is one of bytes."""
    try:
        _, shape, kind, column_first, data = held.state
        name = kind.arguments[0] if isinstance(kind, _Type) else None
        size = math.prod(shape) if all(type(n) is int and n >= 0 for n in shape) else -1
        content = data.encode("latin1") if isinstance(data, str) else bytes(data)
    except (TypeError, ValueError, IndexError):
        raise DataError(f"{path}: {key}: expected an array, got something else") from None
    if name not in ("u1", "|u1") or not isinstance(shape, tuple):
        raise DataError(f"{path}: {key}: expected an array of bytes (u1), got one of {name!r}")
    if len(content) != size:
        raise DataError(f"{path}: {key}: expected {size} bytes for an array of {list(shape)}, got {len(content)}")
    array = np.frombuffer(bytearray(content), dtype=np.uint8)
    return np.ascontiguousarray(array.reshape(shape, order="F" if column_first else "C"))
