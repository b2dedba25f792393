"""Reads ``tests/reference/``: numbers from other libraries, copied unchanged; its README says what they are."""

from __future__ import annotations

import functools
import json
from typing import Any

import torch
from torch import Tensor

from support.paths import TESTS

FOLDER = TESTS / "reference"


@functools.cache
def entries(name: str) -> list[dict[str, Any]]:
    """All entries of one file, such as ``entries("neurons")``."""
    content = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return list(content["entries"])


def entry(name: str, identifier: str) -> dict[str, Any]:
    """The entry with this id."""
    return next(e for e in entries(name) if e["id"] == identifier)


def tensor(values: Any, dtype: torch.dtype = torch.float32) -> Tensor:
    """Nested lists as a tensor; they are read as doubles first, so that no digit is lost on the way."""
    return torch.tensor(values, dtype=torch.float64).to(dtype)


def assert_close_to_largest(actual: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    """Within ``tolerance`` of the largest absolute value, as the references ask for arrays."""
    scale = expected.abs().max().item() or 1.0
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * scale)
