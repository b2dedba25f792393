"""What a benchmark asks of the device on which it runs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

import torch


def synchronize(device: str) -> None:
    """Wait until the device has done all work; nothing on the CPU, which does it at once."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def peaks(steps: Mapping[str, Callable[[], object]], device: str) -> dict[str, int]:
    """Bytes that each step adds at its peak to what is allocated before it, weights and input; empty on the CPU."""
    found: dict[str, int] = {}
    for name, step in steps.items() if device != "cpu" else ():
        gc.collect()
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        synchronize(device)
        found[name] = torch.cuda.max_memory_allocated(device) - before
    return found


def facts(device: str) -> dict[str, Any]:
    """Name and versions of a GPU; empty on the CPU."""
    if device == "cpu":
        return {}
    properties = torch.cuda.get_device_properties(device)
    return {"name": properties.name, "memory_bytes": properties.total_memory, "cuda": torch.version.cuda}
