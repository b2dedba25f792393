"""The fused execution: one ``autograd.Function`` over the whole sequence, made from the neuron's own ``step``.

The step is recorded as a program of elementwise operations (``symbol``), the chain rule turns that into the program of
its adjoint (``adjoint``), and a kernel runs either of them over all time steps in one pass (``kernel_llvm`` on the CPU,
``kernel_torch`` elsewhere). There is no second definition of any neuron, and none to keep in step with the first.

Saved for backward: the membrane, where the trace holds it anyway; spikes as bytes, other parts of the state and the
input only where the adjoint asks for them. A trace without membranes is cheaper still: then only the input is saved,
and the way back runs forwards once more, block by block, so that what it needs never leaves the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.neuron import Neuron
from snnrun.sequence import kernel_llvm, kernel_torch
from snnrun.sequence.adjoint import Adjoint, adjoint
from snnrun.sequence.kernel import Array, Kernel
from snnrun.sequence.program import Node, Program
from snnrun.sequence.symbol import Step, record
from snnrun.surrogate import Surrogate


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
    recipe = _Recipe.of(step)
    begin = neuron.initial_state(x[0]) if state is None else state
    if state is not None:
        for k, (name, value) in enumerate(zip(state._fields, state, strict=True)):
            _check(name, value, x, as_spikes=recipe.kind(k) == "bytes")
    first = [value.to(x.dtype) for value in begin]
    output, membranes, fired, *last = _Fused.apply(recipe, steps, membrane, x, *first, *step.captured)
    return output, membranes, fired, type(begin)(*last)


def _check(name: str, value: Tensor, x: Tensor, *, as_spikes: bool) -> None:
    if value.shape != x.shape[1:]:
        raise ValueError(f"state.{name}: expected the shape of a step, {list(x.shape[1:])}, got {list(value.shape)}")
    if as_spikes and not bool(((value == 0) | (value == 1)).all()):
        raise ValueError(f"state.{name}: expected spikes of 0 and 1, got other values; use backend=reference for those")


class _Recipe(NamedTuple):
    """A recorded step without its tensors: what kernels are made from, and by which they are found again."""

    nodes: tuple[Node, ...]
    numbers: tuple[float, ...]
    output: int
    new: tuple[int, ...]
    surrogates: tuple[Surrogate, ...]

    @classmethod
    def of(cls, step: Step) -> _Recipe:
        program = step.program
        return cls(tuple(program.nodes), tuple(program.numbers), step.output, step.new, tuple(step.surrogates))

    def program(self) -> Program:
        program = Program()
        program.nodes, program.numbers = list(self.nodes), list(self.numbers)
        return program

    def step(self) -> Step:
        return Step(self.program(), self.output, self.new, [], list(self.surrogates), tuple)

    @property
    def counts(self) -> bool:
        """Whether the output is spikes of 0 and 1, whose sum says how often a neuron fired."""
        return self.nodes[self.output][0] == "spike"

    def kind(self, k: int) -> str:
        """How the k-th part of the state is recorded: spikes of 0 and 1 as bytes."""
        return "bytes" if self.nodes[self.new[k]][0] == "spike" else "time"

    def array(self, k: int) -> Array:
        """The record of the k-th part of the state. The membrane is part of the trace; so may be others."""
        if k == 0:
            return Array("membrane", "time")
        if self.new[k] == self.output and self.kind(k) == "time":
            return Array("output", "time")
        return Array(f"new{k}", self.kind(k))


class _Forward(NamedTuple):
    """The way forwards."""

    kernel: Kernel
    saves: tuple[str, ...]  # of the arrays below, those that backward reads
    replays: bool  # whether backward runs forwards once more, instead of reading records of the state


class _Backward(NamedTuple):
    """The way back."""

    kernel: Kernel
    adjoint: Adjoint


@functools.lru_cache(maxsize=256)
def _forward_plan(
    recipe: _Recipe, needs_x: bool, needs: frozenset[int], differentiable: bool, membrane: bool
) -> _Forward:
    program = recipe.program()
    parts = range(len(recipe.new))
    reads: set[Node] = set()
    handed: tuple[int, ...] = ()
    if differentiable:
        back = _adjoint(recipe, needs_x, needs, frozenset(("output", "membrane")), frozenset(parts))
        reads = {node for node in back.reads() if node[0] in ("new", "old", "x")}
        handed = back.handed
    # A surrogate's derivative that is handed in is made from records of what it is taken at.
    replays = differentiable and not membrane and not handed
    recorded = [] if replays else sorted({k for op, *rest in reads if op in ("new", "old") for k in rest})
    own = tuple(k for k in recorded if recipe.array(k).name.startswith("new"))
    nodes = list(recipe.nodes)
    return _Forward(
        _forward_kernel(
            recipe,
            sums=((recipe.output, Array("fired", "lane")),) if recipe.counts else (),
            writes=(
                (recipe.output, Array("output", "time")),
                *([(recipe.new[0], Array("membrane", "time"))] if membrane or 0 in recorded else []),
                *((recipe.new[k], recipe.array(k)) for k in own),
                *((program.args(i)[0], Array(f"excess{i}", "time")) for i in handed),
            ),
            last=tuple((nodes.index(("old", k)), Array(f"last{k}", "lane")) for k in parts),
        ),
        (
            *(["x"] if replays or ("x",) in reads else []),
            *(recipe.array(k).name for k in recorded),
            *(f"excess{i}" for i in handed),
        ),
        replays,
    )


@functools.lru_cache(maxsize=256)
def _adjoint(
    recipe: _Recipe, needs_x: bool, needs: frozenset[int], gradients: frozenset[str], last: frozenset[int]
) -> Adjoint:
    return adjoint(recipe.step(), needs_x=needs_x, needs=needs, gradients=gradients, last=last)


@functools.lru_cache(maxsize=256)
def _backward_plan(
    recipe: _Recipe,
    needs_x: bool,
    needs: frozenset[int],
    given: frozenset[str],
    first: frozenset[int],
    constant: bool,
    replays: bool,
) -> _Backward:
    """The kernel of the adjoint, for the gradients that are ``given``.

    Args:
        needs_x: whether the gradient of the input is asked for.
        needs: the captured tensors whose gradient is.
        given: as in :func:`_backwards`.
        first: the parts of the first state whose gradient is asked for.
        constant: the input is one for all steps, and its gradient is summed over time.
        replays: of the way forwards.
    """
    last = frozenset(int(name.removeprefix("grad_last")) for name in given if name.startswith("grad_last"))
    gradients = frozenset(name.removeprefix("grad_") for name in given if not name.startswith("grad_last"))
    made = _adjoint(recipe, needs_x, needs, gradients, last)
    nodes = made.program.nodes
    reached = made.reads()
    records = {k: Array(f"new{k}", "kept") if replays else recipe.array(k) for k in range(len(recipe.new))}
    before, carries = [], []
    for i, (op, *args) in enumerate(nodes):
        if op == "old" and nodes[i] in reached:
            (k,) = args
            before.append((i, records[k], Array(f"first{k}", "lane")))
        elif op == "carry":
            (k,) = args
            carries.append((i, made.carry.get(k), Array(f"grad_last{k}", "lane") if k in last else None))
    x = [] if made.x is None else [(made.x, Array("grad_x", "lane" if constant else "time"))]
    kernel = Kernel(
        nodes=tuple(nodes),
        numbers=len(made.program.numbers),
        reads=_reads(nodes, records, reached),
        before=tuple(before),
        carries=tuple(carries),
        sums=(*((node, Array(f"grad{j}", "lane")) for j, node in made.captured.items()), *(x if constant else [])),
        writes=() if constant else tuple(x),
        last=tuple((i, Array(f"grad_first{nodes[i][1]}", "lane")) for i, *_ in carries if nodes[i][1] in first),
        backwards=True,
        replay=_replay(recipe, {k for op, *rest in reached if op in ("new", "old") for k in rest}) if replays else None,
    )
    return _Backward(kernel, made)


def _replay(recipe: _Recipe, parts: set[Any]) -> Kernel | None:
    """The way forwards once more, for these parts of the state."""
    writes = tuple((recipe.new[k], Array(f"new{k}", "kept")) for k in sorted(parts))
    return _forward_kernel(recipe, writes=writes) if parts else None


def _forward_kernel(
    recipe: _Recipe,
    *,
    writes: tuple[tuple[int, Array], ...],
    sums: tuple[tuple[int, Array], ...] = (),
    last: tuple[tuple[int, Array], ...] = (),
) -> Kernel:
    nodes = list(recipe.nodes)
    return Kernel(
        nodes=recipe.nodes,
        numbers=len(recipe.numbers),
        reads=_reads(nodes, {}),
        before=(),
        carries=tuple((nodes.index(("old", k)), new, Array(f"first{k}", "lane")) for k, new in enumerate(recipe.new)),
        sums=sums,
        writes=writes,
        last=last,
        backwards=False,
    )


def _reads(
    nodes: Sequence[Node], records: dict[int, Array], reached: set[Node] | None = None
) -> tuple[tuple[int, Array], ...]:
    found = []
    for i, node in enumerate(nodes):
        if reached is not None and node not in reached:
            continue
        op, *args = node
        if op == "x":
            found.append((i, Array("x", "strided")))
        elif op == "row":
            found.append((i, Array(f"row{args[0]}", "lane")))
        elif op == "new":
            found.append((i, records[args[0]]))
        elif op == "grad":
            found.append((i, Array(f"grad_{args[0]}", "strided")))
        elif op == "handed":
            found.append((i, Array(f"handed{args[0]}", "time")))
    return tuple(found)


def _forwards(
    recipe: _Recipe,
    plan: _Forward,
    steps: int,
    x: Tensor,
    first: Sequence[Tensor],
    captured: Sequence[Tensor],
) -> dict[str, Tensor]:
    """All arrays of the way forwards by their names: ``output``, ``fired`` and ``last0``, those that are recorded."""
    like = x[0]
    shape = (steps, *like.shape)
    tensors = {"x": _steps(x, steps), **_rows(recipe.nodes, captured, like)}
    tensors |= {f"first{k}": value.contiguous() for k, value in enumerate(first)}
    tensors |= {array.name: like.new_empty(like.shape) for _, array in (*plan.kernel.last, *plan.kernel.sums)}
    for _, array in plan.kernel.writes:
        tensors[array.name] = x.new_empty(shape, dtype=torch.uint8 if array.kind == "bytes" else x.dtype)
    _call(plan.kernel, recipe.numbers, captured, tensors, steps, like)
    return tensors


def _backwards(
    recipe: _Recipe,
    plan: _Backward,
    steps: int,
    saved: dict[str, Tensor],
    first: Sequence[Tensor],
    captured: Sequence[Tensor],
    given: dict[str, Tensor],
) -> dict[str, Tensor]:
    """All arrays of the way back: ``grad_x``, ``grad_first0``, and ``grad0`` for the first of what is captured.

    Args:
        saved: what was recorded on the way forwards.
        given: the gradients that come in: ``grad_output``, ``grad_membrane``, and ``grad_last0``.
    """
    kernel, made = plan
    like = first[0]
    tensors = {**saved, **_rows([*kernel.nodes, *(kernel.replay.nodes if kernel.replay else ())], captured, like)}
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
        ctx: Any, recipe: _Recipe, steps: int, membrane: bool, x: Tensor, *others: Tensor
    ) -> tuple[Tensor | None, ...]:
        size = len(recipe.new)
        first, captured = others[:size], others[size:]
        needs = frozenset(j for j in range(len(captured)) if ctx.needs_input_grad[_BEFORE + size + j])
        plan = _forward_plan(recipe, ctx.needs_input_grad[_X], needs, any(ctx.needs_input_grad), membrane)
        tensors = _forwards(recipe, plan, steps, x, first, captured)

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
        plan = _backward_plan(
            recipe,
            ctx.needs_input_grad[_X],
            ctx.needs,
            frozenset(given),
            frozenset(k for k in range(size) if ctx.needs_input_grad[_BEFORE + k]),
            ctx.constant,
            ctx.replays,
        )
        tensors = _backwards(recipe, plan, ctx.steps, saved, first, captured, given)

        x = tensors.get("grad_x")
        result[_X] = x[None] if x is not None and ctx.constant else x
        for k in range(size):
            result[_BEFORE + k] = tensors.get(f"grad_first{k}")
        for j in plan.adjoint.captured:
            result[_BEFORE + size + j] = _sum_to(tensors[f"grad{j}"], captured[j])
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
    execution = kernel_llvm if kernel_llvm.supports(like) else kernel_torch
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


def _sum_to(gradient: Tensor, like: Tensor) -> Tensor:
    """The sum over neurons and samples that share one number, in an order that no thread has a part in."""
    values: np.ndarray[Any, Any] = gradient.double().cpu().numpy()
    values = values.sum(tuple(range(values.ndim - like.dim())))
    shared = tuple(i for i, n in enumerate(like.shape) if n == 1)
    return torch.as_tensor(values.sum(shared, keepdims=True)).reshape(like.shape).to(like)
