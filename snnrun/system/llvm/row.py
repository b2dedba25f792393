"""Rows of numbers in registers, of any length."""

from __future__ import annotations

from collections.abc import Sequence

from snnrun.system.llvm.function import Function


class Row:
    """``size`` numbers from ``first`` on in registers: vectors as long as there are, and shorter ones at the end."""

    def __init__(self, w: Function, first: int, size: int) -> None:
        self.w, self.first, self.size, self.pieces = w, first, size, list[tuple[int, int]]()
        width = w.width
        while size:
            while width > size:
                width //= 2
            self.pieces.append((first, width))
            first, size = first + width, size - width

    @property
    def kinds(self) -> list[str]:
        """The kinds of the vectors."""
        return [f"<{width} x {self.w.scalar}>" for _, width in self.pieces]

    def parts(self, size: int) -> list[Row]:
        """The row in parts of at most ``size`` numbers."""
        end = self.first + self.size
        return [Row(self.w, first, min(size, end - first)) for first in range(self.first, end, size)]

    def ones(self, row: str) -> tuple[str, str]:
        """The numbers that are 1 as the bits of a word; another word is 0 if all of them are 0 or 1."""
        w, ones, others = self.w, "0", "0"
        for kind, (first, width), value in zip(self.kinds, self.pieces, self.load(row), strict=True):
            mask, bits = f"<{width} x i1>", f"i{width}"
            some = w.let(f"fcmp une {kind} {value}, zeroinitializer")
            one = w.let(f"fcmp oeq {kind} {value}, splat ({w.scalar} {w.constant(1.0)})")
            words = []
            for each in (one, w.let(f"xor {mask} {some}, {one}")):
                words.append(w.let(f"zext {bits} {w.let(f'bitcast {mask} {each} to {bits}')} to i64"))
            ones = w.let(f"or i64 {ones}, {w.let(f'shl i64 {words[0]}, {first - self.first}')}")
            others = w.let(f"or i64 {others}, {words[1]}")
        return ones, others

    def load(self, row: str) -> list[str]:
        """The vectors of ``row``, a pointer."""
        addresses = [self.w.at(row, str(first)) for first, _ in self.pieces]
        size = 8 if self.w.double else 4
        return [
            self.w.let(f"load {kind}, ptr {at}, align {size}") for kind, at in zip(self.kinds, addresses, strict=True)
        ]

    def store(self, values: Sequence[str], row: str) -> None:
        """Store the vectors in ``row``."""
        for value, kind, (first, _) in zip(values, self.kinds, self.pieces, strict=True):
            self.w.line(f"store {kind} {value}, ptr {self.w.at(row, str(first))}, align {8 if self.w.double else 4}")

    def add(self, a: Sequence[str], b: Sequence[str]) -> list[str]:
        """The sums."""
        return [self.w.let(f"fadd {kind} {x}, {y}") for kind, x, y in zip(self.kinds, a, b, strict=True)]

    def _every(self, scalar: str, width: int, value: str) -> str:
        """A vector with ``value`` in every element."""
        kind = f"<{width} x {scalar}>"
        one = self.w.let(f"insertelement {kind} poison, {scalar} {value}, i64 0")
        return self.w.let(f"shufflevector {kind} {one}, {kind} poison, <{width} x i32> zeroinitializer")

    def multiply_add(self, number: str, b: Sequence[str], c: Sequence[str]) -> list[str]:
        """``number b + c``, fused."""
        found, spread = [], dict[str, str]()
        for kind, (_, width), x, y in zip(self.kinds, self.pieces, b, c, strict=True):
            if kind not in spread:
                spread[kind] = self._every(self.w.scalar, width, number)
            product = self.w.let(f"fmul contract {kind} {spread[kind]}, {x}")
            found.append(self.w.let(f"fadd contract {kind} {product}, {y}"))
        return found

    def maximum(self, old: Sequence[str], new: Sequence[str], which: str, now: str, first: str) -> list[str]:
        """The larger one of each pair, or ``new`` if ``first``; where it is new, the byte of ``which`` becomes ``now``.

        As in torch, the first of equal values stays, and a NaN wins.
        """
        found, w = [], self.w
        for kind, (place, width), a, b in zip(self.kinds, self.pieces, old, new, strict=True):
            mask, bytes_ = f"<{width} x i1>", f"<{width} x i8>"
            above = w.let(f"fcmp ogt {kind} {b}, {a}")
            better = w.let(f"or {mask} {above}, {w.let(f'fcmp uno {kind} {b}, {b}')}")
            wins = w.let(f"select i1 {first}, {mask} splat (i1 true), {mask} {better}")
            found.append(w.let(f"select {mask} {wins}, {kind} {b}, {kind} {a}"))
            at = w.at(which, str(place), "i8")
            before = w.let(f"load {bytes_}, ptr {at}, align 1")
            every = self._every("i8", width, now)
            which_now = w.let(f"select {mask} {wins}, {bytes_} {every}, {bytes_} {before}")
            w.line(f"store {bytes_} {which_now}, ptr {at}, align 1")
        return found

    def first_one(self, rows: Sequence[str], which: str) -> list[str]:
        """The larger numbers of some rows of 0 and 1; the byte of ``which`` becomes the first row with a 1, or 0."""
        found, w, loaded = [], self.w, [self.load(row) for row in rows]
        for (place, width), kind, *values in zip(self.pieces, self.kinds, *loaded, strict=True):
            mask, bytes_ = f"<{width} x i1>", f"<{width} x i8>"
            largest, first = f"{kind} {values[-1]}", f"{bytes_} zeroinitializer"
            for i in reversed(range(len(rows))):
                fires = w.let(f"fcmp ogt {kind} {values[i]}, zeroinitializer")
                first = f"{bytes_} {w.let(f'select {mask} {fires}, {bytes_} splat (i8 {signed_byte(i)}), {first}')}"
                largest = f"{kind} {w.let(f'select {mask} {fires}, {kind} {values[i]}, {largest}')}"
            found.append(largest.removeprefix(f"{kind} "))
            w.line(f"store {first}, ptr {w.at(which, str(place), 'i8')}, align 1")
        return found

    def where(self, which: str, now: str, values: Sequence[str]) -> list[str]:
        """The values whose byte in ``which`` is ``now``, and 0 for the others."""
        found, w = [], self.w
        for kind, (place, width), value in zip(self.kinds, self.pieces, values, strict=True):
            bytes_ = f"<{width} x i8>"
            byte = w.let(f"load {bytes_}, ptr {w.at(which, str(place), 'i8')}, align 1")
            every = self._every("i8", width, now)
            same = w.let(f"icmp eq {bytes_} {byte}, {every}")
            found.append(w.let(f"select <{width} x i1> {same}, {kind} {value}, {kind} zeroinitializer"))
        return found


def signed_byte(number: int) -> int:
    """8 bits as LLVM writes them."""
    return number - 256 if number > 127 else number


def clear(w: Function, pointer: str, bytes_: int | str) -> None:
    """Set memory to 0."""
    w.declarations.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    w.line(f"call void @llvm.memset.p0.i64(ptr {pointer}, i8 0, i64 {bytes_}, i1 false)")
