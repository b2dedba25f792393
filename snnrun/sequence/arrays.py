"""The tensors of a call as the arrays of a kernel, and gradients in the shape of the tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnrun.sequence.kernel.kernel import Key
from snnrun.sequence.record.program import Node
from snnrun.system.device import wide

Arrays = dict[Key, Tensor]


def values_of(numbers: Sequence[float], captured: Sequence[Tensor]) -> list[Any]:
    """The numbers of a kernel: its program's numbers, and the captured tensors of one number.

    Those on the CPU are numbers. Others stay tensors ``[]``, since reading them would wait for the device.
    """

    def value(tensor: Tensor) -> float | Tensor:
        if tensor.numel() != 1:
            return 0.0
        return tensor.item() if tensor.device.type == "cpu" else tensor.reshape(())

    return [*numbers, *map(value, captured)]


def rows_of(nodes: Sequence[Node], captured: Sequence[Tensor], like: Tensor, dtype: torch.dtype) -> Arrays:
    """One value per neuron of the batch, in ``dtype``, for each captured tensor with several numbers."""
    rows = {node[1] for node in nodes if node[0] == "row"}
    return {Key("row", j): captured[j].to(like.device, dtype).expand(like.shape).contiguous() for j in rows}


def steps_of(x: Tensor, steps: int) -> Tensor:
    """``[T, B, *N]`` with contiguous steps; a constant input stays in memory once."""
    if x.shape[0] < steps or x.stride(0) == 0:
        return x[:1].contiguous().expand(steps, *x.shape[1:])
    return x.contiguous()


def has_channels_last(x: Tensor) -> bool:
    """True for ``[T, B, C, H, W]`` whose channels are last in memory.

    A neuron does not care for the order of its layer, so kernels run on the order that there is.
    """
    return x.dim() == 5 and not x.is_contiguous() and x.movedim(2, -1)[0].is_contiguous()


def like_steps(x: Tensor, steps: int) -> Tensor:
    """Room for ``steps`` steps of the shape of ``x`` ``[T, B, *N]``, in the same order in memory."""
    if has_channels_last(x):
        return x.new_empty((steps, *x.movedim(2, -1).shape[1:])).movedim(-1, 2)
    return x.new_empty((steps, *x.shape[1:]))


def channels_last(
    x: Tensor, first: Sequence[Tensor], captured: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Input ``[T, B, C, H, W]``, first state and captured tensors of a layer of images, in the order ``[H, W, C]``."""

    def move(tensor: Tensor) -> Tensor:
        if tensor.numel() == 1:
            return tensor
        return tensor.reshape((1,) * (3 - tensor.dim()) + tensor.shape).movedim(-3, -1)

    return x.movedim(2, -1), [value.movedim(1, -1) for value in first], [move(each) for each in captured]


def sum_to(gradient: Tensor, like: Tensor) -> Tensor:
    """The sum over neurons and samples that share one number, in an order independent of threads."""
    if gradient.device.type != "cpu":  # without waiting for the device, whose sums have a fixed order
        before = gradient.dim() - like.dim()
        axes = [*range(before), *(before + i for i, n in enumerate(like.shape) if n == 1)]
        sums = wide(gradient)
        # Without axes torch would sum over all of them.
        return (sums.sum(axes) if axes else sums).reshape(like.shape).to(like)
    values: np.ndarray[Any, Any] = gradient.double().cpu().numpy()
    values = values.sum(tuple(range(values.ndim - like.dim())))
    shared = tuple(i for i, n in enumerate(like.shape) if n == 1)
    return torch.as_tensor(values.sum(shared, keepdims=True)).reshape(like.shape).to(like)
