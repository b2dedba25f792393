"""Which kernels run a neuron: forwards from its recorded step, backwards from that step's adjoint.

Plans depend on the recipe alone, not on tensors, so they are found again at the next call.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import NamedTuple

from snnrun.sequence.kernel.kernel import Array, Kernel, Key, ReadoutProduct
from snnrun.sequence.record.adjoint import Adjoint, Wanted, adjoint
from snnrun.sequence.record.program import Node
from snnrun.sequence.record.tracer import Recipe


class ForwardPlan(NamedTuple):
    """The way forwards.

    Attributes:
        kernel: what is run.
        saves: of the input and the arrays that the kernel writes, those that the way back reads.
        replays: whether the way back runs forwards once more, instead of reading records of the state.
    """

    kernel: Kernel
    saves: tuple[Key, ...]
    replays: bool


class BackwardPlan(NamedTuple):
    """The way back."""

    kernel: Kernel
    adjoint: Adjoint


X = Key("x")
_FIRED = Array(Key("fired"), "lane")
_GIVEN: Node = ("grad_output",)


def state_record(recipe: Recipe, k: int) -> Array:
    """The record of the k-th part of the state. The membrane is part of the trace; so may be others."""
    if k == 0:
        return Array(Key("membrane"), "time")
    if recipe.is_spikes(k):
        return Array(Key("new", k), "bytes")
    return Array(Key("output") if recipe.new[k] == recipe.output else Key("new", k), "time")


@functools.lru_cache(maxsize=256)
def forward_plan(recipe: Recipe, wanted: Wanted | None, membrane: bool) -> ForwardPlan:
    """The kernel of the step.

    Args:
        recipe: the recorded step.
        wanted: the gradients that the way back will be asked for; None: there is no way back.
        membrane: whether the membranes are asked for.
    """
    program = recipe.program()
    parts = range(len(recipe.new))
    reads: set[Node] = set()
    handed: tuple[int, ...] = ()
    if wanted is not None:
        back = adjoint(recipe, wanted)
        reads, handed = back.reads(), back.handed
    # A surrogate's derivative that is handed in is made from records of what it is taken at.
    replays = wanted is not None and not membrane and not handed
    recorded = [] if replays else sorted(_state_read(reads))
    records = [state_record(recipe, k) for k in recorded]
    kernel = _forward_kernel(
        recipe,
        sums=((recipe.output, _FIRED),) if recipe.counts else (),
        writes=(
            (recipe.output, Array(Key("output"), "time")),
            *([(recipe.new[0], state_record(recipe, 0))] if membrane or 0 in recorded else []),
            *((recipe.new[k], array) for k, array in zip(recorded, records, strict=True) if array.key.role == "new"),
            *((program.args(i)[0], Array(Key("excess", i), "time")) for i in handed),
        ),
        last=tuple((recipe.nodes.index(("old", k)), Array(Key("last", k), "lane")) for k in parts),
    )
    saves = (
        *([X] if replays or ("x",) in reads else []),
        *(array.key for array in records),
        *(Key("excess", i) for i in handed),
    )
    return ForwardPlan(kernel, saves, replays)


@functools.lru_cache(maxsize=256)
def backward_plan(recipe: Recipe, wanted: Wanted, *, constant: bool, replays: bool, outputs: int = 0) -> BackwardPlan:
    """The kernel of the adjoint.

    Args:
        recipe: the recorded step.
        wanted: the gradients that are asked for, and those that come in.
        constant: the input is one for all steps, and its gradient is summed over time.
        replays: of the way forwards.
        outputs: of a read-out product, through which the gradient of the neurons' output comes; 0: there is none.
    """
    back = adjoint(recipe, wanted)
    nodes, reached = back.program.nodes, back.reads()
    parts = range(len(recipe.new))
    records = {k: Array(Key("new", k), "kept") if replays else state_record(recipe, k) for k in parts}
    before, carries = [], []
    for i, (op, *args) in enumerate(nodes):
        if op == "old" and nodes[i] in reached:
            (k,) = args
            before.append((i, records[k], Array(Key("first", k), "lane")))
        elif op == "carry":
            (k,) = args
            carries.append((i, back.carry.get(k), Array(Key("grad_last", k), "lane") if k in wanted.last else None))
    x = [] if back.x is None else [(back.x, Array(Key("grad_x"), "lane" if constant else "time"))]
    product = ReadoutProduct(outputs, nodes.index(_GIVEN), _factor(recipe)) if outputs else None
    kernel = Kernel(
        nodes=tuple(nodes),
        numbers=len(back.program.numbers),
        reads=_reads(nodes, records, reached - {_GIVEN} if product else reached),
        before=tuple(before),
        carries=tuple(carries),
        sums=(
            *((node, Array(Key("grad_captured", j), "lane")) for j, node in back.captured.items()),
            *(x if constant else []),
        ),
        writes=() if constant else tuple(x),
        last=tuple(
            (i, Array(Key("grad_first", nodes[i][1]), "lane")) for i, *_ in carries if nodes[i][1] in wanted.first
        ),
        backwards=True,
        replay=_replay(recipe, _state_read(reached) if replays else (), product),
        product=product,
    )
    return BackwardPlan(kernel, back)


@functools.lru_cache(maxsize=256)
def readout_plan(recipe: Recipe, captured: frozenset[int], outputs: int) -> ForwardPlan | None:
    """The way forwards that takes a read-out product of the spikes along, and records nothing.

    None where the way back could not take it, since it needs records, or no gradient goes through the output.
    """
    back = adjoint(recipe, Wanted(x=True, captured=captured))
    if back.handed or not recipe.counts or _GIVEN not in back.reads():
        return None
    product = ReadoutProduct(outputs, recipe.output)
    kernel = _forward_kernel(recipe, writes=(), sums=((recipe.output, _FIRED),), product=product)
    return ForwardPlan(kernel, (X,), replays=True)


def _state_read(leaves: Collection[Node]) -> set[int]:
    """The parts of the state that leaves read, before or after a step."""
    return {node[1] for node in leaves if node[0] in ("new", "old")}


def _factor(recipe: Recipe) -> Array:
    """Where the output is kept: with the state, if it is part of that."""
    in_state = recipe.output in recipe.new
    return Array(Key("new", recipe.new.index(recipe.output)) if in_state else Key("output"), "kept")


def _replay(recipe: Recipe, parts: Collection[int], product: ReadoutProduct | None) -> Kernel | None:
    """The way forwards once more, for these parts of the state, and for the output that a read-out product asks for."""
    writes = {(recipe.new[k], Array(Key("new", k), "kept")) for k in parts}
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
    nodes: Sequence[Node], records: dict[int, Array], reached: Collection[Node] | None = None
) -> tuple[tuple[int, Array], ...]:
    """The array of each leaf that stands in one; of those ``reached`` alone, if that is given."""
    found = []
    for i, node in enumerate(nodes):
        if reached is not None and node not in reached:
            continue
        op, *args = node
        if op in ("x", "grad_output", "grad_membrane"):
            found.append((i, Array(Key(op), "strided")))
        elif op == "row":
            found.append((i, Array(Key("row", args[0]), "lane")))
        elif op == "new":
            found.append((i, records[args[0]]))
        elif op == "handed":
            found.append((i, Array(Key("handed", args[0]), "time")))
    return tuple(found)
