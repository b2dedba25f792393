"""Copies to a device without waiting for it, and the memory of a device."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from snnrun.errors import ArgumentError

#: Share of a device's free memory that the samples of a task may take. The rest is for the network and its training.
SHARE = 0.25


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor``, which is on the CPU, on ``device``; the program does not wait for the copy to a CUDA device.

    Such a copy starts from pinned memory, which torch reserves until the copy is complete.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def constant(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The numbers as a tensor ``[n]`` that nobody may change.

    A GPU gets the same numbers once: a copy from a list waits for the device, and a CUDA graph would copy from memory
    that is free by then.
    """
    if device.type == "cpu":
        return torch.tensor(values, dtype=dtype)
    return _stored(tuple(values), dtype, device)


@functools.cache  # without a limit, since a CUDA graph has the address of the numbers
def _stored(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype).to(device)


def wide(tensor: Tensor) -> Tensor:
    """``tensor`` in float64, for sums; on MPS, which lacks it, in float32."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def float64(device: torch.device) -> torch.dtype:
    """``torch.float64``, for what float32 is too coarse for.

    Raises:
        ArgumentError: for MPS, which lacks it.
    """
    if device.type == "mps":
        expected = "cpu or cuda, since a part of this run needs float64"
        raise ArgumentError("device", expected, "mps", advice="use device=cpu")
    return torch.float64


def fits(size: int, device: torch.device) -> bool:
    """True if ``size`` bytes of samples are to be stored on ``device``: at most ``SHARE`` of its free memory."""
    return size <= SHARE * free_memory(device)


def free_memory(device: torch.device) -> int:
    """The free bytes of a CUDA or MPS device; 0 for others, without memory of their own."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return 0
