"""Writes a kernel that runs step by step, with the feedback of each sample between two steps, as LLVM code.

A call takes a group of samples through all steps, so that threads wait for each other once, and not at each step.

Forwards, the feedback of a sample is a sum of rows of ``W^T``, one for each neuron whose output is not 0. Backwards,
``W^T g`` is a dense product of a few samples at a time, whose sums stay in registers, and the gradient of the weights
is again a sum of rows for the neurons whose output was not 0. All sums have an order of their own, which depends on
neither threads nor other samples.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import llvmlite.binding as llvm
import torch
from torch import Tensor

#: Arguments of both directions; ``now`` has room for one pointer per array.
_COMMON = (
    *(
        "ptr %now",
        "ptr %base",
        "ptr %delta",
        "ptr %flip",
        "i64 %arrays",
        "ptr %strides",
        "ptr %numbers",
        "ptr %scratch",
    ),
    *("i64 %size", "i64 %steps", "i64 %lanes", "i64 %first", "i64 %last"),
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
    n, wide = like[0].numel(), _has_wide_vectors()
    vectors = -(-n // width)
    row = -(-vectors // -(-vectors // (8 if wide else 4)))
    column, samples = (min(vectors, 2), 8) if wide else (1, 4)
    return Shape(n, like.dtype == torch.float64, width, row, column, samples, backwards)


@functools.cache
def _has_wide_vectors() -> bool:
    return bool(llvm.get_host_cpu_features().get("avx512f"))


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
    write = _Writer(shape)
    functions = [write.events(), *(write.backwards() if shape.backwards else write.forwards())]
    # What is declared twice is refused.
    lines = "\n".join([kernel, *functions]).splitlines()
    declared = {line for line in lines if line.startswith("declare")} | write.declarations
    return "\n".join([*sorted(declared), *(line for line in lines if not line.startswith("declare"))])


class _Writer:
    def __init__(self, shape: Shape) -> None:
        self.shape, self.scalar = shape, "double" if shape.double else "float"
        self.bytes, self.width, self.n = (8 if shape.double else 4), shape.width, shape.n
        self.vector, self.suffix = f"<{shape.width} x {self.scalar}>", f"v{shape.width}f{64 if shape.double else 32}"
        self.mask, self.align = f"<{shape.width} x i1>", f"align {self.bytes}"
        v = self.vector
        self.declarations = {
            f"declare {v} @llvm.fmuladd.{self.suffix}({v}, {v}, {v})",
            f"declare {v} @llvm.masked.load.{self.suffix}.p0(ptr, i32, {self.mask}, {v})",
            f"declare void @llvm.masked.store.{self.suffix}.p0({v}, ptr, i32, {self.mask})",
            f"declare i{shape.width} @llvm.cttz.i{shape.width}(i{shape.width}, i1)",
        }
        self._count = 0

    # Pieces of code -------------------------------------------------------------------------------------------------

    def name(self) -> str:
        self._count += 1
        return f"%w{self._count}"

    def at(self, lines: list[str], pointer: str, index: str | int) -> str:
        name = self.name()
        lines.append(f"  {name} = getelementptr inbounds {self.scalar}, ptr {pointer}, i64 {index}")
        return name

    def rest(self, i: int) -> str:
        """The mask of vector ``i`` of a row; empty if the whole vector lies in the row."""
        left = self.n - i * self.width
        if left >= self.width:
            return ""
        return "<" + ", ".join(f"i1 {int(j < left)}" for j in range(self.width)) + ">"

    def load(self, lines: list[str], pointer: str, mask: str = "") -> str:
        name = self.name()
        if mask:
            lines.append(
                f"  {name} = call {self.vector} @llvm.masked.load.{self.suffix}.p0(ptr {pointer}, i32 {self.bytes}, "
                f"{self.mask} {mask}, {self.vector} zeroinitializer)"
            )
        else:
            lines.append(f"  {name} = load {self.vector}, ptr {pointer}, {self.align}")
        return name

    def store(self, lines: list[str], value: str, pointer: str, mask: str = "") -> None:
        if mask:
            lines.append(
                f"  call void @llvm.masked.store.{self.suffix}.p0({self.vector} {value}, ptr {pointer}, "
                f"i32 {self.bytes}, {self.mask} {mask})"
            )
        else:
            lines.append(f"  store {self.vector} {value}, ptr {pointer}, {self.align}")

    def every(self, lines: list[str], pointer: str) -> str:
        """A number in memory as a vector."""
        one, first, name = self.name(), self.name(), self.name()
        lines.append(f"  {one} = load {self.scalar}, ptr {pointer}, {self.align}")
        lines.append(f"  {first} = insertelement {self.vector} poison, {self.scalar} {one}, i64 0")
        lines.append(
            f"  {name} = shufflevector {self.vector} {first}, {self.vector} poison, "
            f"<{self.width} x i32> zeroinitializer"
        )
        return name

    def multiply_add(self, lines: list[str], a: str, b: str, c: str) -> str:
        name, v = self.name(), self.vector
        lines.append(f"  {name} = call {v} @llvm.fmuladd.{self.suffix}({v} {a}, {v} {b}, {v} {c})")
        return name

    # Functions ------------------------------------------------------------------------------------------------------

    def events(self) -> str:
        """``i64 events(s, list)``: the places where a row is not 0, and their number."""
        whole, width, v = self.n // self.width, self.width, self.vector
        tail: list[str] = []
        rest = self.rest(whole) if self.n % width else ""
        if rest:
            value = self.load(tail, self.at(tail, "%s", whole * width), rest)
            tail.append(f"  %tail = fcmp une {v} {value}, zeroinitializer")
        else:
            tail.append(f"  %tail = and {self.mask} zeroinitializer, zeroinitializer")
        body: list[str] = []
        value = self.load(body, self.at(body, "%s", "%begin"))
        return f"""define internal i64 @events(ptr %s, ptr %list) {{
entry:
{chr(10).join(tail)}
  %last = bitcast {self.mask} %tail to i{width}
  br label %vectors
vectors:
  %i = phi i64 [ 0, %entry ], [ %next, %after ]
  %found = phi i64 [ 0, %entry ], [ %count, %after ]
  %inside = icmp slt i64 %i, {whole}
  %begin = mul i64 %i, {width}
  %next = add i64 %i, 1
  br i1 %inside, label %load, label %end
load:
{chr(10).join(body)}
  %which = fcmp une {v} {value}, zeroinitializer
  %loaded = bitcast {self.mask} %which to i{width}
  br label %bits
end:
  %over = icmp sgt i64 %i, {whole}
  br i1 %over, label %done, label %bits
bits:
  %all = phi i{width} [ %loaded, %load ], [ %last, %end ]
  br label %bit
bit:
  %left = phi i{width} [ %all, %bits ], [ %fewer, %take ]
  %count = phi i64 [ %found, %bits ], [ %more, %take ]
  %none = icmp eq i{width} %left, 0
  br i1 %none, label %after, label %take
take:
  %place = call i{width} @llvm.cttz.i{width}(i{width} %left, i1 true)
  %wide = zext i{width} %place to i64
  %which_neuron = add i64 %begin, %wide
  %slot = getelementptr inbounds i64, ptr %list, i64 %count
  store i64 %which_neuron, ptr %slot, align 8
  %more = add i64 %count, 1
  %lower = sub i{width} %left, 1
  %fewer = and i{width} %left, %lower
  br label %bit
after:
  br label %vectors
done:
  ret i64 %found
}}"""

    def feed(self) -> str:
        """``void feed(result, s, list, count, weights, bias)``: ``W s + b`` of a sample."""
        vectors, row = self.shape.vectors, self.shape.row
        pieces = -(-vectors // row)
        lines = ["define internal void @feed(ptr %result, ptr %s, ptr %list, i64 %count, ptr %weights, ptr %bias) {"]
        for piece in range(pieces):
            lines.append(f"piece{piece}:")
            first = [self.load(lines, self.at(lines, "%bias", (piece * row + v) * self.width)) for v in range(row)]
            lines += [f"  br label %sum{piece}", f"sum{piece}:"]
            lines.append(f"  %i{piece} = phi i64 [ 0, %piece{piece} ], [ %next{piece}, %add{piece} ]")
            top, sums = len(lines), [self.name() for _ in range(row)]
            lines.append(f"  %more{piece} = icmp slt i64 %i{piece}, %count")
            lines.append(f"  br i1 %more{piece}, label %add{piece}, label %end{piece}")
            lines.append(f"add{piece}:")
            slot, k, at = self.name(), self.name(), self.name()
            lines.append(f"  {slot} = getelementptr inbounds i64, ptr %list, i64 %i{piece}")
            lines.append(f"  {k} = load i64, ptr {slot}, align 8")
            value = self.every(lines, self.at(lines, "%s", k))
            lines.append(f"  {at} = mul i64 {k}, {row * self.width}")
            weights = self.at(lines, self.at(lines, "%weights", piece * self.n * row * self.width), at)
            new = [
                self.multiply_add(lines, value, self.load(lines, self.at(lines, weights, v * self.width)), sums[v])
                for v in range(row)
            ]
            lines.append(f"  %next{piece} = add i64 %i{piece}, 1")
            lines.append(f"  br label %sum{piece}")
            lines[top:top] = [
                f"  {sums[v]} = phi {self.vector} [ {first[v]}, %piece{piece} ], [ {new[v]}, %add{piece} ]"
                for v in range(row)
            ]
            lines.append(f"end{piece}:")
            for v in range(row):
                i = piece * row + v
                if i < vectors:
                    self.store(lines, sums[v], self.at(lines, "%result", i * self.width), self.rest(i))
            lines.append("  ret void" if piece + 1 == pieces else f"  br label %piece{piece + 1}")
        return "\n".join([*lines, "}"])

    def pull(self, samples: int, first: int) -> str:
        """``void pull_<samples>_<first>(result, incoming, later, weights)``: ``incoming + W^T later`` of some samples.

        For the columns of the piece that begins at vector ``first``; all pointers but ``later`` point to that piece.
        """
        column, n = self.shape.column, self.n
        masks = [self.rest(first + v) for v in range(column) if first + v < self.shape.vectors]
        pairs = [(b, v) for b in range(samples) for v in range(len(masks))]
        lines = [
            f"define internal void @{_pull(samples, masks)}(ptr %result, ptr %incoming, ptr %later, ptr %weights) {{"
        ]
        lines.append("entry:")
        places = {(b, v): b * n + v * self.width for b, v in pairs}
        begin = {(b, v): self.load(lines, self.at(lines, "%incoming", places[b, v]), masks[v]) for b, v in pairs}
        lines += ["  br label %sum", "sum:", "  %j = phi i64 [ 0, %entry ], [ %next, %sum ]"]
        top, sums = len(lines), {pair: self.name() for pair in pairs}
        at = self.name()
        lines.append(f"  {at} = mul i64 %j, {column * self.width}")
        row = self.at(lines, "%weights", at)
        weights = [self.load(lines, self.at(lines, row, v * self.width)) for v in range(len(masks))]
        own, new = self.at(lines, "%later", "%j"), {}
        for b in range(samples):
            value = self.every(lines, self.at(lines, own, b * n))
            for v, weight in enumerate(weights):
                new[b, v] = self.multiply_add(lines, value, weight, sums[b, v])
        lines[top:top] = [f"  {sums[p]} = phi {self.vector} [ {begin[p]}, %entry ], [ {new[p]}, %sum ]" for p in pairs]
        lines += ["  %next = add i64 %j, 1", f"  %more = icmp slt i64 %next, {n}"]
        lines += ["  br i1 %more, label %sum, label %done", "done:"]
        for b, v in pairs:
            self.store(lines, new[b, v], self.at(lines, "%result", places[b, v]), masks[v])
        return "\n".join([*lines, "  ret void", "}"])

    def pull_all(self) -> list[str]:
        """``void pull(result, incoming, later, weights, samples)``: all columns, for any number of samples."""
        column, n, vectors = self.shape.column, self.n, self.shape.vectors
        pieces = -(-vectors // column)
        whole = sum(all(not self.rest(piece * column + v) for v in range(column)) for piece in range(pieces))
        functions, lines = (
            [],
            ["define internal void @pull(ptr %result, ptr %incoming, ptr %later, ptr %weights, i64 %samples) {"],
        )
        size, before = self.shape.samples, "entry"
        sizes = [size >> i for i in range(size.bit_length())]
        lines += ["entry:", f"  br label %test{size}"]
        for k, samples in enumerate(sizes):
            follows = f"test{sizes[k + 1]}" if k + 1 < len(sizes) else "done"
            start = "0" if k == 0 else f"%b{sizes[k - 1]}"
            back = f"%after{samples}"
            lines.append(f"test{samples}:")
            lines.append(f"  %b{samples} = phi i64 [ {start}, %{before} ], [ %next{samples}, {back} ]")
            lines.append(f"  %next{samples} = add i64 %b{samples}, {samples}")
            lines.append(f"  %fits{samples} = icmp sle i64 %next{samples}, %samples")
            lines.append(f"  br i1 %fits{samples}, label %enter{samples}, label %{follows}")
            lines.append(f"enter{samples}:")
            skipped = self.name()
            lines.append(f"  {skipped} = mul i64 %b{samples}, {n}")
            result, incoming, later = (self.at(lines, f"%{each}", skipped) for each in ("result", "incoming", "later"))

            def call(piece: str, samples: int, masks: list[str], places: tuple[str, str, str]) -> list[str]:
                calls: list[str] = []
                at, rows = self.name(), self.name()
                calls.append(f"  {at} = mul i64 {piece}, {column * self.width}")
                calls.append(f"  {rows} = mul i64 {piece}, {n * column * self.width}")
                pointers = [self.at(calls, places[0], at), self.at(calls, places[1], at), places[2]]
                pointers.append(self.at(calls, "%weights", rows))
                calls.append(f"  call void @{_pull(samples, masks)}({', '.join(f'ptr {p}' for p in pointers)})")
                return calls

            places = (result, incoming, later)
            if whole:
                functions.append(self.pull(samples, 0))
                lines += [f"  br label %piece{samples}", f"piece{samples}:"]
                lines.append(f"  %p{samples} = phi i64 [ 0, %enter{samples} ], [ %p_next{samples}, %piece{samples} ]")
                lines += call(f"%p{samples}", samples, [""] * column, places)
                lines.append(f"  %p_next{samples} = add i64 %p{samples}, 1")
                lines.append(f"  %p_more{samples} = icmp slt i64 %p_next{samples}, {whole}")
                lines.append(f"  br i1 %p_more{samples}, label %piece{samples}, label %rest{samples}")
                lines.append(f"rest{samples}:")
            if whole < pieces:
                functions.append(self.pull(samples, whole * column))
                masks = [self.rest(whole * column + v) for v in range(column) if whole * column + v < vectors]
                lines += call(str(whole), samples, masks, places)
            lines += [f"  br label %after{samples}", f"after{samples}:", f"  br label %test{samples}"]
            before = f"test{samples}"
        return [*functions, "\n".join([*lines, "done:", "  ret void", "}"])]

    def add_row(self) -> str:
        """``void add_row(sum, value, row)``: ``sum += value row``; ``sum`` has whole vectors."""
        vectors, width = self.shape.vectors, self.width
        whole = self.n // width
        lines = ["define internal void @add_row(ptr %sum, ptr %value, ptr %row) {", "entry:"]
        value = self.every(lines, "%value")

        def add(i: str, mask: str) -> None:
            to = self.at(lines, "%sum", i)
            row = self.load(lines, self.at(lines, "%row", i), mask)
            self.store(lines, self.multiply_add(lines, value, row, self.load(lines, to)), to)

        if whole:
            lines += ["  br label %vector", "vector:", "  %i = phi i64 [ 0, %entry ], [ %next, %vector ]"]
            add("%i", "")
            lines += [f"  %next = add i64 %i, {width}", f"  %more = icmp slt i64 %next, {whole * width}"]
            lines += ["  br i1 %more, label %vector, label %rest", "rest:"]
        if whole < vectors:
            add(str(whole * width), self.rest(whole))
        return "\n".join([*lines, "  ret void", "}"])

    def forwards(self) -> list[str]:
        """The functions of the forward pass."""
        before = """  %count = call i64 @events(ptr %s_row, ptr %list)
  call void @feed(ptr %result_row, ptr %s_row, ptr %list, i64 %count, ptr %weights, ptr %bias)"""
        return [
            self.feed(),
            self.samples(FORWARD, "ptr %weights, ptr %bias", self.by_sample("feed", FORWARD, before), ""),
        ]

    def backwards(self) -> list[str]:
        """The functions of the backward pass."""
        whole = self.shape.vectors * self.width
        pointers = "\n".join(
            f"  %{name}_own = getelementptr inbounds {self.scalar}, ptr %{name}_now, i64 %low" for name in BACKWARD
        )
        before = f"""{pointers}
  %number = sub i64 %last, %first
  call void @pull(ptr %result_own, ptr %incoming_own, ptr %later_own, ptr %weights, i64 %number)
  br label %before_end
