"""Reads a pickle of lists, dictionaries, texts, numbers and arrays of bytes, and nothing else.

A pickle is a program: it may name any function and call it. This reader allows three names, all of numpy arrays,
and replaces them by placeholders that store their arguments; numpy itself gets bytes and a shape, both checked. So a
file from any source is only data, whereas a checksum would accept only one publisher's exact bytes.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from snnrun.errors import DataError


def read_pickle(path: Path) -> Any:
    """The content of the file; texts of Python 2 are read as Latin-1, and arrays are ``uint8``.

    Only arrays that are values of a dictionary at the top, as in CIFAR, are read.

    Raises:
        DataError: it is not such a pickle, or is damaged.
    """
    try:
        with path.open("rb") as file:
            content = _Reader(file, encoding="latin1").load()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except EOFError:
        raise DataError(f"{path}: truncated: the pickle ends too early") from None
    except Exception as error:  # garbage causes many kinds of errors
        message = " ".join(str(error).split()) or type(error).__name__
        fault = "truncated" if "truncated" in message or "Ran out" in message else "no pickle of plain data"
        raise DataError(f"{path}: {fault}: {message}") from None
    if isinstance(content, dict):
        return {key: _array(path, key, value) if isinstance(value, _Array) else value for key, value in content.items()}
    return content


class _Placeholder:
    """Stores the arguments and the state from a pickle, to be checked afterwards."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Placeholder):
    pass


class _Type(_Placeholder):
    pass


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,  # numpy 2
    ("numpy", "ndarray"): _Placeholder,
    ("numpy", "dtype"): _Type,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused")
        return _STAND_INS[module, name]


def _array(path: Path, key: Any, placeholder: _Array) -> np.ndarray:
    """The array that a pickle describes, if it is an array of bytes."""
    try:
        _, shape, kind, column_first, data = placeholder.state
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
