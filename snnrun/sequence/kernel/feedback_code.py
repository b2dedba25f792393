"""Writes a kernel that runs step by step, with the feedback of each sample between two steps, as LLVM code.

A call takes a group of samples through all steps, so that threads wait for each other once, and not at each step.

Forwards, the feedback of a sample is a sum of rows of ``W^T``, one for each neuron whose output is not 0. Backwards,
``W^T g`` is a dense product of a few samples at a time, whose sums stay in registers, and the gradient of the weights
is again a sum of rows for the neurons whose output was not 0. All sums have an order of their own, which depends on
neither threads nor other samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from snnrun.system.llvm.engine import has_wide_vectors
from snnrun.system.llvm.function import Function, join

#: The arguments of both directions; ``now`` has room for one pointer per array.
_COMMON = (
    *("ptr %now", "ptr %base", "ptr %delta", "ptr %flip", "i64 %arrays"),
    *("ptr %strides", "ptr %numbers", "ptr %scratch", "i64 %size", "i64 %steps", "i64 %lanes"),
    *("i64 %first", "i64 %last"),
)
#: Then the rows of the first step, each with its distance in bytes to the row of the next; and the weights.
FORWARD = ("s", "result")
BACKWARD = ("incoming", "later", "result", "own", "s")


class Shape(NamedTuple):
    """The layer's size, and how its products are cut into pieces.

    Attributes:
        n: number of neurons.
        double: numbers of 64 bits instead of 32.
        width: numbers in a vector.
        row: vectors of a row that are summed at a time forwards.
        column: the same backwards, for each of ``samples`` samples.
        backwards: the direction.
    """

    n: int
    double: bool
    width: int
    row: int
    column: int
    samples: int
    backwards: bool

    @property
    def vectors(self) -> int:
        """Vectors of a row; the last may be longer than the row."""
        return -(-self.n // self.width)


def shape_of(like: Tensor, width: int, *, backwards: bool) -> Shape:
    """The pieces for a step ``[B, *N]`` on this processor: all sums of a piece must fit its registers."""
    n, wide = like[0].numel(), has_wide_vectors()
    vectors = -(-n // width)
    row = -(-vectors // -(-vectors // (8 if wide else 4)))
    column, samples = (min(vectors, 2), 8) if wide else (1, 4)
    return Shape(n, like.dtype == torch.float64, width, row, column, samples, backwards)


def pack(matrix: Tensor, width: int, vectors: int) -> Tensor:
    """The rows ``[n, n]`` in pieces of ``vectors`` vectors, ``[pieces, n, vectors * width]``, with 0 beyond the end."""
    piece = vectors * width
    padded = torch.nn.functional.pad(matrix, (0, -matrix.shape[1] % piece))
    return padded.unflatten(1, (-1, piece)).transpose(0, 1).contiguous()


def code(kernel: str, shape: Shape) -> str:
    """The code ``kernel`` of a kernel for one step, and the function ``samples`` around it.

    ``void samples(now, base, delta, flip, arrays, strides, numbers, scratch, size, steps, lanes, first, last, …)`` runs
    the samples from ``first`` to ``last`` over all steps. Array i of step t lies at ``base[i] + t delta[i]``, plus
    ``flip[i]`` in every second step. Then follow the pointer and the distance of each of ``FORWARD`` and the pointers
    of weights and bias, or of each of ``BACKWARD`` and the pointers of weights, their gradient and the bias's gradient.
    """
    functions = _Backward(shape).functions() if shape.backwards else _Forward(shape).functions()
    one = f"@one = private constant {'double' if shape.double else 'float'} 1.0"  # for the row of the bias
    return join([one, kernel], functions)


class _Direction:
    """The functions of a direction."""

    rows: tuple[str, ...]
    further: tuple[str, ...]

    def __init__(self, shape: Shape) -> None:
        self.shape, self.n, self.width = shape, shape.n, shape.width

    def function(self, head: str) -> Function:
        """A new function."""
        return Function(head, double=self.shape.double, width=self.shape.width)

    def functions(self) -> list[Function]:
        """All of them."""
        raise NotImplementedError

    def before(self, w: Function, now: dict[str, str]) -> None:
        """The code before the kernel's step; ``now``: the rows of the step."""

    def after(self, w: Function, now: dict[str, str]) -> None:
        """The code after it."""

    def rest(self, w: Function, i: int) -> str:
        """The mask of vector ``i`` of a row; empty if the whole vector lies in the row."""
        return w.first(self.n - i * self.width)

    def events(self) -> Function:
        """``i64 events(s, list)``: the places where a row is not 0, and their number."""
        w = self.function("internal i64 @events(ptr %s, ptr %list)")
        whole = self.n // self.width
        with w.loop("vector", "0", str(whole), values=["0"], kinds=["i64"]) as loop:
            begin = w.product(loop.index, self.width)
            loop.values = [self._places(w, "some", w.load("%s", begin), begin, loop.values[0])]
        (found,) = loop.values
        if self.n % self.width:
            begin = str(whole * self.width)
            found = self._places(w, "tail", w.load("%s", begin, self.rest(w, whole)), begin, found)
        w.line(f"ret i64 {found}")
        return w

    def _places(self, w: Function, name: str, value: str, begin: str, found: str) -> str:
        """Add the places where a vector is not 0 to the list; the number of places."""
        mask = w.compare("une", value, w.every(0.0))
        which = w.let(f"bitcast {w.mask} {mask} to i{self.width}")
        with w.ones(name, which, self.width, found) as (place, count):
            neuron = w.let(f"add i64 {begin}, {place}")
            w.line(f"store i64 {neuron}, ptr {w.at('%list', count, 'i64')}, align 8")
        return count

    def samples(self) -> Function:
        """The function ``samples``."""
        along = [argument for name in self.rows for argument in (f"ptr %{name}", f"i64 %{name}_delta")]
        further = [f"ptr %{name}" for name in self.further]
        w = self.function(f"void @samples({', '.join([*_COMMON, *along, *further])})")
        w.line(f"%list = alloca i64, i64 {self.n}, align 8")
        low, high = w.product("%first", self.n), w.product("%last", self.n)
        with w.loop("step", "0", "%steps") as step:
            t = step.index
            odd = w.let(f"and i64 {t}, 1")
            with w.loop("array", "0", "%arrays") as array:
                i = array.index
                moved, turned = w.product(w.number("%delta", i), t), w.product(w.number("%flip", i), odd)
                base = w.let(f"load ptr, ptr {w.at('%base', i, 'ptr')}, align 8")
                place = w.at(base, w.let(f"add i64 {moved}, {turned}"), "i8")
                w.line(f"store ptr {place}, ptr {w.at('%now', i, 'ptr')}, align 8")
            now = {name: w.at(f"%{name}", w.product(t, f"%{name}_delta"), "i8") for name in self.rows}
            self.before(w, now)
            w.line(
                "call void @kernel(ptr %now, ptr %strides, ptr %numbers, ptr %scratch, i64 %size, i64 1, i64 %lanes, "
                f"i64 {low}, i64 {high})"
            )
            self.after(w, now)
        w.line("ret void")
        return w

    def count(self, w: Function, s: str) -> str:
        """The number of places where a row is not 0, which are in the list."""
        return w.let(f"call i64 @events(ptr {s}, ptr %list)")


