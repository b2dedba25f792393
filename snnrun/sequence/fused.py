"""The fused execution: one ``autograd.Function`` over the whole sequence, made from the neuron's own ``step``.

The step is recorded as a program of elementwise operations (``symbol``), the chain rule turns that into the program of
its adjoint (``adjoint``), and a kernel runs either of them over all time steps in one pass (``kernel_llvm`` on the CPU,
``kernel_torch`` elsewhere). There is no second definition of any neuron, and none to keep in step with the first.

Saved for backward: the membrane, where the trace holds it anyway; spikes as bytes, other parts of the state and the
input only where the adjoint asks for them. A trace without membranes is cheaper still: then only the input is saved,
and the way back runs forwards once more, block by block, so that what it needs never leaves the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.errors import ArgumentError, Description
from snnrun.neuron import Neuron
from snnrun.sequence.kernel import eager, llvm
from snnrun.sequence.kernel.kernel import Kernel
from snnrun.sequence.kernel.plan import Backward, Forward, Recipe, backward_plan, forward_plan
from snnrun.sequence.record.program import Node
from snnrun.sequence.record.tracer import record


def run(
    neuron: Neuron, x: Tensor, state: Any, steps: int, *, membrane: bool = True
) -> tuple[Tensor, Tensor, Tensor | None, Any]:
    """Output (spikes) ``[T, B, *N]``, membranes, how often each neuron fired, and the last state, for T = ``steps``.

    ``x`` is ``[T, B, *N]``, or ``[1, B, *N]`` for an input that stays the same. Membranes are ``[T, B, *N]``, or
    ``[0, B, *N]`` if ``membrane`` is false; the counts ``[B, *N]``, or None where the output is no spike of 0 or 1.
    Without a state it begins in the neuron's initial one.

    Raises:
        Unfusable: if the neuron's step is not elementwise.
        ValueError: for a state that does not fit the input, or has other spikes than 0 and 1.
    """
    step = record(neuron)
    recipe = Recipe.of(step)
    begin = neuron.initial_state(x[0]) if state is None else state
    if state is not None:
        for k, (name, value) in enumerate(zip(state._fields, state, strict=True)):
            _check(name, value, x, as_spikes=recipe.kind(k) == "bytes")
    first = [value.to(x.dtype) for value in begin]
    output, membranes, fired, *last = _Fused.apply(recipe, steps, membrane, x, *first, *step.captured)
    return output, membranes, fired, type(begin)(*last)


def _check(name: str, value: Tensor, x: Tensor, *, as_spikes: bool) -> None:
    if value.shape != x.shape[1:]:
        raise ArgumentError(f"state.{name}", f"the shape of a step, {list(x.shape[1:])}", list(value.shape))
    if as_spikes and not bool(((value == 0) | (value == 1)).all()):
        raise ArgumentError(
            f"state.{name}", "spikes of 0 and 1", Description("other values"), advice="use backend=reference for those"
        )


def forwards(
    recipe: Recipe,
    plan: Forward,
    steps: int,
    x: Tensor,
    first: Sequence[Tensor],
    captured: Sequence[Tensor],
    further: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """All arrays of the way forwards by their names: ``output``, ``fired`` and ``last0``, those that are recorded.

    ``further``: those of a narrow product.
    """
    like = x[0]
    shape = (steps, *like.shape)
    tensors = {**(further or {}), "x": _steps(x, steps), **_rows(recipe.nodes, captured, like)}
    tensors |= {f"first{k}": value.contiguous() for k, value in enumerate(first)}
    tensors |= {array.name: like.new_empty(like.shape) for _, array in (*plan.kernel.last, *plan.kernel.sums)}
    for _, array in plan.kernel.writes:
        tensors[array.name] = x.new_empty(shape, dtype=torch.uint8 if array.kind == "bytes" else x.dtype)
    _call(plan.kernel, recipe.numbers, captured, tensors, steps, like)
    return tensors


def backwards(
    recipe: Recipe,
    plan: Backward,
    steps: int,
    saved: dict[str, Tensor],
    first: Sequence[Tensor],
    captured: Sequence[Tensor],
    given: Mapping[str, Tensor],
    further: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """All arrays of the way back: ``grad_x``, ``grad_first0``, and ``grad0`` for the first of what is captured.

    Args:
        saved: what was recorded on the way forwards.
        given: the gradients that come in: ``grad_output``, ``grad_membrane``, and ``grad_last0``.
        further: the arrays of a narrow product.
    """
    kernel, made = plan
    like = first[0]
    tensors = {
        **(further or {}),
        **saved,
        **_rows([*kernel.nodes, *(kernel.replay.nodes if kernel.replay else ())], captured, like),
    }
    if "x" in tensors:
        tensors["x"] = _steps(tensors["x"], steps)
    for name, grad in given.items():
        tensors[name] = grad.contiguous() if name.startswith("grad_last") else _steps(grad, steps)
    for k, value in enumerate(first):
        as_bytes = recipe.kind(k) == "bytes" and kernel.replay is None
        tensors[f"first{k}"] = value.to(torch.uint8) if as_bytes else value.contiguous()
    for i in made.handed:
        surrogate = recipe.surrogates[recipe.nodes[i][3]]
        tensors[f"handed{i}"] = surrogate.derivative(tensors[f"excess{i}"]).contiguous()
    for _, array in (*kernel.sums, *kernel.last):
        tensors[array.name] = like.new_empty(like.shape)
    for _, array in kernel.writes:
        tensors[array.name] = like.new_empty((steps, *like.shape))
    _call(kernel, made.program.numbers, captured, tensors, steps, like)
    return tensors


_X, _BEFORE = 3, 4  # where the input stands among the arguments of _Fused, and where the states begin


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, recipe: Recipe, steps: int, membrane: bool, x: Tensor, *others: Tensor
    ) -> tuple[Tensor | None, ...]:
        size = len(recipe.new)
        first, captured = others[:size], others[size:]
        needs = frozenset(j for j in range(len(captured)) if ctx.needs_input_grad[_BEFORE + size + j])
        plan = forward_plan(recipe, ctx.needs_input_grad[_X], needs, any(ctx.needs_input_grad), membrane)
        tensors = forwards(recipe, plan, steps, x, first, captured)

        ctx.recipe, ctx.needs, ctx.saves, ctx.size = recipe, needs, plan.saves, size
        ctx.steps, ctx.constant, ctx.replays = steps, x.shape[0] < steps, plan.replays
        ctx.save_for_backward(*first, *captured, *(x if name == "x" else tensors[name] for name in plan.saves))
        ctx.set_materialize_grads(False)
        membranes = tensors["membrane"] if membrane else x.new_empty((0, *x.shape[1:]))
        fired = tensors.get("fired")
        ctx.mark_non_differentiable(*([] if fired is None else [fired]), *([] if membrane else [membranes]))
        return tensors["output"], membranes, fired, *(tensors[f"last{k}"] for k in range(size))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        recipe, size = ctx.recipe, ctx.size
        count = len(ctx.saved_tensors) - size - len(ctx.saves)
        result: list[Tensor | None] = [None] * (_BEFORE + size + count)
        if all(grad is None for grad in grads):
            return tuple(result)
        first, captured = ctx.saved_tensors[:size], ctx.saved_tensors[size : size + count]
        saved = dict(zip(ctx.saves, ctx.saved_tensors[size + count :], strict=True))
        names = ("grad_output", "grad_membrane", "", *(f"grad_last{k}" for k in range(size)))
        given = {name: grad for name, grad in zip(names, grads, strict=True) if grad is not None}
        plan = backward_plan(
            recipe,
            ctx.needs_input_grad[_X],
            ctx.needs,
            frozenset(given),
            frozenset(k for k in range(size) if ctx.needs_input_grad[_BEFORE + k]),
            ctx.constant,
            ctx.replays,
        )
        tensors = backwards(recipe, plan, ctx.steps, saved, first, captured, given)

        x = tensors.get("grad_x")
        result[_X] = x[None] if x is not None and ctx.constant else x
        for k in range(size):
            result[_BEFORE + k] = tensors.get(f"grad_first{k}")
        for j in plan.adjoint.captured:
            result[_BEFORE + size + j] = sum_to(tensors[f"grad{j}"], captured[j])
        return tuple(result)


def _call(
    kernel: Kernel,
    numbers: Sequence[float],
    captured: Sequence[Tensor],
    tensors: dict[str, Tensor],
    steps: int,
    like: Tensor,
) -> None:
    if not like.numel():
        for _, array in (*kernel.sums, *kernel.last, *kernel.writes):
            tensors[array.name].zero_()
        return
    values = [*numbers, *(tensor.item() if tensor.numel() == 1 else 0.0 for tensor in captured)]
    if kernel.narrow is not None:
        llvm.call_narrow(kernel, values, tensors, steps, like, tensors.get("grad_weights"))
        return
    execution = llvm if llvm.supports(like) else eager
    execution.call(kernel, values, tensors, steps, like)


def _rows(nodes: Sequence[Node], captured: Sequence[Tensor], like: Tensor) -> dict[str, Tensor]:
    """One value per neuron of the batch, for each captured tensor that is no single number."""
    used = {node[1] for node in nodes if node[0] == "row"}
    return {f"row{j}": captured[j].to(like).expand(like.shape).contiguous() for j in used}


def _steps(x: Tensor, steps: int) -> Tensor:
    """``[T, B, *N]`` with contiguous steps; one that stands in memory once stays so."""
    if x.shape[0] < steps or x.stride(0) == 0:
        return x[:1].contiguous().expand(steps, *x.shape[1:])
    return x.contiguous()


def sum_to(gradient: Tensor, like: Tensor) -> Tensor:
    """The sum over neurons and samples that share one number, in an order that no thread has a part in."""
    values: np.ndarray[Any, Any] = gradient.double().cpu().numpy()
    values = values.sum(tuple(range(values.ndim - like.dim())))
    shared = tuple(i for i, n in enumerate(like.shape) if n == 1)
    return torch.as_tensor(values.sum(shared, keepdims=True)).reshape(like.shape).to(like)
