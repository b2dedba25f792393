"""The backward pass of a step: the program of its adjoint, from the program of the step.

With ``λ`` the adjoints of the state after the step (the ``carry`` from the next step), the adjoint program computes the
gradient of the step's input, the ``carry`` for the previous step, and the step's contribution to the gradient of each
parameter. It is the chain rule, applied to the recorded operations in reverse; the surrogate replaces a spike's own
derivative, which is zero almost everywhere.

The program reads records of the forward pass: the membrane always; other parts of the state, and the spikes as bytes,
only if the adjoint needs them. All other values are computed again.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from snnrun.sequence.record.operation import OPERATIONS
from snnrun.sequence.record.program import Node, Program
from snnrun.sequence.record.tracer import Recipe, derivative


class Gradients(NamedTuple):
    """The requested and the incoming gradients of the backward pass.

    Attributes:
        x: the gradient of the input is requested.
        captured: the captured tensors with a requested gradient.
        first: the parts of the first state with a requested gradient.
        output, membrane: a gradient of it comes in at each step.
        last: the parts of the last state with an incoming gradient.
    """

    x: bool
    captured: frozenset[int]
    first: frozenset[int] = frozenset()
    output: bool = True
    membrane: bool = False
    last: frozenset[int] = frozenset()


def gradient_request(needs: Sequence[bool], size: int) -> Gradients | None:
    """The requested gradients of input, first state (of ``size`` parts) and captured tensors, in this order.

    None if there is none. All outputs of the step count as having an incoming gradient.
    """
    if not any(needs):
        return None
    parts = range(size)
    return Gradients(
        x=needs[0],
        first=frozenset(k for k in parts if needs[1 + k]),
        captured=frozenset(j for j, need in enumerate(needs[1 + size :]) if need),
        output=True,
        membrane=True,
        last=frozenset(parts),
    )


class Adjoint(NamedTuple):
    """The program of the adjoint, and its output nodes."""

    program: Program
    x: int | None  # the gradient of the input
    carry: dict[int, int]  # the adjoint of each part of the old state that has one
    captured: dict[int, int]  # the step's contribution to the requested gradient of each captured tensor
    feedback: int | None  # the gradient of the feedback, if there is one
    derivatives: tuple[int, ...]  # spikes of the step for which torch computes the surrogate's derivative

    @property
    def outputs(self) -> list[int]:
        """All output nodes."""
        inputs = [node for node in (self.x, self.feedback) if node is not None]
        return [*inputs, *self.carry.values(), *self.captured.values()]

    def reads(self) -> set[Node]:
        """The leaves that the program reads."""
        return {self.program.nodes[i] for i in self.program.below(self.outputs)}


@functools.lru_cache(maxsize=256)
def adjoint(recipe: Recipe, request: Gradients) -> Adjoint:
    """The adjoint of a recorded step, for the gradients in ``request``."""
    # Find the parts of the state that carry an adjoint by trial: drop those that none reaches.
    parts: set[int] = set(range(len(recipe.new)))
    while True:
        result = _trial(recipe, request, parts)
        alive = set(result.carry) | request.last
        if alive >= parts:
            return result
        parts &= alive


def _trial(recipe: Recipe, request: Gradients, parts: Collection[int]) -> Adjoint:
    back = _Back(recipe)
    source, p = back.source, back.program
    sums: dict[int, int] = {}

    def flow(i: int, g: int) -> None:
        sums[i] = g if i not in sums else p.add("add", sums[i], g)

    for k in sorted(parts):
        flow(recipe.new[k], p.add("carry", k))
    if request.output:
        flow(recipe.output, p.add("grad_output"))
    if request.membrane:
        flow(recipe.new[0], p.add("grad_membrane"))

    active = _active(source, request)
    x, feedback, carry, captured, derivatives = None, None, {}, {}, []
    for i in range(len(source.nodes) - 1, -1, -1):
        if i not in sums or i not in active:
            continue
        (op, *args), g = source.nodes[i], sums[i]
        if op == "x":
            x = g
        elif op == "feedback":
            feedback = g
        elif op == "old":
            carry[args[0]] = g
        elif op in ("scalar", "row"):
            captured[args[0]] = g
        elif op == "spike":
            h = back.derivative(i)
            if p.nodes[h][0] == "slope":
                derivatives.append(i)
            flow(args[0], p.add("mul", g, h))
        elif op in OPERATIONS and (rule := OPERATIONS[op].back) is not None:
            # Only values that a rule uses are computed again: `below` leaves out the other nodes.
            for argument, part in zip(args, rule(p, g, back.value(i), *map(back.value, args)), strict=True):
                if part is not None and argument in active:
                    flow(argument, part)
    return Adjoint(p, x, carry, captured, feedback, tuple(derivatives))


def _active(source: Program, request: Gradients) -> set[int]:
    """The nodes that depend on a value with a requested gradient; old state and feedback always count as one."""
    active: set[int] = set()
    for i, (op, *args) in enumerate(source.nodes):
        if (
            (op == "x" and request.x)
            or op in ("old", "feedback")
            or (op in ("scalar", "row") and args[0] in request.captured)
            or any(j in active for j in source.args(i))
        ):
            active.add(i)
    return active


class _Back:
    """The values of the forward pass, as nodes of the adjoint program."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.source, self.program = recipe, recipe.program(), Program(numbers=recipe.numbers)
        self._nodes: dict[int, int] = {}

    def value(self, i: int) -> int:
        """Node ``i`` of the step: read if it was recorded, else computed again."""
        if i not in self._nodes:
            self._nodes[i] = self._value(i)
        return self._nodes[i]

    def derivative(self, i: int) -> int:
        """The surrogate's derivative at spike ``i``."""
        _, x, _, which = self.source.nodes[i]
        result = derivative(self.recipe.surrogates[which], self.program, self.value(x))
        return self.program.add("slope", i) if result is None else result

    def _value(self, i: int) -> int:
        op, *args = self.source.nodes[i]
        if op == "literal":
            return self.program.add("literal", args[0])
        if i == self.recipe.new[0] and op != "old":
            return self.program.add("new", 0)
        # Before the records: a spike that follows from the recorded membrane needs no record.
        if op == "spike" and self._is_free(args[0]):
            return self._spike(args)
        if i in self.recipe.new and op != "old":
            return self.program.add("new", self.recipe.new.index(i))
        if op in ("x", "feedback", "old", "scalar", "row", "number"):
            return self.program.add(op, *args)
        if op == "spike":
            return self._spike(args)
        return self.program.add(op, *(self.value(j) for j in args))

    def _spike(self, args: list[Any]) -> int:
        """Compute a spike again from the argument of its comparison."""
        compare = self.program.add("ge" if args[1] else "gt", self.value(args[0]), self.program.number(0.0))
        return self.program.as_number(compare)

    def _is_free(self, i: int) -> bool:
        """True if node ``i`` follows from only the membrane and the neuron's numbers."""
        op = self.source.nodes[i][0]
        if i == self.recipe.new[0] or op in ("literal", "number", "scalar", "row"):
            return True
        if op in ("x", "feedback", "old"):
            return False
        return all(self._is_free(j) for j in self.source.args(i))
