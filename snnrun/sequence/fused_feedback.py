"""The fused execution of a layer whose output returns as its input: ``x[t] + W s[t-1] + b``.

The feedback is one more input of the recorded step. All neurons of a sample depend on each other through it, so a
kernel runs step by step; see ``kernel.steps``. On the CPU the samples are shared out to the threads once for all steps.
On a GPU one call runs all steps of a layer that is small enough.

Saved for backward: the output, and the records that the adjoint reads.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.neuron import Neuron
from snnrun.sequence.arrays import rows_of, steps_of, sum_to, values_of
from snnrun.sequence.kernel import eager, llvm, steps, triton
from snnrun.sequence.kernel.kernel import Kernel, Key
from snnrun.sequence.kernel.plan import (
    FEEDBACK,
    GRAD_FEEDBACK,
    BackwardPlan,
    ForwardPlan,
    X,
    backward_plan,
    forward_plan,
    training_plans,
)
from snnrun.sequence.kernel.steps import Backward, Forward, Rows
from snnrun.sequence.record.adjoint import Gradients, gradient_request
from snnrun.sequence.record.tracer import Feedback, Recipe, record

OUTPUT, MEMBRANE, GRAD_X = Key("output"), Key("membrane"), Key("grad_x")


class Call(NamedTuple):
    """What is run: the recorded step, which has feedback, over T steps.

    Attributes:
        recipe: the recorded step.
        steps: T.
        membrane: the membranes are needed.
    """

    recipe: Recipe
    steps: int
    membrane: bool


def run(
    call: Call, feedback: Feedback, before: Tensor, x: Tensor, first: Sequence[Tensor], captured: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Output ``[T, B, *N]``, membranes, spike counts and the parts of the last state.

    Args:
        call: the step, and how often it is run.
        feedback: the weights of the feedback.
        before: the output before the first step, ``[B, *N]``.
        x: the input, ``[T, B, *N]``, or ``[1, B, *N]`` for a constant one.
        first: the state before the first step.
        captured: the tensors that the step captures.
    """
    found: tuple[Tensor, ...] = _FusedFeedback.apply(call, *feedback, before, x, *first, *captured)
    return found


