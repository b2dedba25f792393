"""Writes the operations of a program as LLVM code on vectors of neurons.

Every value is a vector of ``width`` neurons, and nothing is reordered or contracted. The results equal torch's
bit for bit if torch rounds correctly, and to a unit in the last place or two for functions such as exp.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from snnrun.sequence.record.program import Program
from snnrun.system.llvm.writer import Writer

#: Functions of C's mathematical library, called for one neuron after the other.
_LIBRARY = {
    "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "tanh": 1, "atan": 1, "erf": 1, "erfc": 1, "sin": 1, "cos": 1,
    "pow": 2, "hypot": 2,
}  # fmt: skip
_COMPARISONS = {"gt": "ogt", "ge": "oge", "lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


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
