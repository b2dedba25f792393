"""The IDX file format of MNIST and similar sets: a magic number, the dimensions, then the bytes.

offset 0        0 0 8 D         two zeros, 8 for unsigned bytes, D for the number of dimensions
offset 4        D sizes         32-bit, big-endian
offset 4 + 4 D  the data        one byte each, the last dimension fastest
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from snnrun.errors import DataError


def read_idx(path: Path, num_dimensions: int) -> Tensor:
    """The array in an IDX file of unsigned bytes; a file named ``*.gz`` is decompressed.

    Args:
        num_dimensions: required number of dimensions, 3 for images and 1 for labels.

    Returns:
        uint8, with the shape in the file.

    Raises:
        DataError: the file cannot be read, or is not exactly such an array; it names file and fault.
    """
    content = _content(path)
    start = 4 + 4 * num_dimensions
    if len(content) < start:
        raise DataError(f"{path}: truncated: expected a header of {start} bytes, got {len(content)} bytes")
    expected = bytes([0, 0, 8, num_dimensions])
    if content[:4] != expected:
        raise DataError(
            f"{path}: wrong magic number: expected {expected.hex(' ')} "
            f"(IDX, unsigned bytes, {num_dimensions} dimensions), got {content[:4].hex(' ')}"
        )
    shape = struct.unpack_from(f">{num_dimensions}I", content, 4)
    size = math.prod(shape)
    if size == 0:
        raise DataError(f"{path}: no data: its dimensions are {shape}")
    if len(content) != start + size:
        fault = "truncated" if len(content) < start + size else "too long"
        raise DataError(
            f"{path}: {fault}: dimensions {shape} need {start + size} bytes with the header, got {len(content)}"
        )
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).view(shape)


def _content(path: Path) -> bytearray:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                return bytearray(file.read())
        return bytearray(path.read_bytes())
    except EOFError:
        raise DataError(f"{path}: truncated: the compressed data ends too early") from None
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: not a whole gzip file: {error}") from None
    except zlib.error as error:
        raise DataError(f"{path}: damaged compressed data: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
