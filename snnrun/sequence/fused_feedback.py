"""The fused execution of a layer whose output returns as its input: ``x[t] + W s[t-1] + b``.

The feedback is one more input of the recorded step. All neurons of a sample depend on each other through it, so a
kernel runs step by step; see ``kernel.steps``. On the CPU the samples are shared out to the threads once for all steps.

Saved for backward: the output, and the records that the adjoint reads.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.sequence.arrays import rows_of, steps_of, sum_to, values_of
from snnrun.sequence.kernel import llvm, steps
from snnrun.sequence.kernel.kernel import Kernel, Key
from snnrun.sequence.kernel.plan import FEEDBACK, GRAD_FEEDBACK, X, backward_plan, forward_plan
from snnrun.sequence.kernel.steps import Backward, Forward, Rows
from snnrun.sequence.record.adjoint import Gradients
from snnrun.sequence.record.tracer import Feedback, Recipe

OUTPUT, MEMBRANE = Key("output"), Key("membrane")


def run(
    recipe: Recipe,
    count: int,
    membrane: bool,
    feedback: Feedback,
    before: Tensor,
    x: Tensor,
    first: Sequence[Tensor],
    captured: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Output ``[T, B, *N]``, membranes, spike counts and the parts of the last state, for T = ``count`` steps.

    Args:
        recipe, captured: the recorded step, which has feedback.
        count: number of steps.
        membrane: the membranes are needed.
        feedback: its weights.
        before: the output before the first step, ``[B, *N]``.
        x: the input, ``[T, B, *N]``, or ``[1, B, *N]`` for a constant one.
        first: the state before the first step.
    """
    found: tuple[Tensor, ...] = _FusedFeedback.apply(
        recipe, count, membrane, feedback.weight, feedback.bias, before, x, *first, *captured
    )
    return found