class _FusedFeedback(torch.autograd.Function):
    WEIGHT, BIAS, BEFORE, X, FIRST = 1, 2, 3, 4, 5  # indices among the arguments

    @staticmethod
    def forward(
        ctx: Any, call: Call, weight: Tensor, bias: Tensor | None, before: Tensor, x: Tensor, *others: Tensor
    ) -> tuple[Tensor | None, ...]:
        recipe, count, membrane = call
        size, like, needs = len(recipe.new), x[0], ctx.needs_input_grad
        first, captured = others[:size], others[size:]
        plan = forward_plan(recipe, _request(needs, size) if any(needs) else None, membrane)
        arrays = {key: Rows(each[None]) for key, each in rows_of(recipe.nodes, captured, like, like.dtype).items()}
        arrays |= _records(plan, count, before, first)
        arrays[X] = Rows(steps_of(x, count), 0, 1)
        state = _enter(plan.kernel, first, like, arrays)
        output, bias_of = arrays[OUTPUT].tensor, None if bias is None else bias.to(like)
        product = Forward(Rows(output, 0, 1), arrays[FEEDBACK], weight.to(like), bias_of)
        _run(plan.kernel, (recipe.numbers, captured), arrays, product, call, like)
        last = state[count % 2]

        ctx.call, ctx.plan, ctx.constant = call, plan, x.shape[0] < count
        saved = (x if key == X else arrays[key].tensor for key in plan.saves)
        ctx.save_for_backward(weight, output, *captured, *saved)
        ctx.set_materialize_grads(False)
        membranes = arrays[MEMBRANE].tensor[1:] if membrane else x.new_empty((0, *like.shape))
        fired = last[size].clone() if recipe.counts else None
        ctx.mark_non_differentiable(*([] if fired is None else [fired]), *([] if membrane else [membranes]))
        return output[1:], membranes, fired, *(last[k].clone() for k in range(size))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        (recipe, count, _), size, needs = ctx.call, len(ctx.call.recipe.new), ctx.needs_input_grad
        weight, output, *others = ctx.saved_tensors
        number = len(others) - len(ctx.plan.saves)
        captured, saved = others[:number], dict(zip(ctx.plan.saves, others[number:], strict=True))
        if not any(needs) or all(grad is None for grad in grads):
            return (None,) * len(needs)
        grad_output, grad_membrane, _, *grad_last = grads
        like = output[0]
        request = _request(needs, size)._replace(
            membrane=grad_membrane is not None,
            last=frozenset(k for k, grad in enumerate(grad_last) if grad is not None),
        )
        plan = backward_plan(recipe, request, constant=ctx.constant, replays=False)
        kernel = plan.kernel
        arrays = {key: Rows(each[None]) for key, each in rows_of(kernel.nodes, captured, like, like.dtype).items()}
        arrays |= _replayed(recipe, saved, count) | _results(plan, count, like)
        if grad_membrane is not None:
            arrays[Key("grad_membrane")] = Rows(steps_of(grad_membrane, count), count - 1, -1)
        parts = [kernel.nodes[leaf][1] for leaf, _, _ in kernel.carries]
        state = _enter(kernel, [grad_last[k] for k in parts], like, arrays)
        outside = like.new_zeros((1, *like.shape)) if grad_output is None else grad_output
        own, n = arrays[GRAD_FEEDBACK], len(weight)
        product = Backward(
            incoming=Rows(steps_of(outside, count), count - 1, -1),
            later=Rows(own.tensor, count, -1),
            result=arrays[Key("grad_output")],
            own=own,
            s=Rows(output, count - 1, -1),
            weight=weight.to(like),
            grad_weight=like.new_zeros((n, n)) if needs[_FusedFeedback.WEIGHT] else None,
            grad_bias=like.new_zeros(n) if needs[_FusedFeedback.BIAS] else None,
        )
        _run(kernel, (plan.adjoint.program.numbers, captured), arrays, product, ctx.call, like)

        last = state[count % 2]
        sums = dict(zip((array.key for _, array in kernel.sums), last[len(parts) :], strict=True))
        carried = dict(zip(parts, last, strict=False))
        grad_before = None
        if needs[_FusedFeedback.BEFORE]:
            grad_before = (own.tensor[0].flatten(1) @ product.weight).view_as(like)
        return (
            None,
            product.grad_weight,
            product.grad_bias,
            grad_before,
            _gradient_of_x(plan, arrays, sums, count),
            *(carried.get(k) if needs[_FusedFeedback.FIRST + k] else None for k in range(size)),
            *(
                sum_to(sums[key], tensor) if (key := Key("grad_captured", j)) in sums else None
                for j, tensor in enumerate(captured)
            ),
        )


def gpu_kernels(neuron: Neuron, feedback: Feedback | None = None) -> dict[str, Kernel]:
    """The kernels ``forward`` and ``backward`` of a layer on a GPU that run all steps in one call.

    They are for a training step that needs no membranes. ``feedback``: of the layer; None: the neuron has its own.
    """
    _, _, own = record(neuron, feedback)
    assert own is not None
    forward, backward = training_plans(neuron, feedback)
    return {
        "forward": _with_feedback(forward.kernel, own.bias is not None, FEEDBACK in forward.saves),
        "backward": _with_feedback(backward.kernel, False, False),
    }


@functools.lru_cache(maxsize=256)
def _by_step(kernel: Kernel) -> Kernel:
    return kernel.by_step()


@functools.lru_cache(maxsize=256)
def _with_feedback(kernel: Kernel, has_bias: bool, is_saved: bool) -> Kernel:
    return kernel.with_feedback(bias=has_bias, record=is_saved)


def _request(needs: Sequence[bool], size: int) -> Gradients:
    """The gradients that the arguments need; a gradient comes in for everything."""
    request = gradient_request([needs[_FusedFeedback.X], *needs[_FusedFeedback.FIRST :]], size)
    parts = frozenset(range(size))
    # The feedback may need a gradient even if none of the step's own tensors does.
    return request or Gradients(x=False, captured=frozenset(), membrane=True, last=parts)


