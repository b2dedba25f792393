"""Small sets in the real file format, written by the tests themselves."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

WriteIdx = Callable[..., None]
WriteSet = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture
def write_idx() -> WriteIdx:
    """``write_idx(path, array)``: an IDX file of a uint8 tensor, gzipped where the path ends in .gz."""

    def write(path: Path, array: Tensor) -> None:
        content = (
            bytes([0, 0, 8, array.dim()]) + struct.pack(f">{array.dim()}I", *array.shape) + array.numpy().tobytes()
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)

    return write


@pytest.fixture
def write_set(write_idx: WriteIdx) -> WriteSet:
    """``write_set(folder, suffix="")``: a set of 60 training and 20 test images; returns all images and labels."""

    def write(folder: Path, suffix: str = "", seed: int = 0) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (80, 28, 28), generator=generator, dtype=torch.uint8)
        labels = (torch.arange(80) % 10).to(torch.uint8)
        write_idx(folder / f"train-images-idx3-ubyte{suffix}", images[:60])
        write_idx(folder / f"train-labels-idx1-ubyte{suffix}", labels[:60])
        write_idx(folder / f"t10k-images-idx3-ubyte{suffix}", images[60:])
        write_idx(folder / f"t10k-labels-idx1-ubyte{suffix}", labels[60:])
        return images, labels

    return write
