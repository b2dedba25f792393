"""Writes the read-out product of a kernel: few outputs, for all neurons of a sample, while they are in registers.

Weights are packed: for each vector of neurons the rows of all outputs one after the other, ``[V, J, width]``, so that
the weights of a vector are contiguous. A kernel with a read-out product works on one sample at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

from snnrun.sequence.kernel.kernel import PRODUCTS, WEIGHTS, Array, ReadoutProduct
from snnrun.system.llvm.writer import Writer


class ProductCode:
    """The code of a read-out product, within a kernel with its arrays at ``base``."""

    #: Additional arguments of such a kernel.
    arguments = ("ptr %grad_weights", "i64 %sample", "i64 %samples")

    def __init__(self, w: Writer, of: ReadoutProduct, base: dict[Array, str]) -> None:
        self.w, self.of = w, of
        self.weights = base[WEIGHTS]
        self.outputs = w.at(base[PRODUCTS], w.let(f"mul i64 %sample, {of.outputs}"))
        self.step = w.let(f"mul i64 %samples, {of.outputs}")

    def row(self, t: str) -> list[str]:
        """``g[t]`` of this sample, each of its numbers as a vector."""
        w, row = self.w, self._row(t)
        return [w.spread_number(row, str(j)) for j in range(self.of.outputs)]

    def values(self, gradients: Sequence[Sequence[str]], i: str) -> list[str]:
        """``W^T g`` of some steps for the vector of neurons at place ``i`` of the block."""
        w, at = self.w, self._packed_row(self.weights, i)
        # Two sums for each step, since an addition waits for the previous one.
        sums: dict[tuple[int, int], str] = {}
        for j in range(self.of.outputs):
            weight = w.load(at, str(j * w.width))
            for k, row in enumerate(gradients):
                before = sums.get((k, j % 2))
                sums[k, j % 2] = (
                    w.arithmetic("fmul", row[j], weight)
                    if before is None
                    else self.w.multiply_add(row[j], weight, before)
                )
        if self.of.outputs == 1:
            return [sums[k, 0] for k in range(len(gradients))]
        return [w.arithmetic("fadd", sums[k, 0], sums[k, 1]) for k in range(len(gradients))]

    def add(self, loop: str, values: Sequence[str], i: str) -> list[str]:
        """Add ``W`` times the vector at place ``i`` to the sums of the loop, for some steps."""
        at, outputs = self._packed_row(self.weights, i), self.of.outputs
        sums: dict[int, str] = {}
        for j in range(outputs):
            weight = self.w.load(at, str(j * self.w.width))
            for k, value in enumerate(values):
                sums[k * outputs + j] = self.w.multiply_add(value, weight, f"%{loop}_sum{k * outputs + j}")
        return [sums[each] for each in sorted(sums)]

    def write_row(self, sums: Sequence[str], t: str) -> None:
        """Add the sums over neurons to ``y[t]`` of this sample."""
        row = self._row(t)
        for first in range(0, len(sums), self.w.width):
            self._add_to(self.w.at(row, str(first)), sums[first : first + self.w.width])

    def _add_to(self, pointer: str, sums: Sequence[str]) -> None:
        w, mask = self.w, self.w.first(len(sums))
        w.store(w.arithmetic("fadd", w.load(pointer, "0", mask), self._totals(sums)), pointer, "0", mask)

    def _totals(self, vectors: Sequence[str]) -> str:
        """The vector whose element j is the sum over ``vectors[j]``.

        Two vectors are folded into one with half of each, and so on: a third of the work of separate sums.
        """
        w, parts = self.w, [*vectors, *["poison"] * (self.w.width - len(vectors))]
        length = w.width  # of the piece of a vector for one j
        while length > 1:
            length //= 2
            pieces = range(0, w.width, 2 * length)
            # The front halves of each piece, of the first vector and then of the second; likewise the back halves.
            front = [side + piece + k for piece in pieces for side in (0, w.width) for k in range(length)]
            parts = [self._fold(parts[j], parts[j + len(parts) // 2], front, length) for j in range(len(parts) // 2)]
        return parts[0]

    def _fold(self, a: str, b: str, front: Sequence[int], length: int) -> str:
        if a == b == "poison":
            return a
        halves = [self.w.shuffle(a, b, [i + offset for i in front]) for offset in (0, length)]
        return self.w.arithmetic("fadd", *halves)

    def add_outer_products(self, base: dict[Array, str], follows: str) -> None:
        """``dW += Σ_t g[t] s[t]^T`` for the block, one vector of neurons after the other."""
        w, outputs = self.w, self.of.outputs
        assert self.of.factor is not None
        w.line("br label %outer_enter")
        w.label("outer_enter")
        w.line("br label %outer")
        w.label("outer")
        w.line("%outer_i = phi i64 [ 0, %outer_enter ], [ %outer_next, %outer_end ]")
        column = w.at(base[self.of.factor], "%outer_i")
        sums = self._packed_row("%grad_weights", "%outer_i")
        begin = [w.load(sums, str(j * w.width)) for j in range(outputs)]
        w.line("br label %outer_time")
        w.label("outer_time")
        w.line("%outer_t = phi i64 [ 0, %outer ], [ %outer_t_next, %outer_time ]")
        top = len(w.lines)
        value, row = w.load(column, w.let("mul i64 %outer_t, %size")), self._row("%outer_t")
        new = []
        for j in range(outputs):
            g = w.spread_number(row, str(j))
            new.append(self.w.multiply_add(value, g, f"%outer_sum{j}"))
        w.lines[top:top] = [
            f"  %outer_sum{j} = phi {w.vector} [ {first}, %outer ], [ {each}, %outer_time ]"
            for j, (first, each) in enumerate(zip(begin, new, strict=True))
        ]
        w.line("%outer_t_next = add i64 %outer_t, 1")
        w.line("%outer_more_t = icmp slt i64 %outer_t_next, %steps")
        w.line("br i1 %outer_more_t, label %outer_time, label %outer_end")
        w.label("outer_end")
        for j, each in enumerate(new):
            w.store(each, sums, str(j * w.width))
        w.line(f"%outer_next = add i64 %outer_i, {w.width}")
        w.line("%outer_more = icmp slt i64 %outer_next, %n")
        w.line(f"br i1 %outer_more, label %outer, label %{follows}")

    def _row(self, t: str) -> str:
        return self.w.at(self.outputs, self.w.let(f"mul i64 {t}, {self.step}"))

    def _packed_row(self, pointer: str, i: str) -> str:
        """The address of the rows of the vector at place ``i`` of the block."""
        w = self.w
        place = w.let(f"add i64 {w.let('sub i64 %begin, %low')}, {i}")
        return w.at(pointer, w.let(f"mul i64 {place}, {self.of.outputs}"))


def loop_over_samples(arguments: Sequence[str], further: Sequence[str]) -> str:
    """``void samples(…)``: the kernel for the samples from ``first`` to ``last``, of ``neurons`` neurons each.

    Its arguments are ``grad_weights``, the kernel's up to ``lanes``, ``neurons``, ``first`` and ``last``.
    """
    head = [further[0], *arguments[:-2]]
    return f"""define void @samples({", ".join(head)}, i64 %neurons, i64 %first, i64 %last) {{
  %samples = sdiv i64 %lanes, %neurons
  br label %every
every:
  %sample = phi i64 [ %first, %0 ], [ %next, %every ]
  %next = add i64 %sample, 1
  %low = mul i64 %sample, %neurons
  %high = add i64 %low, %neurons
  call void @kernel({", ".join([*arguments, *further])})
  %more = icmp slt i64 %next, %last
  br i1 %more, label %every, label %done
done:
  ret void
}}"""
