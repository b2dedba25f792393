"""The description of a kernel: a program over all time steps, with arrays to read and to write.

LLVM code (``llvm``), Triton code (``triton``) or torch operations (``eager``) execute it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from snnrun.sequence.record.program import Node

# fmt: off
Role: TypeAlias = Literal[
    # Forwards: the input; captured tensors with a number per neuron; the state before the first step, after the last.
    "x", "row", "first", "last",
    # Records: output, number of spikes, membrane, other parts of the state, the argument of a spike's comparison.
    "output", "fired", "membrane", "new", "excess",
    # Backwards: incoming gradients; requested gradients; derivatives of surrogates that torch computes.
    "grad_output", "grad_membrane", "grad_last", "grad_x", "grad_first", "grad_captured", "slope",
    # Of a read-out product: its weights; its result, or backwards the gradient of that; the gradient of the weights.
    "weights", "products", "grad_weights",
    # Of a recurrent layer: its feedback and the gradient of it, and the bias of the feedback; what a step gets from the
    # step before it, and what it leaves to the step after it; records of the state before a step.
    "feedback", "grad_feedback", "bias", "enter", "leave", "old",
]
# fmt: on
Kind: TypeAlias = Literal["lane", "time", "bytes", "strided", "scratch", "packed", "few", "matrix"]


class Key(NamedTuple):
    """The identity of an array: its role, and the part of the state, captured tensor or node."""

    role: Role
    part: int = 0


class Array(NamedTuple):
    """An array that a kernel reads or writes, and its layout in memory.

    Kinds: ``lane``, one value per neuron; ``time``, one per step and neuron; ``bytes``, the same as bytes of 0 or 1;
    ``strided``, as time, but with a distance between steps that may be 0 (passed with the array); ``scratch``, as time,
    but only within a kernel, between its first run over time and its second; ``packed`` and ``few``, the weights and
    the result of a read-out product; ``matrix``, the weights of a feedback.
    """

    key: Key
    kind: Kind


WEIGHTS, PRODUCTS = Array(Key("weights"), "packed"), Array(Key("products"), "few")
FEEDBACK_WEIGHTS, FEEDBACK_BIAS = Array(Key("weights"), "matrix"), Array(Key("bias"), "lane")


class ReadoutProduct(NamedTuple):
    """A product with few outputs, computed from a node's value within the kernel, so that it need not be recorded.

    Forwards ``y[t, b] += W s[t, b]``, with ``s`` the node's values for the neurons of sample ``b``; backwards the node
    is the leaf ``W^T g[t, b]``, and ``dW += g[t, b] s[t, b]^T`` follows. ``W`` is the array ``WEIGHTS``, ``y`` or ``g``
    is ``PRODUCTS``.

    Attributes:
        outputs: number of outputs.
        node: forwards the factor, backwards the leaf.
        factor: backwards the ``scratch`` array with the values of the node.
    """

    outputs: int
    node: int
    factor: Array | None = None


class FeedbackProduct(NamedTuple):
    """The product of a layer with feedback, computed within the kernel, so that one call runs all steps.

    A leaf of step t is ``a + r M``, with ``r`` a row that the kernel has written in the step that it executed before.
    Forwards the leaf is the feedback, r the output of step t-1, ``M = W^T`` and ``a`` the bias. Backwards the leaf is
    the gradient of the output, r the gradient of the feedback of step t+1, ``M = W`` and ``a`` the gradient that comes
    in from outside. ``M`` is the array ``FEEDBACK_WEIGHTS``.

    Attributes:
        leaf: the node.
        source: the array of r, which has a row for the step before the first one, too.
        addend: the array of ``a``; None: 0.
    """

    leaf: int
    source: Array
    addend: Array | None


class Kernel(NamedTuple):
    """A program with its arrays, ready to compile.

    Attributes:
        nodes, numbers: the program, and its number of numbers.
        reads: the array of a leaf, by the leaf's index.
        before: the same for leaves read one step earlier: the array, and the array before the first step.
        carries: leaf -> (node with its value at the next step, array of its first value or None for 0).
        sums: node -> array for its sum over time.
        writes: node -> array, at every step.
        last: leaf in ``carries`` -> array for the value after the last step.
        backwards: from the last step to the first.
        replay: a kernel that runs over all time first, and writes ``scratch`` arrays for this one. Its numbers are the
            first of this kernel's.
        product: a read-out product within the kernel; for ``llvm`` only.
        feedback: the product of a layer with feedback, within the kernel; for ``triton`` only.
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
    feedback: FeedbackProduct | None = None

    def by_step(self) -> Kernel:
        """The kernel for one step at a time: what it carries from step to step, sums too, is in arrays.

        Carried value i comes from ``enter`` i and goes to ``leave`` i: first ``carries``, then ``sums``. Records of the
        state before a step have the role ``old``.
        """
        nodes, carries, last = list(self.nodes), [], []
        pairs = [(leaf, node) for leaf, node, _ in self.carries]
        for i, (node, _) in enumerate(self.sums, len(pairs)):
            total = len(nodes)
            nodes += [("carry", i), ("add", total, node)]
            pairs.append((total, total + 1))
        for i, (leaf, node_after) in enumerate(pairs):
            carries.append((leaf, node_after, Array(Key("enter", i), "lane")))
            last.append((leaf, Array(Key("leave", i), "lane")))
        before = [(leaf, Array(Key("old", initial.key.part), array.kind)) for leaf, array, initial in self.before]
        return self._replace(
            nodes=tuple(nodes),
            reads=(*self.reads, *before),
            before=(),
            carries=tuple(carries),
            sums=(),
            last=tuple(last),
        )

    def with_feedback(self, *, bias: bool = False, record: bool = False) -> Kernel:
        """The kernel of :meth:`by_step` that computes the feedback itself, and so runs any number of steps in one call.

        Args:
            bias: forwards, the feedback has a bias.
            record: forwards, the feedback is written at each step.
        """
        kernel = self.by_step()
        node, role = (("grad_output",), "grad_feedback") if self.backwards else (("feedback",), "output")
        own = [(leaf, array) for leaf, array in kernel.reads if kernel.nodes[leaf] == node]
        source = [array for _, array in kernel.writes if array.key.role == role]
        if not own or not source:  # the step ignores its feedback, or no gradient reaches it
            return kernel
        ((leaf, array),) = own
        addend = array if self.backwards else FEEDBACK_BIAS if bias else None
        return kernel._replace(
            reads=tuple(each for each in kernel.reads if each not in own),
            writes=(*kernel.writes, *([(leaf, Array(array.key, "time"))] if record else [])),
            feedback=FeedbackProduct(leaf, source[0], addend),
        )

    def arrays(self) -> list[Array]:
        """The arrays that are passed to the kernel, in order."""
        return [array for array in self._all() if array.kind != "scratch"]

    def scratch(self) -> list[Array]:
        """The scratch arrays."""
        return [array for array in self._all() if array.kind == "scratch"]

    def _all(self) -> list[Array]:
        arrays = [array for _, array in (*self.reads, *self.sums, *self.writes, *self.last)]
        arrays += [array for _, *pair in self.before for array in pair]
        arrays += [array for *_, array in self.carries if array is not None]
        if self.product is not None:
            arrays += [WEIGHTS, PRODUCTS, *([self.product.factor] if self.product.factor else [])]
        if self.feedback is not None:
            arrays += [FEEDBACK_WEIGHTS, *([self.feedback.addend] if self.feedback.addend else [])]
        return sorted({*arrays, *(self.replay._all() if self.replay else [])})
