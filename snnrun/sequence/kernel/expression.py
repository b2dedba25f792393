"""Writes the operations of a program as LLVM code on vectors of neurons.

Every value is a vector of ``width`` neurons, and nothing is reordered or contracted. The results equal torch's
bit for bit if torch rounds correctly, and to a unit in the last place or two for functions such as exp.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

from snnrun.sequence.record.program import Program

#: Functions of C's mathematical library, called for one neuron after the other.
_LIBRARY = {
    "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "tanh": 1, "atan": 1, "erf": 1, "erfc": 1, "sin": 1, "cos": 1,
    "pow": 2, "hypot": 2,
}  # fmt: skip
_COMPARISONS = {"gt": "ogt", "ge": "oge", "lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


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


def write(w: Writer, program: Program, nodes: list[int], leaves: dict[int, str]) -> dict[int, str]:
    """Write the code for ``nodes``, given the names of the leaves. Returns the names of all computed nodes."""
    names = dict(leaves)
    for i in program.below(nodes):
        if i in names:
            continue
        op, *args = program.nodes[i]
        if op == "literal":
            names[i] = w.every(args[0])
        elif op == "spike":
            mask = w.compare("oge" if args[1] else "ogt", names[args[0]], w.every(0.0))
            names[i] = w.select(mask, w.every(1.0), w.every(0.0))
        else:
            names[i] = _operation(w, op, [names[j] for j in args])
    return names


def _operation(w: Writer, op: str, args: list[str]) -> str:
    if op in _ARITHMETIC:
        return w.arithmetic(_ARITHMETIC[op], *args)
    if op in _COMPARISONS:
        return w.compare(_COMPARISONS[op], *args)
    if op in _RULES:
        return _RULES[op](w, *args)
    if op == "exp" and not w.double:
        return _exp(w, *args)
    if op in _LIBRARY:
        return w.library(op, *args)
    raise AssertionError(f"operation {op} has no code")


def _sigmoid(w: Writer, a: str) -> str:
    below = _operation(w, "exp", [w.let(f"fneg {w.vector} {a}")])
    return w.arithmetic("fdiv", w.every(1.0), w.arithmetic("fadd", w.every(1.0), below))


def _sign(w: Writer, a: str) -> str:
    above = w.select(w.compare("ogt", a, w.every(0.0)), w.every(1.0), w.every(0.0))
    below = w.select(w.compare("olt", a, w.every(0.0)), w.every(1.0), w.every(0.0))
    return w.arithmetic("fsub", above, below)


def _exp(w: Writer, a: str) -> str:
    """exp in single precision, whole vectors at a time: 2ⁿ eʳ, with eʳ by the polynomial of the Cephes library."""
    low, high = w.every(-104.0), w.every(89.0)
    limited = w.intrinsic("maxnum", w.intrinsic("minnum", a, high), low)  # a NaN is restored below
    n = w.intrinsic("roundeven", w.arithmetic("fmul", limited, w.every(math.log2(math.e))))
    # ln 2 in two parts; the product of the first with n is exact.
    r = w.arithmetic("fsub", limited, w.arithmetic("fmul", n, w.every(0.693359375)))
    r = w.arithmetic("fsub", r, w.arithmetic("fmul", n, w.every(-2.12194440e-4)))
    y = w.every(1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        y = w.arithmetic("fadd", w.arithmetic("fmul", y, r), w.every(c))
    y = w.arithmetic("fmul", w.arithmetic("fmul", y, r), r)
    y = w.arithmetic("fadd", w.arithmetic("fadd", y, r), w.every(1.0))
    # In two steps, since 2ⁿ may overflow or vanish even if the product does not.
    whole = w.let(f"fptosi {w.vector} {n} to {w.integers}")
    half = w.let(f"ashr {w.integers} {whole}, splat ({w.bits} 1)")
    for part in (half, w.let(f"sub {w.integers} {whole}, {half}")):
        shifted = w.let(
            f"shl {w.integers} {w.let(f'add {w.integers} {part}, splat ({w.bits} 127)')}, splat ({w.bits} 23)"
        )
        y = w.arithmetic("fmul", y, w.let(f"bitcast {w.integers} {shifted} to {w.vector}"))
    return w.select(w.compare("uno", a, a), a, y)


def _number_of(w: Writer, a: str) -> str:
    return w.let(f"uitofp {w.mask} {a} to {w.vector}")


_RULES: dict[str, Callable[..., str]] = {
    "neg": lambda w, a: w.let(f"fneg {w.vector} {a}"),
    "abs": lambda w, a: w.intrinsic("fabs", a),
    "sqrt": lambda w, a: w.intrinsic("sqrt", a),
    "sign": _sign,
    "sigmoid": _sigmoid,
    # These give NaN if an argument is NaN, like torch.
    "relu": lambda w, a: w.intrinsic("maximum", a, w.every(0.0)),
    "clamp_min": lambda w, a, b: w.intrinsic("maximum", a, b),
    "clamp_max": lambda w, a, b: w.intrinsic("minimum", a, b),
    "minimum": lambda w, a, b: w.intrinsic("minimum", a, b),
    "maximum": lambda w, a, b: w.intrinsic("maximum", a, b),
    "where": lambda w, c, a, b: w.select(c, a, b),
    "detach": lambda w, a: a,
    "number_of": _number_of,
    "and": lambda w, a, b: w.let(f"and {w.mask} {a}, {b}"),
    "or": lambda w, a, b: w.let(f"or {w.mask} {a}, {b}"),
    "not": lambda w, a: w.let(f"xor {w.mask} {a}, splat (i1 true)"),
}
