"""Kernels in torch operations, for every device and dtype.

Values that do not depend on the previous step are computed for all steps in one call, before or after the loop over
time. The loop has only the sequential rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snnrun.sequence.kernel.kernel import Array, Kernel, Key
from snnrun.sequence.record.operation import OPERATIONS
from snnrun.sequence.record.program import Program


def call(kernel: Kernel, numbers: Sequence[Any], tensors: dict[Key, Tensor], steps: int, like: Tensor) -> None:
    """Run ``kernel`` on arrays given by key; see :func:`snnrun.sequence.kernel.llvm.call`.

    ``numbers``: floats, or tensors ``[]`` on the device.
    """
    if kernel.replay is not None:
        tensors = tensors | {array.key: like.new_empty((steps, *like.shape)) for array in kernel.scratch()}
        # Tensors of one number come after all others.
        first = [*numbers[: kernel.replay.numbers], *numbers[kernel.numbers :]]
        call(kernel.replay, first, tensors, steps, like)
    program = Program(kernel.nodes)
    whole = _leaves(kernel, program, numbers, tensors, like)
    state = [leaf for leaf, _, _ in kernel.carries]
    onwards = [node for _, node, _ in kernel.carries if node is not None]
    outputs = [node for node, _ in (*kernel.sums, *kernel.writes)]

    depends = set(state)  # on the step before
    for i in program.below([*onwards, *outputs]):
        if any(j in depends for j in program.args(i)):
            depends.add(i)
    inside = [i for i in program.below(onwards) if i in depends]
    after = [i for i in program.below(outputs) if i in depends and i not in inside]
    outside = program.below([*onwards, *outputs])
    for i in outside:
        if i not in depends and i not in whole:
            whole[i] = _value(program, i, whole, like)

    # Values of the loop that are needed outside are recorded for all steps.
    in_loop = {*inside, *state}
    to_record = {j for i in after for j in program.args(i)} | set(outputs)
    recordings = {i: like.new_empty((steps, *like.shape)) for i in sorted(to_record & in_loop)}
    # Directly into the result array, if it has the right dtype.
    recordings |= {i: tensors[array.key] for i, array in kernel.writes if i in recordings and array.kind != "bytes"}

    values: dict[int, Any] = {
        leaf: torch.zeros_like(like) if array is None else tensors[array.key].to(like.dtype)
        for leaf, _, array in kernel.carries
    }
    from_outside = {j for i in inside for j in program.args(i)} - in_loop

    def at(i: int, t: int) -> Any:
        over_time = isinstance(whole[i], Tensor) and whole[i].dim() > like.dim()
        return whole[i][t] if over_time else whole[i]

    for t in reversed(range(steps)) if kernel.backwards else range(steps):
        values.update((j, at(j, t)) for j in from_outside)
        for i in inside:
            if i not in state:
                values[i] = _value(program, i, values, like)
        for i, record in recordings.items():
            record[t] = values[i]
        new = [
            torch.zeros_like(like) if node is None else values[node] if node in in_loop else at(node, t)
            for _, node, _ in kernel.carries
        ]
        values.update(zip(state, (_one_step(value, like) for value in new), strict=True))

    for leaf, array in kernel.last:
        tensors[array.key].copy_(values[leaf])
    whole.update(recordings)
    for i in after:
        whole[i] = _value(program, i, whole, like)
    for node, array in kernel.writes:
        if whole[node] is not tensors[array.key]:
            tensors[array.key].copy_(_all_steps(whole[node], steps, like))
    for node, array in kernel.sums:
        tensors[array.key].copy_(_all_steps(whole[node], steps, like).sum(0))


def _leaves(
    kernel: Kernel, program: Program, numbers: Sequence[Any], tensors: dict[Key, Tensor], like: Tensor
) -> dict[int, Any]:
    """The leaves that need no loop: numbers, and arrays over all time."""
    leaves: dict[int, Any] = {}
    for i, (op, *args) in enumerate(program.nodes):
        if op == "literal":
            leaves[i] = args[0]
        elif op in ("number", "scalar"):
            leaves[i] = _in_dtype(numbers[args[0] if op == "number" else kernel.numbers + args[0]], like)
    for leaf, array in kernel.reads:
        leaves[leaf] = _read(tensors[array.key], array, like)
    for leaf, array, initial in kernel.before:
        record = _read(tensors[array.key], array, like)
        leaves[leaf] = torch.cat([tensors[initial.key][None].to(like.dtype), record[:-1]])
    return leaves


def _read(tensor: Tensor, array: Array, like: Tensor) -> Tensor:
    return tensor.to(like.dtype) if array.kind == "bytes" else tensor


def _one_step(value: Any, like: Tensor) -> Tensor:
    return _tensor(value, like).expand(like.shape)


def _all_steps(value: Any, steps: int, like: Tensor) -> Tensor:
    return _tensor(value, like).expand(steps, *like.shape)


def _in_dtype(value: Any, like: Tensor) -> Any:
    return value.to(like.dtype) if isinstance(value, Tensor) else value


def _tensor(value: Any, like: Tensor) -> Tensor:
    # A number is written on the device; a copy of it would wait.
    if isinstance(value, Tensor):
        return value.to(like.dtype)
    return torch.full((), value, dtype=like.dtype, device=like.device)


def _value(program: Program, i: int, values: dict[int, Any], like: Tensor) -> Any:
    op, *args = program.nodes[i]
    if op == "spike":
        x = values[args[0]]
        return (x >= 0 if args[1] else x > 0).to(like.dtype)
    operands = [values[j] for j in args]
    if not any(isinstance(value, Tensor) for value in operands):  # of numbers alone
        operands = [_tensor(value, like) for value in operands]
    elif op in ("where", "minimum", "maximum", "hypot") or not isinstance(operands[0], Tensor):
        operands = [value if isinstance(value, Tensor) else _tensor(value, like) for value in operands]
    result = OPERATIONS[op].torch(*operands)
    return result.to(like.dtype) if op == "number_of" else result
