"""Which kernels run a neuron: forwards from its recorded step, backwards from that step's adjoint.

Plans depend on the program alone, not on tensors, so they are found again at the next call.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from snnrun.sequence.kernel.kernel import Array, Kernel, Narrow
from snnrun.sequence.record.adjoint import Adjoint, adjoint
from snnrun.sequence.record.program import Node, Program
from snnrun.sequence.record.tracer import Step
from snnrun.surrogate import Surrogate


class Recipe(NamedTuple):
    """A recorded step without its tensors: what kernels are made from, and by which they are found again."""

    nodes: tuple[Node, ...]
    numbers: tuple[float, ...]
    output: int
    new: tuple[int, ...]
    surrogates: tuple[Surrogate, ...]

    @classmethod
    def of(cls, step: Step) -> Recipe:
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


class Forward(NamedTuple):
    """The way forwards."""

    kernel: Kernel
    saves: tuple[str, ...]  # of the arrays below, those that backward reads
    replays: bool  # whether backward runs forwards once more, instead of reading records of the state


class Backward(NamedTuple):
    """The way back."""

    kernel: Kernel
    adjoint: Adjoint


@functools.lru_cache(maxsize=256)
def forward_plan(recipe: Recipe, needs_x: bool, needs: frozenset[int], differentiable: bool, membrane: bool) -> Forward:
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
    return Forward(
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
    recipe: Recipe, needs_x: bool, needs: frozenset[int], gradients: frozenset[str], last: frozenset[int]
) -> Adjoint:
    return adjoint(recipe.step(), needs_x=needs_x, needs=needs, gradients=gradients, last=last)


@functools.lru_cache(maxsize=256)
def backward_plan(
    recipe: Recipe,
    needs_x: bool,
    needs: frozenset[int],
    given: frozenset[str],
    first: frozenset[int],
    constant: bool,
    replays: bool,
    outputs: int = 0,
) -> Backward:
    """The kernel of the adjoint, for the gradients that are ``given``.

    Args:
        needs_x: whether the gradient of the input is asked for.
        needs: the captured tensors whose gradient is.
        given: as in :func:`snnrun.sequence.fused.backwards`.
        first: the parts of the first state whose gradient is asked for.
        constant: the input is one for all steps, and its gradient is summed over time.
        replays: of the way forwards.
        outputs: of a narrow product, through which the gradient of the neurons' output comes; 0: there is none.
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
    kept = {k for op, *rest in reached if op in ("new", "old") for k in rest} if replays else set()
    narrow = Narrow(outputs, nodes.index(_GIVEN), _factor(recipe)) if outputs else None
    kernel = Kernel(
        nodes=tuple(nodes),
        numbers=len(made.program.numbers),
        reads=_reads(nodes, records, reached - {_GIVEN} if narrow else reached),
        before=tuple(before),
        carries=tuple(carries),
        sums=(*((node, Array(f"grad{j}", "lane")) for j, node in made.captured.items()), *(x if constant else [])),
        writes=() if constant else tuple(x),
        last=tuple((i, Array(f"grad_first{nodes[i][1]}", "lane")) for i, *_ in carries if nodes[i][1] in first),
        backwards=True,
        replay=_replay(recipe, kept, narrow),
        narrow=narrow,
    )
    return Backward(kernel, made)


@functools.lru_cache(maxsize=256)
def narrow_plan(recipe: Recipe, needs: frozenset[int], outputs: int) -> Forward | None:
    """The way forwards that takes a narrow product of the spikes along, and records nothing.

    None where the way back could not take it, since it needs records, or no gradient goes through the output.
    """
    back = _adjoint(recipe, True, needs, frozenset(("output",)), frozenset())
    if back.handed or not recipe.counts or _GIVEN not in back.reads():
        return None
    sums = ((recipe.output, Array("fired", "lane")),)
    return Forward(_forward_kernel(recipe, writes=(), sums=sums, narrow=Narrow(outputs, recipe.output)), ("x",), True)


_GIVEN: Node = ("grad", "output")


def _factor(recipe: Recipe) -> Array:
    """Where the output is kept: with the state, if it is part of that."""
    return Array(f"new{recipe.new.index(recipe.output)}" if recipe.output in recipe.new else "output", "kept")


def _replay(recipe: Recipe, parts: set[Any], narrow: Narrow | None) -> Kernel | None:
    """The way forwards once more, for these parts of the state, and for the output that a narrow product asks for."""
    writes = {(recipe.new[k], Array(f"new{k}", "kept")) for k in parts}
    if narrow is not None and narrow.factor is not None:
        writes.add((recipe.output, narrow.factor))
    return _forward_kernel(recipe, writes=tuple(sorted(writes))) if writes else None


def _forward_kernel(
    recipe: Recipe,
    *,
    writes: tuple[tuple[int, Array], ...],
    sums: tuple[tuple[int, Array], ...] = (),
    last: tuple[tuple[int, Array], ...] = (),
    narrow: Narrow | None = None,
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
        narrow=narrow,
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
