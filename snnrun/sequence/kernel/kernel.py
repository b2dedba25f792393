"""What a kernel is asked to do: a program over all time steps, with arrays to read from and to write to.

The same description is carried out by LLVM code (``llvm``) or by torch operations (``eager``).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from snnrun.sequence.record.program import Node

# fmt: off
Role: TypeAlias = Literal[
    # Forwards: the input; captured tensors with a number per neuron; the state before the first step, after the last.
    "x", "row", "first", "last",
    # What is recorded: output, how often it was a spike, membrane, other parts of the state, what a spike compares.
    "output", "fired", "membrane", "new", "excess",
    # Backwards: gradients that come in; gradients that are asked for; derivatives of surrogates that torch computes.
    "grad_output", "grad_membrane", "grad_last", "grad_x", "grad_first", "grad_captured", "handed",
    # Of a read-out product: its weights; what it gives, or backwards the gradient of that; the gradient of the weights.
    "weights", "products", "grad_weights",
]
# fmt: on
Kind: TypeAlias = Literal["lane", "time", "bytes", "strided", "kept", "packed", "few"]


class Key(NamedTuple):
    """Which array: what it holds, and of which part of the state, captured tensor or node."""

    role: Role
    part: int = 0


class Array(NamedTuple):
    """An array that a kernel reads or writes, and how it lies in memory.

    Kinds: ``lane``, one value per neuron; ``time``, one per step and neuron; ``bytes``, the same as bytes of 0 or 1;
    ``strided``, as time, but with a distance between steps that may be 0 (given beside the array); ``kept``, as time,
    but there only while a kernel works on the neuron, between its first run over time and its second; ``packed`` and
    ``few``, the weights of a read-out product and what it gives.
    """

    key: Key
    kind: Kind


WEIGHTS, PRODUCTS = Array(Key("weights"), "packed"), Array(Key("products"), "few")


class ReadoutProduct(NamedTuple):
    """A product with few outputs, taken of a node's value while that is at hand, so that it need not be recorded.

    Forwards ``y[t, b] += W s[t, b]``, with ``s`` the node's values for the neurons of sample ``b``; backwards the node
    is the leaf ``W^T g[t, b]``, and ``dW += g[t, b] s[t, b]^T`` follows. ``W`` is the array ``WEIGHTS``, ``y`` or ``g``
    is ``PRODUCTS``.

    Attributes:
        outputs: how many.
        node: forwards the node that is multiplied, backwards the leaf.
        factor: backwards the ``kept`` array with the values of the node.
    """

    outputs: int
    node: int
    factor: Array | None = None


class Kernel(NamedTuple):
    """What is compiled.

    Attributes:
        nodes, numbers: the program, and how many numbers it has.
        reads: the array that a leaf is read from, by the leaf's index.
        before: the same for leaves that are read one step earlier: the array, and the one that stands before the first.
        carries: leaf -> (node that is its value at the next step, array of its first value or None for 0).
        sums: node -> array that takes its sum over time.
        writes: node -> array, at every step.
        last: leaf in ``carries`` -> array that takes the value after the last step.
        backwards: from the last step to the first.
        replay: what is run over all time first; what it writes is ``kept``, to be read by this kernel. Its numbers are
            the first of this kernel's.
        product: a read-out product that is taken on the way; for ``llvm`` alone.
    """

    nodes: tuple[Node, ...]
    numbers: int
    reads: tuple[tuple[int, Array], ...]
    before: tuple[tuple[int, Array, Array], ...]
    carries: tuple[tuple[int, int | None, Array | None], ...]
    sums: tuple[tuple[int, Array], ...]
    writes: tuple[tuple[int, Array], ...]
    last: tuple[tuple[int, Array], ...]
    backwards: bool
    replay: Kernel | None = None
    product: ReadoutProduct | None = None

    def arrays(self) -> list[Array]:
        """The arrays that are handed over, in their order."""
        return [array for array in self._all() if array.kind != "kept"]

    def kept(self) -> list[Array]:
        """The arrays that are not."""
        return [array for array in self._all() if array.kind == "kept"]

    def _all(self) -> list[Array]:
        found = [array for _, array in (*self.reads, *self.sums, *self.writes, *self.last)]
        found += [array for _, *pair in self.before for array in pair]
        found += [array for *_, array in self.carries if array is not None]
        if self.product is not None:
            found += [WEIGHTS, PRODUCTS, *([self.product.factor] if self.product.factor else [])]
        return sorted({*found, *(self.replay._all() if self.replay else [])})
