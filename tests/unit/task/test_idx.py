from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from snnrun.errors import DataError
from snnrun.task.idx import read_idx

# Two images of 2x3 pixels, byte by byte as the format is published.
IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, *range(12)])


def test_raw_and_gzipped_bytes_become_the_array(tmp_path: Path) -> None:
    expected = torch.arange(12, dtype=torch.uint8).view(2, 2, 3)
    raw, gzip_file = tmp_path / "images", tmp_path / "images.gz"
    raw.write_bytes(IMAGES)
    gzip_file.write_bytes(gzip.compress(IMAGES))
    for path in (raw, gzip_file):
        array = read_idx(path, 3)
        assert array.dtype == torch.uint8
        assert torch.equal(array, expected)


def test_sizes_are_big_endian(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 1, 2]) + bytes(258))
    assert read_idx(path, 1).shape == (258,)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "truncated: expected a header of 16 bytes, got 0 bytes"),
        (IMAGES[:10], "truncated: expected a header of 16 bytes, got 10 bytes"),
        (IMAGES[:-1], "truncated: dimensions (2, 2, 3) need 28 bytes with the header, got 27"),
        (IMAGES + b"\0", "too long: dimensions (2, 2, 3) need 28 bytes with the header, got 29"),
        (b"\0\0\x08\x01" + IMAGES[4:], "wrong magic number: expected 00 00 08 03 (IDX, unsigned bytes, 3 dimensions)"),
        (b"\0\0\x0d\x03" + IMAGES[4:], "wrong magic number: expected 00 00 08 03"),
        (b"<!DOCTYPE html><html>", "wrong magic number: expected 00 00 08 03"),
        (IMAGES[:4] + bytes(12), "no data: its dimensions are (0, 0, 0)"),
        (IMAGES[:4] + b"\xff" * 12, "truncated: dimensions (4294967295, 4294967295, 4294967295)"),
    ],
    ids=["empty", "in header", "in data", "trailing", "dimensions", "type", "web page", "no samples", "huge"],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["raw", "gz"])
def test_a_damaged_file_is_named_with_its_fault(
    tmp_path: Path, content: bytes, fault: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / ("images" if compress is bytes else "images.gz")
    path.write_bytes(compress(content))
    with pytest.raises(DataError) as error:
        read_idx(path, 3)
    assert str(error.value).startswith(f"{path}: {fault}")


GZIP = gzip.compress(IMAGES)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (GZIP[:-12], "truncated: the compressed data ends too early"),
        (GZIP[:-8] + b"\0\0\0\0" + GZIP[-4:], "not a whole gzip file"),
        (GZIP[:10] + b"\xff" * 20, "damaged compressed data"),
        (IMAGES, "not a whole gzip file"),
    ],
    ids=["cut off", "checksum", "garbage", "not compressed"],
)
def test_a_damaged_gzip_file_is_named_with_its_fault(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_idx(path, 3)
    assert str(error.value).startswith(f"{path}: {fault}")


def test_a_file_that_cannot_be_read_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path, 3)
