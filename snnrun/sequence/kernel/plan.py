"""Plans the kernels of a neuron: forwards from its recorded step, backwards from that step's adjoint.

Plans depend only on the recipe, not on tensors, so they are cached.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import NamedTuple

from snnrun.neuron import Neuron
from snnrun.sequence.kernel.kernel import Array, Kernel, Key, ReadoutProduct
from snnrun.sequence.record.adjoint import Adjoint, Gradients, adjoint
from snnrun.sequence.record.program import Node
from snnrun.sequence.record.tracer import Feedback, Recipe, record


class ForwardPlan(NamedTuple):
    """The forward pass.

    Attributes:
        kernel: the kernel to run.
        saves: the arrays, among the input and those that the kernel writes, that the backward pass reads.
        replays: the backward pass runs forwards again, instead of reading records of the state.
    """

    kernel: Kernel
    saves: tuple[Key, ...]
    replays: bool


class BackwardPlan(NamedTuple):
    """The backward pass."""

    kernel: Kernel
    adjoint: Adjoint


X, FEEDBACK, GRAD_FEEDBACK = Key("x"), Key("feedback"), Key("grad_feedback")
_FIRED = Array(Key("fired"), "lane")
_PRODUCT_GRADIENT: Node = ("grad_output",)


def state_record(recipe: Recipe, k: int) -> Array:
    """The record of the k-th part of the state. The membrane is part of the trace; other parts may be too."""
    if k == 0:
        return Array(Key("membrane"), "time")
    if recipe.is_spikes(k):
        return Array(Key("new", k), "bytes")
    # With feedback the output before the first step need not be that part of the state.
    in_output = recipe.new[k] == recipe.output and not recipe.has_feedback
    return Array(Key("output") if in_output else Key("new", k), "time")


@functools.lru_cache(maxsize=256)
def forward_plan(recipe: Recipe, grads: Gradients | None, membrane: bool, *, cache: bool = True) -> ForwardPlan:
    """The kernel of the step.

    Args:
        recipe: the recorded step.
        grads: the gradients of the backward pass; None: there is none.
        membrane: the membranes are needed.
        cache: the state that a backward pass replays stays in a cache, as on the CPU. On a GPU it goes through the
            memory; then a single part of the state is recorded instead, which moves less and keeps as much.
    """
    program = recipe.program()
    parts = range(len(recipe.new))
    reads: set[Node] = set()
    derivatives: tuple[int, ...] = ()
    if grads is not None:
        back = adjoint(recipe, grads)
        reads, derivatives = back.reads(), back.derivatives
    # A surrogate's derivative that torch computes needs records of its argument.
    replays = grads is not None and not membrane and not derivatives and not recipe.has_feedback
    replays = replays and (cache or len(_state_parts(reads)) != 1)
    recorded = [] if replays else sorted(_state_parts(reads))
    records = [state_record(recipe, k) for k in recorded]
    kernel = _forward_kernel(
        recipe,
        sums=((recipe.output, _FIRED),) if recipe.counts else (),
        writes=(
            (recipe.output, Array(Key("output"), "time")),
            *([(recipe.new[0], state_record(recipe, 0))] if membrane or 0 in recorded else []),
            *((recipe.new[k], array) for k, array in zip(recorded, records, strict=True) if array.key.role == "new"),
            *((program.args(i)[0], Array(Key("excess", i), "time")) for i in derivatives),
        ),
        last=tuple((recipe.nodes.index(("old", k)), Array(Key("last", k), "lane")) for k in parts),
    )
    saves = (
        *([X] if replays or ("x",) in reads else []),
        *([FEEDBACK] if ("feedback",) in reads else []),
        *(array.key for array in records),
        *(Key("excess", i) for i in derivatives),
    )
    return ForwardPlan(kernel, saves, replays)


@functools.lru_cache(maxsize=256)
def backward_plan(recipe: Recipe, grads: Gradients, *, constant: bool, replays: bool, outputs: int = 0) -> BackwardPlan:
    """The kernel of the adjoint.

    Args:
        recipe: the recorded step.
        grads: the requested and the incoming gradients.
        constant: the input is the same for all steps, and its gradient is summed over time.
        replays: of the forward pass.
        outputs: of a read-out product that passes the gradient of the neurons' output; 0: there is none.
    """
    back = adjoint(recipe, grads)
    nodes, leaves = back.program.nodes, back.reads()
    parts = range(len(recipe.new))
    records = {k: Array(Key("new", k), "scratch") if replays else state_record(recipe, k) for k in parts}
    before, carries = [], []
    for i, (op, *args) in enumerate(nodes):
        if op == "old" and nodes[i] in leaves:
            (k,) = args
            before.append((i, records[k], Array(Key("first", k), "lane")))
        elif op == "carry":
            (k,) = args
            carries.append((i, back.carry.get(k), Array(Key("grad_last", k), "lane") if k in grads.last else None))
    feedback = [] if back.feedback is None else [(back.feedback, Array(GRAD_FEEDBACK, "time"))]
    # In most neurons the feedback is added to the input, so that their gradients are the same.
    shared = back.feedback is not None and back.x == back.feedback and not constant
    x = [] if back.x is None or shared else [(back.x, Array(Key("grad_x"), "lane" if constant else "time"))]
    product = ReadoutProduct(outputs, nodes.index(_PRODUCT_GRADIENT), _factor(recipe)) if outputs else None
    kernel = Kernel(
        nodes=tuple(nodes),
        numbers=len(back.program.numbers),
        reads=_reads(nodes, records, leaves - {_PRODUCT_GRADIENT} if product else leaves),
        before=tuple(before),
        carries=tuple(carries),
        sums=(
            *((node, Array(Key("grad_captured", j), "lane")) for j, node in back.captured.items()),
            *(x if constant else []),
        ),
        writes=(*([] if constant else x), *feedback),
        last=tuple(
            (i, Array(Key("grad_first", nodes[i][1]), "lane")) for i, *_ in carries if nodes[i][1] in grads.first
        ),
        backwards=True,
        replay=_replay(recipe, _state_parts(leaves) if replays else (), product),
        product=product,
    )
    return BackwardPlan(kernel, back)


@functools.lru_cache(maxsize=256)
def unrecorded_plan(recipe: Recipe, captured: frozenset[int], outputs: int = 0) -> ForwardPlan | None:
    """The forward pass that records no spikes: with a read-out product of them, or for a pool around the kernel.

    None if the backward pass needs records, or no gradient goes through the output.

    Args:
        recipe: the recorded step.
        captured: the captured tensors that need a gradient.
        outputs: of the read-out product; 0: a pool around the kernel redirects the output.
    """
    back = adjoint(recipe, Gradients(x=True, captured=captured))
    if back.derivatives or not recipe.counts or _PRODUCT_GRADIENT not in back.reads():
        return None
    writes = () if outputs else ((recipe.output, Array(Key("output"), "strided")),)
    product = ReadoutProduct(outputs, recipe.output) if outputs else None
    kernel = _forward_kernel(recipe, writes=writes, sums=((recipe.output, _FIRED),), product=product)
    return ForwardPlan(kernel, (X,), replays=True)


def training_plans(
    neuron: Neuron,
    feedback: Feedback | None = None,
    *,
    membrane: bool = False,
    constant: bool = False,
    cache: bool = True,
) -> tuple[ForwardPlan, BackwardPlan]:
    """Both plans of a training step of a layer of ``neuron``, to inspect or to compile them without data.

    The gradients of the input and of all captured tensors that are learnt are requested.

    Args:
        neuron: the neurons.
        feedback: of the layer around them.
        membrane: the trace holds the membranes, and a gradient comes in for them.
        constant: the input is the same for all steps.
        cache: see :func:`forward_plan`.

    Raises:
        Unfusable: if the neuron's step is not elementwise.
    """
    recipe, captured, _ = record(neuron, feedback)
    learnt = frozenset(j for j, each in enumerate(captured) if each.requires_grad)
    request = Gradients(x=True, captured=learnt, membrane=membrane)
    forward = forward_plan(recipe, request, membrane, cache=cache)
    return forward, backward_plan(recipe, request, constant=constant, replays=forward.replays)


def _state_parts(leaves: Collection[Node]) -> set[int]:
    """The parts of the state that the leaves read, before or after a step."""
    return {node[1] for node in leaves if node[0] in ("new", "old")}


def _factor(recipe: Recipe) -> Array:
    """The scratch array of the output, which may be part of the state."""
    in_state = recipe.output in recipe.new
    return Array(Key("new", recipe.new.index(recipe.output)) if in_state else Key("output"), "scratch")


def _replay(recipe: Recipe, parts: Collection[int], product: ReadoutProduct | None) -> Kernel | None:
    """The replay for these parts of the state, and for the output if a read-out product needs it."""
    writes = {(recipe.new[k], Array(Key("new", k), "scratch")) for k in parts}
    if product is not None and product.factor is not None:
        writes.add((recipe.output, product.factor))
    return _forward_kernel(recipe, writes=tuple(sorted(writes))) if writes else None


def _forward_kernel(
    recipe: Recipe,
    *,
    writes: tuple[tuple[int, Array], ...],
    sums: tuple[tuple[int, Array], ...] = (),
    last: tuple[tuple[int, Array], ...] = (),
    product: ReadoutProduct | None = None,
) -> Kernel:
    return Kernel(
        nodes=recipe.nodes,
        numbers=len(recipe.numbers),
        reads=_reads(recipe.nodes, {}),
        before=(),
        carries=tuple(
            (recipe.nodes.index(("old", k)), new, Array(Key("first", k), "lane")) for k, new in enumerate(recipe.new)
        ),
        sums=sums,
        writes=writes,
        last=last,
        backwards=False,
        product=product,
    )


def _reads(
    nodes: Sequence[Node], records: dict[int, Array], leaves: Collection[Node] | None = None
) -> tuple[tuple[int, Array], ...]:
    """The array of each leaf that is read from one; only of ``leaves``, if given."""
    arrays = []
    for i, node in enumerate(nodes):
        if leaves is not None and node not in leaves:
            continue
        op, *args = node
        if op in ("x", "feedback", "grad_output", "grad_membrane"):
            arrays.append((i, Array(Key(op), "strided")))
        elif op == "row":
            arrays.append((i, Array(Key("row", args[0]), "lane")))
        elif op == "new":
            arrays.append((i, records[args[0]]))
        elif op == "slope":
            arrays.append((i, Array(Key("slope", args[0]), "time")))
    return tuple(arrays)
