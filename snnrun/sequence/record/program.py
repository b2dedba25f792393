"""A neuron's step as data: a sequence of elementwise operations on the step's inputs.

Every kernel comes from such a program, so that a neuron is defined once, by its ``step``. A node is a tuple: the name
of its operation, then its arguments, which are indices of earlier nodes. The leaves are

====================== =================================================================================
``("literal", v)``     a number of the equation itself, such as the 1 in ``1 - s``
``("number", j)``      the j-th number of the neuron, such as β; its value does not change the program
``("scalar", j)``      the j-th captured tensor, one number for all neurons
``("row", j)``         the j-th captured tensor, one number per neuron
``("x",)``             the input of this step
``("feedback",)``      the output of the step before, times the weights of its feedback
``("old", k)``         the k-th tensor of the state before this step
``("new", k)``         the k-th tensor of the state after it, from the records (backwards only)
``("carry", k)``       the adjoint of the state, from the next step (backwards only)
``("grad_output",)``   the gradient of the output of the step, and
``("grad_membrane",)`` of its membrane (backwards only)
``("slope", i)``       the surrogate's derivative at the spike that is node i of the step (backwards only)
====================== =================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Node = tuple[Any, ...]

LEAVES = (
    *("literal", "number", "scalar", "row", "x", "feedback", "old"),
    *("new", "carry", "grad_output", "grad_membrane", "slope"),
)
#: Operations with a logical result.
BOOLEAN = ("gt", "ge", "lt", "le", "eq", "ne", "and", "or", "not")


class Program:
    """Nodes in the order in which they are computed; equal nodes are one.

    Attributes:
        nodes: the nodes.
        numbers: the values of the ``number`` leaves.
    """

    def __init__(self, nodes: Iterable[Node] = (), numbers: Iterable[float] = ()) -> None:
        self.nodes, self.numbers = list(nodes), list(numbers)
        self._indices = {node: i for i, node in enumerate(self.nodes)}

    def add(self, op: str, *args: Any) -> int:
        """The index of this node, which is added if it is new."""
        return self._simple(op, args) if op in _SIMPLER else self._append((op, *args))

    def number(self, value: float) -> int:
        """A leaf for a number; 0, 1 and other small numbers are part of the program."""
        value = float(value)
        if value in (0.0, 0.5, 1.0, 2.0, -1.0):
            return self.add("literal", abs(value) if value == 0 else value)
        if value not in self.numbers:
            self.numbers.append(value)
        return self.add("number", self.numbers.index(value))

    def is_boolean(self, i: int) -> bool:
        """True if node ``i`` is logical."""
        return self.nodes[i][0] in BOOLEAN

    def as_number(self, i: int) -> int:
        """Node ``i`` as a number: 1 for true, 0 for false."""
        return self.add("number_of", i) if self.is_boolean(i) else i

    def args(self, i: int) -> tuple[int, ...]:
        """The arguments of node ``i``."""
        op, *args = self.nodes[i]
        if op in LEAVES:
            return ()
        return tuple(args[:1]) if op == "spike" else tuple(args)

    def below(self, nodes: list[int]) -> list[int]:
        """All nodes that ``nodes`` depend on, including themselves, in order."""
        below: set[int] = set()
        waiting = list(nodes)
        while waiting:
            i = waiting.pop()
            if i not in below:
                below.add(i)
                waiting.extend(self.args(i))
        return sorted(below)

    def _append(self, node: Node) -> int:
        if node not in self._indices:
            self._indices[node] = len(self.nodes)
            self.nodes.append(node)
        return self._indices[node]

    def _simple(self, op: str, args: tuple[int, ...]) -> int:
        """Simplify multiplication by 1 and addition of 0."""
        a, b = args
        first, second = self.nodes[a], self.nodes[b]
        if (op in ("mul", "div") and second == _ONE) or (op in ("add", "sub") and second == _ZERO):
            return a
        if (op == "mul" and first == _ONE) or (op == "add" and first == _ZERO):
            return b
        return self._append((op, a, b))


_ONE, _ZERO = ("literal", 1.0), ("literal", 0.0)
_SIMPLER = ("add", "sub", "mul", "div")