class _Forward(_Direction):
    rows, further = FORWARD, ("weights", "bias")

    def functions(self) -> list[Function]:
        return [self.events(), self.feed(), self.samples()]

    def before(self, w: Function, now: dict[str, str]) -> None:
        with w.loop("sample", "%first", "%last") as sample:
            s, result = (w.at(now[name], w.product(sample.index, self.n)) for name in FORWARD)
            w.call("feed", result, s, "%list", "%weights", "%bias", last=self.count(w, s))

    def feed(self) -> Function:
        """``void feed(result, s, list, weights, bias, count)``: ``W s + b`` of a sample."""
        head = "internal void @feed(ptr %result, ptr %s, ptr %list, ptr %weights, ptr %bias, i64 %count)"
        w, row, vectors = self.function(head), self.shape.row, self.shape.vectors
        for piece in range(-(-vectors // row)):
            numbers = row * self.width
            bias = [w.load("%bias", str(piece * numbers + v * self.width)) for v in range(row)]
            with w.loop(f"sum{piece}", "0", "%count", values=bias) as loop:
                k = w.number("%list", loop.index)
                value = w.spread_number("%s", k)
                weights = w.at(w.at("%weights", str(piece * self.n * numbers)), w.product(k, numbers))
                loop.values = [
                    w.multiply_add(value, w.load(weights, str(v * self.width)), before)
                    for v, before in enumerate(loop.values)
                ]
            for i, total in enumerate(loop.values, piece * row):
                if i < vectors:
                    w.store(total, "%result", str(i * self.width), self.rest(w, i))
        w.line("ret void")
        return w


class _Backward(_Direction):
    rows, further = BACKWARD, ("weights", "grad_weights", "grad_bias")

    def functions(self) -> list[Function]:
        sizes = [self.shape.samples >> i for i in range(self.shape.samples.bit_length())]
        pulls = [self.pull(size, first) for size in sizes for first in self._pieces()]
        return [self.events(), *pulls, self.pull_all(sizes), self.add_row(), self.samples()]

    def before(self, w: Function, now: dict[str, str]) -> None:
        own = [w.at(now[name], w.product("%first", self.n)) for name in ("result", "incoming", "later")]
        w.call("pull", *own, "%weights", last=w.let("sub i64 %last, %first"))

    def after(self, w: Function, now: dict[str, str]) -> None:
        with w.loop("sample", "%first", "%last") as sample:
            s, own = (w.at(now[name], w.product(sample.index, self.n)) for name in ("s", "own"))
            with w.loop("event", "0", self.count(w, s)) as event:
                k = w.number("%list", event.index)
                row = w.at("%grad_weights", w.product(k, self.shape.vectors * self.width))
                w.call("add_row", row, w.at(s, k), own)
            w.call("add_row", "%grad_bias", "@one", own)

    def _whole(self) -> int:
        """Pieces of ``column`` vectors that lie in a row whole."""
        return self.n // (self.shape.column * self.width)

    def _pieces(self) -> list[int]:
        """The first piece of each kind: the whole ones, and the rest of a row."""
        rest = self.shape.vectors > self._whole() * self.shape.column
        return [*([0] if self._whole() else []), *([self._whole()] if rest else [])]

    def _name(self, samples: int, piece: int) -> str:
        return f"pull_{samples}_{'piece' if piece < self._whole() else 'rest'}"

    def pull(self, samples: int, piece: int) -> Function:
        """``incoming + W^T later`` of some samples, for the columns of a piece.

        All pointers but ``later`` point to that piece.
        """
        arguments = "ptr %result, ptr %incoming, ptr %later, ptr %weights"
        w = self.function(f"internal void @{self._name(samples, piece)}({arguments})")
        first, column, n = piece * self.shape.column, self.shape.column, self.n
        masks = [self.rest(w, i) for i in range(first, min(first + column, self.shape.vectors))]
        places = [(str(b * n + v * self.width), mask) for b in range(samples) for v, mask in enumerate(masks)]
        incoming = [w.load("%incoming", place, mask) for place, mask in places]
        with w.loop("sum", "0", str(n), values=incoming) as loop:
            row = w.at("%weights", w.product(loop.index, column * self.width))
            weights = [w.load(row, str(v * self.width)) for v in range(len(masks))]
            later, before = w.at("%later", loop.index), iter(loop.values)
            loop.values = [
                w.multiply_add(value, weight, next(before))
                for value in (w.spread_number(later, str(b * n)) for b in range(samples))
                for weight in weights
            ]
        for total, (place, mask) in zip(loop.values, places, strict=True):
            w.store(total, "%result", place, mask)
        w.line("ret void")
        return w

    def pull_all(self, sizes: Sequence[int]) -> Function:
        """``void pull(result, incoming, later, weights, samples)``: all columns, for any number of samples."""
        arguments = "ptr %result, ptr %incoming, ptr %later, ptr %weights, i64 %samples"
        w, n, numbers = (
            self.function(f"internal void @pull({arguments})"),
            self.n,
            self.shape.column * self.width,
        )
        done = "0"
        for size in sizes:
            with w.loop(f"samples{size}", done, "%samples", by=size) as loop:
                skipped = w.product(loop.index, n)
                result, incoming, later = (w.at(f"%{name}", skipped) for name in ("result", "incoming", "later"))

                def call(i: str, piece: int, size: int, result: str, incoming: str, later: str) -> None:
                    column = w.product(i, numbers)
                    pointers = w.at(result, column), w.at(incoming, column), later
                    w.call(self._name(size, piece), *pointers, w.at("%weights", w.product(i, n * numbers)))

                with w.loop(f"piece{size}", "0", str(self._whole())) as pieces:
                    if self._whole():
                        call(pieces.index, 0, size, result, incoming, later)
                if self._whole() in self._pieces():
                    call(str(self._whole()), self._whole(), size, result, incoming, later)
            done = loop.index
        w.line("ret void")
        return w

    def add_row(self) -> Function:
        """``void add_row(sum, value, row)``: ``sum += value row``; ``sum`` has whole vectors."""
        w, whole = self.function("internal void @add_row(ptr %sum, ptr %value, ptr %row)"), self.n // self.width
        value = w.spread_number("%value", "0")

        def add(i: str, mask: str) -> None:
            w.store(w.multiply_add(value, w.load("%row", i, mask), w.load("%sum", i)), "%sum", i)

        with w.loop("vector", "0", str(whole * self.width), by=self.width) as loop:
            add(loop.index, "")
        if self.n % self.width:
            add(str(whole * self.width), self.rest(w, whole))
        w.line("ret void")
        return w
