"""Lines of LLVM code on vectors of numbers."""

from __future__ import annotations

import struct
from collections.abc import Sequence


class Writer:
    """Lines of LLVM code.

    Args:
        double: numbers of 64 bits instead of 32.
        width: neurons per vector.
    """

    def __init__(self, *, double: bool, width: int) -> None:
        self.scalar, self.width, self.double = ("double" if double else "float"), width, double
        self.vector, self.mask = f"<{width} x {self.scalar}>", f"<{width} x i1>"
        self.bytes = f"<{width} x i8>"
        self.bits = "i64" if double else "i32"
        self.integers = f"<{width} x {self.bits}>"
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self._count = 0

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def let(self, text: str) -> str:
        """A new name for the value of ``text``."""
        self._count += 1
        self.line(f"%v{self._count} = {text}")
        return f"%v{self._count}"

    def constant(self, value: float) -> str:
        """A number in LLVM: the bits of a double."""
        if not self.double:
            value = struct.unpack("f", struct.pack("f", value))[0]
        return f"0x{struct.unpack('>Q', struct.pack('>d', value))[0]:016X}"

    def every(self, value: float) -> str:
        """A vector with the same number in every element."""
        return f"splat ({self.scalar} {self.constant(value)})"

    def spread(self, scalar: str) -> str:
        """A vector with the same scalar in every element."""
        one = self.let(f"insertelement {self.vector} poison, {self.scalar} {scalar}, i64 0")
        zeros = f"<{self.width} x i32> zeroinitializer"
        return self.let(f"shufflevector {self.vector} {one}, {self.vector} poison, {zeros}")

    def shuffle(self, a: str, b: str, order: Sequence[int]) -> str:
        """The elements ``order`` of ``a`` and ``b`` one after the other."""
        mask = ", ".join(f"i32 {i}" for i in order)
        return self.let(f"shufflevector {self.vector} {a}, {self.vector} {b}, <{self.width} x i32> <{mask}>")

    def at(self, pointer: str, index: str, kind: str | None = None) -> str:
        """The address of element ``index``."""
        return self.let(f"getelementptr inbounds {kind or self.scalar}, ptr {pointer}, i64 {index}")

    def load(self, pointer: str, index: str, mask: str = "") -> str:
        """A vector from ``index`` on; with a mask, such as ``<i1 1, i1 0>``, only some of it, and 0 elsewhere."""
        address, size = self.at(pointer, index), 8 if self.double else 4
        if not mask:
            return self.let(f"load {self.vector}, ptr {address}, align {size}")
        kind = f"v{self.width}f{8 * size}.p0"
        self.declarations.add(f"declare {self.vector} @llvm.masked.load.{kind}(ptr, i32, {self.mask}, {self.vector})")
        return self.let(
            f"call {self.vector} @llvm.masked.load.{kind}(ptr {address}, i32 {size}, {self.mask} {mask}, "
            f"{self.vector} zeroinitializer)"
        )

    def store(self, value: str, pointer: str, index: str, mask: str = "") -> None:
        """Store a vector from ``index`` on; with a mask only some of it."""
        address, size = self.at(pointer, index), 8 if self.double else 4
        if not mask:
            self.line(f"store {self.vector} {value}, ptr {address}, align {size}")
            return
        kind = f"v{self.width}f{8 * size}.p0"
        self.declarations.add(f"declare void @llvm.masked.store.{kind}({self.vector}, ptr, i32, {self.mask})")
        self.line(
            f"call void @llvm.masked.store.{kind}({self.vector} {value}, ptr {address}, i32 {size}, {self.mask} {mask})"
        )

    def first(self, count: int) -> str:
        """The mask of the first ``count`` numbers of a vector; empty, which means no mask, if these are all."""
        if count >= self.width:
            return ""
        return "<" + ", ".join(f"i1 {int(j < count)}" for j in range(self.width)) + ">"

    def spread_number(self, pointer: str, index: str) -> str:
        """A vector with the number at ``index`` in every element."""
        return self.spread(self.let(f"load {self.scalar}, ptr {self.at(pointer, index)}"))

    def multiply_add(self, a: str, b: str, c: str) -> str:
        """``a b + c`` of a product, fused if the processor can. In neurons nothing is fused: their bits are defined."""
        return self.arithmetic("fadd contract", self.arithmetic("fmul contract", a, b), c)

    def load_bytes(self, pointer: str, index: str) -> str:
        """Bytes that are 0 or 1, as numbers."""
        raw = self.let(f"load {self.bytes}, ptr {self.at(pointer, index, 'i8')}, align 1")
        return self.let(f"uitofp {self.bytes} {raw} to {self.vector}")

    def store_bytes(self, value: str, pointer: str, index: str) -> None:
        raw = self.let(f"fptoui {self.vector} {value} to {self.bytes}")
        self.line(f"store {self.bytes} {raw}, ptr {self.at(pointer, index, 'i8')}, align 1")

    def prefetch(self, pointer: str, *, write: bool) -> None:
        """Load the cache line of an address; any address is allowed."""
        self.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.line(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(write)}, i32 3, i32 1)")

    def intrinsic(self, name: str, *args: str) -> str:
        suffix = f"v{self.width}f{64 if self.double else 32}"
        kinds = ", ".join([self.vector] * len(args))
        self.declarations.add(f"declare {self.vector} @llvm.{name}.{suffix}({kinds})")
        return self.let(f"call {self.vector} @llvm.{name}.{suffix}({', '.join(f'{self.vector} {a}' for a in args)})")

    def library(self, name: str, *args: str) -> str:
        """A function of C's library, for one neuron after the other."""
        symbol = name if self.double else f"{name}f"
        self.declarations.add(f"declare {self.scalar} @{symbol}({', '.join([self.scalar] * len(args))})")
        result = "poison"
        for i in range(self.width):
            lanes = [self.let(f"extractelement {self.vector} {a}, i64 {i}") for a in args]
            one = self.let(f"call {self.scalar} @{symbol}({', '.join(f'{self.scalar} {lane}' for lane in lanes)})")
            result = self.let(f"insertelement {self.vector} {result}, {self.scalar} {one}, i64 {i}")
        return result

    def compare(self, how: str, a: str, b: str) -> str:
        return self.let(f"fcmp {how} {self.vector} {a}, {b}")

    def select(self, mask: str, a: str, b: str) -> str:
        return self.let(f"select {self.mask} {mask}, {self.vector} {a}, {self.vector} {b}")

    def arithmetic(self, op: str, a: str, b: str) -> str:
        return self.let(f"{op} {self.vector} {a}, {b}")