def _records(plan: ForwardPlan, count: int, before: Tensor, first: Sequence[Tensor]) -> dict[Key, Rows]:
    """Room for what a forward pass writes: with a row before the first step for output and state."""
    arrays = {}
    for _, (key, kind) in plan.kernel.writes:
        if key.role == "excess":
            arrays[key] = Rows(before.new_empty((count, *before.shape)), 0, 1)
            continue
        tensor = before.new_empty((count + 1, *before.shape), dtype=torch.uint8 if kind == "bytes" else before.dtype)
        tensor[0] = before if key == OUTPUT else first[key.part]
        arrays[key] = Rows(tensor, 1, 1)
    is_saved = FEEDBACK in plan.saves
    arrays[FEEDBACK] = Rows(before.new_empty((count if is_saved else 1, *before.shape)), 0, int(is_saved))
    return arrays


def _replayed(recipe: Recipe, saved: Mapping[Key, Tensor], count: int) -> dict[Key, Rows]:
    """What a backward pass reads of the forward pass, from the last step to the first."""
    arrays = {}
    for key, tensor in saved.items():
        if key in (X, FEEDBACK):
            arrays[key] = Rows(steps_of(tensor, count), count - 1, -1)
        elif key.role == "excess":
            slope = recipe.surrogates[recipe.nodes[key.part][3]].derivative(tensor).contiguous()
            arrays[Key("slope", key.part)] = Rows(slope, count - 1, -1)
        else:  # with a row before the first step
            arrays[key], arrays[Key("old", key.part)] = Rows(tensor, count, -1), Rows(tensor, count - 1, -1)
    return arrays


def _results(plan: BackwardPlan, count: int, like: Tensor) -> dict[Key, Rows]:
    """Room for what a backward pass writes, and for the gradient of the output between two steps."""
    later = like.new_empty((count + 1, *like.shape))
    # No feedback comes from the step after the last; none at all if no gradient reaches the feedback.
    later[count if plan.adjoint.feedback is not None else slice(None)] = 0
    arrays = {GRAD_FEEDBACK: Rows(later, count - 1, -1), Key("grad_output"): Rows(like.new_empty((1, *like.shape)))}
    if any(array.key == GRAD_X for _, array in plan.kernel.writes):
        arrays[GRAD_X] = Rows(like.new_empty((count, *like.shape)), count - 1, -1)
    return arrays


def _gradient_of_x(
    plan: BackwardPlan, arrays: Mapping[Key, Rows], sums: Mapping[Key, Tensor], count: int
) -> Tensor | None:
    if plan.adjoint.x is None:
        return None
    if GRAD_X in sums:  # a constant input
        return sums[GRAD_X][None]
    return arrays[GRAD_X].tensor if GRAD_X in arrays else arrays[GRAD_FEEDBACK].tensor[:count]


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


def _run(
    kernel: Kernel,
    values: tuple[Sequence[float], Sequence[Tensor]],
    arrays: Mapping[Key, Rows],
    product: Forward | Backward,
    call: Call,
    like: Tensor,
) -> None:
    """Run a kernel step by step; ``values``: the numbers of its program, and the captured tensors."""
    if not like.numel():
        return
    if triton.supports(like):
        _run_on_gpu(kernel, triton.numbers_of(*values, like), arrays, product, call.steps, like)
        return
    kernel, numbers = _by_step(kernel), values_of(*values)
    if llvm.supports(like):
        llvm.call_by_step(kernel, numbers, arrays, product, call.steps, like)
    else:
        steps.run(kernel, lambda tensors: eager.call(kernel, numbers, tensors, 1, like), arrays, product, call.steps)


def _run_on_gpu(
    kernel: Kernel, numbers: Tensor, arrays: Mapping[Key, Rows], product: Forward | Backward, count: int, like: Tensor
) -> None:
    if triton.fits(like):
        has_bias, is_saved = False, False
        if isinstance(product, Forward):
            has_bias, is_saved = product.bias is not None, product.result.onwards != 0
        whole = _with_feedback(kernel, has_bias, is_saved)
        steps.run_at_once(whole, lambda each: triton.call(whole, numbers, each, count, like), arrays, product, count)
    else:
        single = _by_step(kernel)
        steps.run(single, lambda each: triton.call(single, numbers, each, 1, like), arrays, product, count)
