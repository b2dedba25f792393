"""The way back through a step: the program of its adjoint, from the program of the step.

With ``λ`` the adjoints of the state after the step (the ``carry`` from the step after it), the adjoint program computes
the gradient of the step's input, the ``carry`` for the step before, and what the step adds to the gradient of each
parameter. It is the chain rule, applied to the recorded operations in reverse; a spike's own derivative, zero almost
everywhere, is the surrogate's.

What it needs of the way forwards is read from what was recorded: the membrane always is; other parts of the state, and
the spikes as bytes, only where the adjoint asks for them. All else is computed again.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any, NamedTuple

from snnrun.sequence.record.operation import OPERATIONS
from snnrun.sequence.record.program import Node, Program
from snnrun.sequence.record.tracer import Recipe, derivative


class Wanted(NamedTuple):
    """The gradients that the way back is asked for, and those that come in.

    Attributes:
        x: whether that of the input is asked for.
        captured: the captured tensors whose gradient is.
        first: the parts of the first state whose gradient is.
        output, membrane: whether one comes in for it at each step.
        last: the parts of the last state for which one comes in.
    """

    x: bool
    captured: frozenset[int]
    first: frozenset[int] = frozenset()
    output: bool = True
    membrane: bool = False
    last: frozenset[int] = frozenset()


class Adjoint(NamedTuple):
    """The program of the adjoint, and which of its nodes are asked for."""

    program: Program
    x: int | None  # the gradient of the input
    carry: dict[int, int]  # the adjoint of each part of the old state that has one
    captured: dict[int, int]  # what the step adds to the gradient of each captured tensor that wants one
    handed: tuple[int, ...]  # spikes of the step whose surrogate's derivative must be handed in

    @property
    def wanted(self) -> list[int]:
        """All nodes that are asked for."""
        return [*([] if self.x is None else [self.x]), *self.carry.values(), *self.captured.values()]

    def reads(self) -> set[Node]:
        """The leaves that the program reads."""
        return {self.program.nodes[i] for i in self.program.below(self.wanted)}


@functools.lru_cache(maxsize=256)
def adjoint(recipe: Recipe, wanted: Wanted) -> Adjoint:
    """The adjoint of a recorded step, for the gradients that are ``wanted``."""
    # Which parts of the state carry an adjoint is found by trying: those that none reaches drop out.
    carried: set[int] = set(range(len(recipe.new)))
    while True:
        found = _trial(recipe, wanted, carried)
        reached = set(found.carry) | wanted.last
        if reached >= carried:
            return found
        carried &= reached


def _trial(recipe: Recipe, wanted: Wanted, carried: Collection[int]) -> Adjoint:
    back = _Back(recipe)
    source, p = back.source, back.program
    sums: dict[int, int] = {}

    def flow(i: int, g: int) -> None:
        sums[i] = g if i not in sums else p.add("add", sums[i], g)

    for k in sorted(carried):
        flow(recipe.new[k], p.add("carry", k))
    if wanted.output:
        flow(recipe.output, p.add("grad_output"))
    if wanted.membrane:
        flow(recipe.new[0], p.add("grad_membrane"))

    active = _active(source, wanted)
    x, carry, captured, handed = None, {}, {}, []
    for i in range(len(source.nodes) - 1, -1, -1):
        if i not in sums or i not in active:
            continue
        (op, *args), g = source.nodes[i], sums[i]
        if op == "x":
            x = g
        elif op == "old":
            carry[args[0]] = g
        elif op in ("scalar", "row"):
            captured[args[0]] = g
        elif op == "spike":
            h = back.derivative(i)
            if p.nodes[h][0] == "handed":
                handed.append(i)
            flow(args[0], p.add("mul", g, h))
        elif op in OPERATIONS and (rule := OPERATIONS[op].back) is not None:
            # Only what a rule uses is computed again: the others' nodes are left out by `below`.
            for argument, part in zip(args, rule(p, g, back.value(i), *map(back.value, args)), strict=True):
                if part is not None and argument in active:
                    flow(argument, part)
    return Adjoint(p, x, carry, captured, tuple(handed))


def _active(source: Program, wanted: Wanted) -> set[int]:
    """The nodes that depend on something whose gradient is asked for; the old state always is."""
    active: set[int] = set()
    for i, (op, *args) in enumerate(source.nodes):
        if (
            (op == "x" and wanted.x)
            or op == "old"
            or (op in ("scalar", "row") and args[0] in wanted.captured)
            or any(j in active for j in source.args(i))
        ):
            active.add(i)
    return active


class _Back:
    """The values of the way forwards, as nodes of the adjoint program."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.source, self.program = recipe, recipe.program(), Program(numbers=recipe.numbers)
        self._known: dict[int, int] = {}

    def value(self, i: int) -> int:
        """Node ``i`` of the step: read where it was recorded, else computed again."""
        if i not in self._known:
            self._known[i] = self._value(i)
        return self._known[i]

    def derivative(self, i: int) -> int:
        """The surrogate's derivative at the spike that is node ``i``."""
        _, x, _, which = self.source.nodes[i]
        found = derivative(self.recipe.surrogates[which], self.program, self.value(x))
        return self.program.add("handed", i) if found is None else found

    def _value(self, i: int) -> int:
        op, *args = self.source.nodes[i]
        if op == "literal":
            return self.program.add("literal", args[0])
        if i == self.recipe.new[0] and op != "old":
            return self.program.add("new", 0)
        # Before the records: a spike that follows from the membrane, which is recorded, costs no record of its own.
        if op == "spike" and self._is_free(args[0]):
            return self._spike(args)
        if i in self.recipe.new and op != "old":
            return self.program.add("new", self.recipe.new.index(i))
        if op in ("x", "old", "scalar", "row", "number"):
            return self.program.add(op, *args)
        if op == "spike":
            return self._spike(args)
        return self.program.add(op, *(self.value(j) for j in args))

    def _spike(self, args: list[Any]) -> int:
        """A spike once more, from what was compared."""
        compare = self.program.add("ge" if args[1] else "gt", self.value(args[0]), self.program.number(0.0))
        return self.program.as_number(compare)

    def _is_free(self, i: int) -> bool:
        """Whether node ``i`` follows from the membrane and the neuron's numbers alone."""
        op = self.source.nodes[i][0]
        if i == self.recipe.new[0] or op in ("literal", "number", "scalar", "row"):
            return True
        if op in ("x", "old"):
            return False
        return all(self._is_free(j) for j in self.source.args(i))