class _FusedFeedback(torch.autograd.Function):
    WEIGHT, BIAS, BEFORE, X, FIRST = 3, 4, 5, 6, 7  # indices among the arguments

    @staticmethod
    def forward(
        ctx: Any,
        recipe: Recipe,
        count: int,
        membrane: bool,
        weight: Tensor,
        bias: Tensor | None,
        before: Tensor,
        x: Tensor,
        *others: Tensor,
    ) -> tuple[Tensor | None, ...]:
        size, like, needs = len(recipe.new), x[0], ctx.needs_input_grad
        first, captured = others[:size], others[size:]
        request = _request(needs, size) if any(needs) else None
        plan = forward_plan(recipe, request, membrane)
        kernel = _by_step(plan.kernel)

        def rows(dtype: torch.dtype, row: Tensor) -> Tensor:
            """A row before the first step, and one for each step."""
            tensor = like.new_empty((count + 1, *like.shape), dtype=dtype)
            tensor[0] = row
            return tensor

        tensors, arrays = {}, {key: Rows(each[None]) for key, each in rows_of(recipe.nodes, captured, like).items()}
        arrays[X] = Rows(steps_of(x, count), 0, 1)
        for _, (key, kind) in plan.kernel.writes:
            if key.role == "excess":
                tensors[key] = like.new_empty((count, *like.shape))
                arrays[key] = Rows(tensors[key], 0, 1)
                continue
            start = before if key == OUTPUT else first[0 if key == MEMBRANE else key.part]
            tensors[key] = rows(torch.uint8 if kind == "bytes" else like.dtype, start)
            arrays[key] = Rows(tensors[key], 1, 1)
        recorded = FEEDBACK in plan.saves
        tensors[FEEDBACK] = like.new_empty((count if recorded else 1, *like.shape))
        arrays[FEEDBACK] = Rows(tensors[FEEDBACK], 0, int(recorded))
        state = _enter(plan.kernel, list(first), like, arrays)
        product = Forward(Rows(tensors[OUTPUT], 0, 1), arrays[FEEDBACK], weight.to(like), _to(bias, like))
        _call(kernel, values_of(recipe.numbers, captured), arrays, product, count, like)
        last = state[count % 2]

        ctx.recipe, ctx.plan, ctx.count, ctx.constant = recipe, plan, count, x.shape[0] < count
        saved = (x if key == X else tensors[key] for key in plan.saves)
        ctx.save_for_backward(weight, tensors[OUTPUT], *captured, *saved)
        ctx.set_materialize_grads(False)
        membranes = tensors[MEMBRANE][1:] if membrane else x.new_empty((0, *like.shape))
        fired = last[size].clone() if recipe.counts else None
        ctx.mark_non_differentiable(*([] if fired is None else [fired]), *([] if membrane else [membranes]))
        return tensors[OUTPUT][1:], membranes, fired, *(last[k].clone() for k in range(size))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        recipe, count, size, needs = ctx.recipe, ctx.count, len(ctx.recipe.new), ctx.needs_input_grad
        weight, output, *others = ctx.saved_tensors
        captured, saved = others[: len(others) - len(ctx.plan.saves)], others[len(others) - len(ctx.plan.saves) :]
        if not any(needs) or all(grad is None for grad in grads):
            return (None,) * (_FusedFeedback.FIRST + size + len(captured))
        incoming, grad_membrane, _, *grad_last = grads
        like = output[0]
        request = _request(needs, size)._replace(
            membrane=grad_membrane is not None,
            last=frozenset(k for k, grad in enumerate(grad_last) if grad is not None),
        )
        plan = backward_plan(recipe, request, constant=ctx.constant, replays=False)
        whole, kernel = plan.kernel, _by_step(plan.kernel)

        arrays = {key: Rows(each[None]) for key, each in rows_of(kernel.nodes, captured, like).items()}
        for key, tensor in zip(ctx.plan.saves, saved, strict=True):
            if key in (X, FEEDBACK):
                arrays[key] = Rows(steps_of(tensor, count), count - 1, -1)
            elif key.role == "excess":
                slope = recipe.surrogates[recipe.nodes[key.part][3]].derivative(tensor).contiguous()
                arrays[Key("slope", key.part)] = Rows(slope, count - 1, -1)
            else:  # with a row before the first step
                arrays[key] = Rows(tensor, count, -1)
                arrays[Key("old", key.part)] = Rows(tensor, count - 1, -1)
        if grad_membrane is not None:
            arrays[Key("grad_membrane")] = Rows(steps_of(grad_membrane, count), count - 1, -1)
        grad_feedback = like.new_empty((count + 1, *like.shape))
        grad_feedback[count] = 0
        for _, (key, _) in whole.writes:
            tensor = grad_feedback if key == GRAD_FEEDBACK else like.new_empty((count, *like.shape))
            arrays[key] = Rows(tensor, count - 1, -1)
        if plan.adjoint.feedback is None:
            grad_feedback.zero_()
        arrays[Key("grad_output")] = Rows(like.new_empty((1, *like.shape)))
        parts = [whole.nodes[leaf][1] for leaf, _, _ in whole.carries]
        state = _enter(whole, [grad_last[k] for k in parts], like, arrays)

        def zeros(index: int, *shape: int) -> Tensor | None:
            return like.new_zeros(shape) if needs[index] else None

        n, own = len(weight), Rows(grad_feedback, count - 1, -1)
        outside = like.new_zeros((1, *like.shape)).expand(count, *like.shape) if incoming is None else incoming
        product = Backward(
            incoming=Rows(steps_of(outside, count), count - 1, -1),
            later=Rows(grad_feedback, count, -1),
            result=arrays[Key("grad_output")],
            own=own,
            s=Rows(output, count - 1, -1),
            weight=weight.to(like),
            grad_weight=zeros(_FusedFeedback.WEIGHT, n, n),
            grad_bias=zeros(_FusedFeedback.BIAS, n),
        )
        _call(kernel, values_of(plan.adjoint.program.numbers, captured), arrays, product, count, like)

        found = dict(zip((array.key for _, array in whole.sums), state[count % 2][len(parts) :], strict=True))
        carried = dict(zip(parts, state[count % 2], strict=False))
        grad_x = None
        if needs[_FusedFeedback.X]:
            one = found.get(Key("grad_x"))
            own_x = arrays.get(Key("grad_x"))
            grad_x = one[None] if one is not None else grad_feedback[:count] if own_x is None else own_x.tensor
            if plan.adjoint.x is None:
                grad_x = None
        grad_before = (
            (grad_feedback[0].flatten(1) @ product.weight).view_as(like) if needs[_FusedFeedback.BEFORE] else None
        )
        return (
            *(None,) * _FusedFeedback.WEIGHT,
            product.grad_weight,
            product.grad_bias,
            grad_before,
            grad_x,
            *(carried.get(k) if needs[_FusedFeedback.FIRST + k] else None for k in range(size)),
            *(
                sum_to(found[key], tensor) if (key := Key("grad_captured", j)) in found else None
                for j, tensor in enumerate(captured)
            ),
        )


@functools.lru_cache(maxsize=256)
def _by_step(kernel: Kernel) -> Kernel:
    return kernel.by_step()


def _request(needs: Sequence[bool], size: int) -> Gradients:
    """The gradients that the arguments need; a gradient comes in for everything."""
    first = needs[_FusedFeedback.FIRST :]
    return Gradients(
        x=needs[_FusedFeedback.X],
        first=frozenset(k for k in range(size) if first[k]),
        captured=frozenset(j for j, need in enumerate(first[size:]) if need),
        output=True,
        membrane=True,
        last=frozenset(range(size)),
    )


def _enter(kernel: Kernel, first: Sequence[Tensor | None], like: Tensor, arrays: dict[Key, Rows]) -> Tensor:
    """What the steps pass on to each other, ``[2, C, B, *N]``: at first ``first``, the others 0."""
    state = like.new_zeros((2, len(kernel.carries) + len(kernel.sums), *like.shape))
    for i, value in enumerate(first):
        if value is not None:
            state[0, i] = value
    for i in range(state.shape[1]):
        arrays[Key("enter", i)] = Rows(state[:, i], 0, takes_turns=True)
        arrays[Key("leave", i)] = Rows(state[:, i], 1, takes_turns=True)
    return state


def _to(tensor: Tensor | None, like: Tensor) -> Tensor | None:
    return None if tensor is None else tensor.to(like)


def _call(
    kernel: Kernel,
    values: Sequence[float],
    arrays: dict[Key, Rows],
    product: Forward | Backward,
    count: int,
    like: Tensor,
) -> None:
    if like.numel():
        execution = llvm.call_by_step if llvm.supports(like) else steps.run
        execution(kernel, values, arrays, product, count, like)
