"""The fused execution: one ``autograd.Function`` over the whole sequence, derived from the neuron's own ``step``.

The step is recorded as a program of elementwise operations (``record.tracer``), the chain rule turns it into the
program of its adjoint (``record.adjoint``), and a kernel runs either of them over all time steps in one pass
(``kernel.llvm`` on the CPU, ``kernel.triton`` on a GPU, ``kernel.eager`` elsewhere). There is no second definition of
any neuron.
docs/internals.md follows a neuron through all of it.

Saved for backward: the membrane, if the trace has it; spikes as bytes, other parts of the state and the input only if
the adjoint needs them. Without membranes in the trace only the input is saved, and the backward pass runs forwards
again, block by block, so that its data never leave the cache. On a GPU a single part of the state is saved instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.errors import ArgumentError, Description
from snnrun.neuron import Neuron
from snnrun.sequence import fused_feedback
from snnrun.sequence.arrays import Arrays, channels_last, has_channels_last, rows_of, steps_of, sum_to, values_of
from snnrun.sequence.kernel import eager, llvm, triton
from snnrun.sequence.kernel.kernel import Kernel, Key
from snnrun.sequence.kernel.plan import BackwardPlan, ForwardPlan, X, backward_plan, forward_plan
from snnrun.sequence.record.adjoint import gradient_request
from snnrun.sequence.record.tracer import Feedback, Recipe, record


def run(
    neuron: Neuron, x: Tensor, state: Any, steps: int, *, membrane: bool = True, feedback: Feedback | None = None
) -> tuple[Tensor, Tensor, Tensor | None, Any]:
    """Output (spikes) ``[T, B, *N]``, membranes, spike counts of the neurons, and the last state, for T = ``steps``.

    ``x`` is ``[T, B, *N]``, or ``[1, B, *N]`` for a constant input. Membranes are ``[T, B, *N]``, or ``[0, B, *N]`` if
    ``membrane`` is false; the counts ``[B, *N]``, or None if the output is not spikes of 0 or 1. The default state is
    the neuron's initial one. ``feedback``: of the layer around the neuron.

    Raises:
        Unfusable: if the neuron's step is not elementwise.
    """
    # Recorded at each call: a step may read an attribute that has changed, and captures tensors that a module's `to` or
    # `load_state_dict` may have replaced. It takes some 0.1 ms; the kernels are cached by recipe.
    by_layer = feedback is not None
    recipe, captured, feedback = record(neuron, feedback)
    begin = neuron.initial_state(x[0]) if state is None else state
    first = [value.to(x.dtype) for value in begin]
    if feedback is None:
        images = has_channels_last(x)
        if images:
            x, first, captured = channels_last(x, first, captured)
        output, membranes, fired, *last = _Fused.apply(recipe, steps, membrane, x, *first, *captured)
        if images:
            output, membranes = output.movedim(-1, 2), membranes.movedim(-1, 2)
            fired = None if fired is None else fired.movedim(-1, 1)
            last = [value.movedim(-1, 1) for value in last]
    else:
        before = torch.zeros_like(x[0]) if by_layer else neuron.emit(begin.spikes).to(x.dtype)
        call = fused_feedback.Call(recipe, steps, membrane)
        wide = triton.precision(x)
        tensors = before.to(wide), x.to(wide), [value.to(wide) for value in first]
        found = fused_feedback.run(call, feedback, *tensors, captured)
        output, membranes, *rest = (None if each is None else each.to(x.dtype) for each in found)
        fired, *last = rest
    return output, membranes, fired, type(begin)(*last)


def check_first(neuron: Neuron, state: Any, x: Tensor) -> None:
    """Check a state of a user, to begin with.

    Raises:
        ValueError: for a state that does not fit the input, or has other spikes than 0 and 1.
    """
    recipe, _, _ = record(neuron)
    for k, (name, value) in enumerate(zip(state._fields, state, strict=True)):
        if value.shape != x.shape[1:]:
            raise ArgumentError(f"state.{name}", f"the shape of a step, {list(x.shape[1:])}", list(value.shape))
        if recipe.is_spikes(k) and not bool(((value == 0) | (value == 1)).all()):
            others = Description("other values")
            raise ArgumentError(f"state.{name}", "spikes of 0 and 1", others, advice="use backend=reference for those")


def forwards(
    recipe: Recipe,
    plan: ForwardPlan,
    steps: int,
    x: Tensor,
    first: Sequence[Tensor],
    captured: Sequence[Tensor],
    product: Mapping[Key, Tensor] | None = None,
    around: llvm.Pool | None = None,
) -> Arrays:
    """All arrays of the forward pass: the output, the spike counts, the last state, and the records.

    ``product``: the arrays of a read-out product. ``around``: a pool of the output, which is then not recorded.
    """
    like = x[0]
    shape = (steps, *like.shape)
    arrays = {**(product or {}), X: steps_of(x, steps), **rows_of(recipe.nodes, captured, like, triton.precision(like))}
    arrays |= {Key("first", k): value.contiguous() for k, value in enumerate(first)}
    arrays |= {array.key: like.new_empty(like.shape) for _, array in (*plan.kernel.last, *plan.kernel.sums)}
    for _, array in plan.kernel.writes if around is None else ():
        arrays[array.key] = x.new_empty(shape, dtype=triton.dtype_of(array, like))
    _call(plan.kernel, recipe.numbers, captured, arrays, steps, like, around)
    return arrays


def backwards(
    recipe: Recipe,
    plan: BackwardPlan,
    steps: int,
    saved: Mapping[Key, Tensor],
    first: Sequence[Tensor],
    captured: Sequence[Tensor],
    product: Mapping[Key, Tensor] | None = None,
    around: llvm.Pool | None = None,
) -> Arrays:
    """All arrays of the backward pass, including the gradients that the plan computes.

    Args:
        recipe, plan, steps: the program to run.
        saved: the saved arrays of the forward pass, and the incoming gradients.
        first: the state before the first step.
        captured: the tensors that the step captures.
        product: the arrays of a read-out product.
        around: a pool that passes the gradient of the output.
    """
    kernel, adjoint = plan
    like = first[0]
    nodes = [*kernel.nodes, *(kernel.replay.nodes if kernel.replay else ())]
    arrays = {**(product or {}), **saved, **rows_of(nodes, captured, like, triton.precision(like))}
    for key in (X, Key("grad_output"), Key("grad_membrane")):
        if key in arrays:
            arrays[key] = steps_of(arrays[key], steps)
    for k, value in enumerate(first):
        if (last := Key("grad_last", k)) in arrays:
            arrays[last] = arrays[last].contiguous()
        as_bytes = recipe.is_spikes(k) and kernel.replay is None
        arrays[Key("first", k)] = (value.to(torch.uint8) if as_bytes else value).contiguous()
    for i in adjoint.derivatives:
        surrogate = recipe.surrogates[recipe.nodes[i][3]]
        arrays[Key("slope", i)] = surrogate.derivative(arrays[Key("excess", i)]).contiguous()
    for _, array in (*kernel.sums, *kernel.last):
        arrays[array.key] = like.new_empty(like.shape)
    for _, array in kernel.writes:
        arrays[array.key] = like.new_empty((steps, *like.shape))
    _call(kernel, adjoint.program.numbers, captured, arrays, steps, like, around)
    return arrays


class _Fused(torch.autograd.Function):
    X, FIRST = 3, 4  # indices of the input and the first state among the arguments

    @staticmethod
    def forward(
        ctx: Any, recipe: Recipe, steps: int, membrane: bool, x: Tensor, *others: Tensor
    ) -> tuple[Tensor | None, ...]:
        size = len(recipe.new)
        first, captured = others[:size], others[size:]
        grads = gradient_request(ctx.needs_input_grad[_Fused.X :], size)
        # A constant input is stored once: running forwards again keeps less than a record.
        plan = forward_plan(recipe, grads, membrane, cache=not triton.supports(x) or x.shape[0] < steps)
        arrays = forwards(recipe, plan, steps, x, first, captured)

        ctx.recipe, ctx.plan, ctx.steps, ctx.constant = recipe, plan, steps, x.shape[0] < steps
        ctx.save_for_backward(*first, *captured, *(x if key == X else arrays[key] for key in plan.saves))
        ctx.set_materialize_grads(False)
        membranes = arrays[Key("membrane")].to(x.dtype) if membrane else x.new_empty((0, *x.shape[1:]))
        fired = arrays.get(Key("fired"))
        ctx.mark_non_differentiable(*([] if fired is None else [fired]), *([] if membrane else [membranes]))
        return arrays[Key("output")], membranes, fired, *(arrays[Key("last", k)] for k in range(size))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        recipe, size, saves = ctx.recipe, len(ctx.recipe.new), ctx.plan.saves
        count = len(ctx.saved_tensors) - size - len(saves)
        request = gradient_request(ctx.needs_input_grad[_Fused.X :], size)
        if request is None or all(grad is None for grad in grads):
            return (None,) * (_Fused.FIRST + size + count)
        first, captured = ctx.saved_tensors[:size], ctx.saved_tensors[size : size + count]
        keys = (Key("grad_output"), Key("grad_membrane"), Key("fired"), *(Key("grad_last", k) for k in range(size)))
        incoming = {key: grad for key, grad in zip(keys, grads, strict=True) if grad is not None}
        request = request._replace(
            output=keys[0] in incoming,
            membrane=keys[1] in incoming,
            last=frozenset(key.part for key in incoming if key.role == "grad_last"),
        )
        plan = backward_plan(recipe, request, constant=ctx.constant, replays=ctx.plan.replays)
        saved = dict(zip(saves, ctx.saved_tensors[size + count :], strict=True))
        arrays = backwards(recipe, plan, ctx.steps, saved | incoming, first, captured)
        return (None,) * _Fused.X + gradients(arrays, plan, captured, size, ctx.constant)


def gradients(
    arrays: Arrays, plan: BackwardPlan, captured: Sequence[Tensor], size: int, constant: bool
) -> tuple[Tensor | None, ...]:
    """The gradients of input, first state (of ``size`` parts) and captured tensors, in this order."""
    x = arrays.get(Key("grad_x"))
    return (
        x[None] if x is not None and constant else x,
        *(arrays.get(Key("grad_first", k)) for k in range(size)),
        *(
            sum_to(arrays[Key("grad_captured", j)], tensor) if j in plan.adjoint.captured else None
            for j, tensor in enumerate(captured)
        ),
    )


def _call(
    kernel: Kernel,
    numbers: Sequence[float],
    captured: Sequence[Tensor],
    arrays: Arrays,
    steps: int,
    like: Tensor,
    around: llvm.Pool | None = None,
) -> None:
    if not like.numel():
        for _, array in (*kernel.sums, *kernel.last, *kernel.writes):
            arrays[array.key].zero_()
        return
    if triton.supports(like):
        triton.call(kernel, triton.numbers_of(numbers, captured, like), arrays, steps, like)
        return
    values = values_of(numbers, captured)
    if kernel.product is not None:
        llvm.call_by_sample(kernel, values, arrays, steps, like)
        return
    if around is not None:
        llvm.call_by_window(kernel, values, arrays, steps, like, around)
        return
    execution = llvm if llvm.supports(like) else eager
    execution.call(kernel, values, arrays, steps, like)