before_end:
"""
        after = f"""  %count = call i64 @events(ptr %s_row, ptr %list)
  br label %event
event:
  %e = phi i64 [ 0, %gradient_sample ], [ %e_next, %add_event ]
  %e_more = icmp slt i64 %e, %count
  br i1 %e_more, label %add_event, label %bias
add_event:
  %e_next = add i64 %e, 1
  %e_slot = getelementptr inbounds i64, ptr %list, i64 %e
  %k = load i64, ptr %e_slot, align 8
  %k_value = getelementptr inbounds {self.scalar}, ptr %s_row, i64 %k
  %k_at = mul i64 %k, {whole}
  %k_sum = getelementptr inbounds {self.scalar}, ptr %grad_weights, i64 %k_at
  call void @add_row(ptr %k_sum, ptr %k_value, ptr %own_row)
  br label %event
bias:
  call void @add_row(ptr %grad_bias, ptr %one, ptr %own_row)"""
        one = f"  %one = alloca {self.scalar}, align 8\n  store {self.scalar} 1.0, ptr %one, {self.align}\n"
        further = "ptr %weights, ptr %grad_weights, ptr %grad_bias"
        loop = self.by_sample("gradient", BACKWARD, after)
        return [*self.pull_all(), self.add_row(), self.samples(BACKWARD, further, before, loop, one)]

    def by_sample(self, name: str, rows: tuple[str, ...], body: str) -> str:
        """A loop over the samples of the group, between ``<name>_enter`` and ``<name>_end``."""
        pointers = "\n".join(
            f"  %{each}_row = getelementptr inbounds {self.scalar}, ptr %{each}_now, i64 %{name}_at" for each in rows
        )
        return f"""  br label %{name}_enter
{name}_enter:
  br label %{name}_test
{name}_test:
  %{name}_b = phi i64 [ %first, %{name}_enter ], [ %{name}_next, %{name}_after ]
  %{name}_more = icmp slt i64 %{name}_b, %last
  br i1 %{name}_more, label %{name}_sample, label %{name}_end
{name}_sample:
  %{name}_next = add i64 %{name}_b, 1
  %{name}_at = mul i64 %{name}_b, {self.n}
{pointers}
{body}
  br label %{name}_after
{name}_after:
  br label %{name}_test
{name}_end:
"""

    def samples(self, rows: tuple[str, ...], further: str, before: str, after: str, once: str = "") -> str:
        """The function ``samples``, with the code before and after each step."""
        arguments = ", ".join([*_COMMON, *(f"ptr %{name}, i64 %{name}_delta" for name in rows), further])
        now = "\n".join(
            f"  %{name}_skip = mul i64 %t, %{name}_delta\n"
            f"  %{name}_now = getelementptr inbounds i8, ptr %{name}, i64 %{name}_skip"
            for name in rows
        )
        kernel = "ptr %now, ptr %strides, ptr %numbers, ptr %scratch, i64 %size, i64 1, i64 %lanes, i64 %low, i64 %high"
        return f"""define void @samples({arguments}) {{
entry:
  %list = alloca i64, i64 {self.n}, align 8
{once}  %low = mul i64 %first, {self.n}
  %high = mul i64 %last, {self.n}
  br label %step
step:
  %t = phi i64 [ 0, %entry ], [ %t_next, %end ]
  %odd = and i64 %t, 1
  br label %table
table:
  %a = phi i64 [ 0, %step ], [ %a_next, %table_add ]
  %a_more = icmp slt i64 %a, %arrays
  br i1 %a_more, label %table_add, label %begin
table_add:
  %a_next = add i64 %a, 1
  %a_base = getelementptr inbounds ptr, ptr %base, i64 %a
  %a_delta = getelementptr inbounds i64, ptr %delta, i64 %a
  %a_flip = getelementptr inbounds i64, ptr %flip, i64 %a
  %a_now = getelementptr inbounds ptr, ptr %now, i64 %a
  %a_pointer = load ptr, ptr %a_base, align 8
  %a_step = load i64, ptr %a_delta, align 8
  %a_turn = load i64, ptr %a_flip, align 8
  %a_moved = mul i64 %a_step, %t
  %a_turned = mul i64 %a_turn, %odd
  %a_sum = add i64 %a_moved, %a_turned
  %a_place = getelementptr inbounds i8, ptr %a_pointer, i64 %a_sum
  store ptr %a_place, ptr %a_now, align 8
  br label %table
begin:
{now}
{before}
  call void @kernel({kernel})
{after}
  br label %end
end:
  %t_next = add i64 %t, 1
  %t_more = icmp slt i64 %t_next, %steps
  br i1 %t_more, label %step, label %done
done:
  ret void
}}"""


def _pull(samples: int, masks: list[str]) -> str:
    return f"pull_{samples}_{'tail' if len(masks) == 0 or any(masks) else len(masks)}"
