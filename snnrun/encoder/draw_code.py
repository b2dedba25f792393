"""Writes the random streams of neurons as LLVM code: xoshiro128++ (Blackman and Vigna 2021), seeded by splitmix64.

A stream has four words of 32 bits. The streams of ``BLOCK`` neurons advance together and stay in the L1 cache.
"""

from __future__ import annotations

from snnrun.system.llvm.function import Function, join

#: Neurons of a vector.
LANES = 16
#: Neurons whose streams advance together.
BLOCK = 512
#: Rows of scratch memory, of ``BLOCK`` words each: the streams and the limits of the draws.
ROWS = 5
_LIMIT = 4
_GOLDEN = 0x9E3779B97F4A7C15  # the step of splitmix64
_INTEGERS, _LONG = f"<{LANES} x i32>", f"<{LANES} x i64>"

#: The function, with a letter per argument: pointer or integer.
SIGNATURES = {"draw": "pppiiiiii"}


def code() -> str:
    """``void draw(chances, spikes, scratch, key, steps, rows, lanes, first, last)``.

    The spikes ``[steps, lanes]`` of the neurons from ``first`` to ``last``, for ``chances`` ``[rows, lanes]``; the last
    row counts for all further steps. There are at least ``LANES`` neurons, and the last vector ends at the last one.
    """
    integers = "i64 %key, i64 %steps, i64 %rows, i64 %lanes, i64 %first, i64 %last"
    w = Function(f"void @draw(ptr %chances, ptr %spikes, ptr %scratch, {integers})", double=False, width=LANES)
    end = w.difference("%lanes", LANES)
    with w.loop("block", "0", w.pieces(w.difference("%last", "%first"), BLOCK)) as block:
        begin = w.sum("%first", w.product(block.index, BLOCK))
        vectors = w.pieces(w.smaller(w.difference("%last", begin), str(BLOCK)), LANES)
        with w.loop("seed", "0", vectors) as vector:
            _seed(w, w.product(vector.index, LANES), _place(w, begin, vector.index, end))
        with w.loop("step", "0", "%steps") as step:
            new = w.let(f"icmp slt i64 {step.index}, %rows")
            row = w.at("%chances", w.product(step.index, "%lanes"))
            with w.loop("limit", "0", w.let(f"select i1 {new}, i64 {vectors}, i64 0")) as vector:
                chances = w.load(row, _place(w, begin, vector.index, end))
                _store(w, _limit(w, chances), _LIMIT, w.product(vector.index, LANES))
            spikes = w.at("%spikes", w.product(step.index, "%lanes"))
            with w.loop("draw", "0", vectors) as vector:
                fires = _draw(w, w.product(vector.index, LANES))
                spike = w.select(fires, w.every(1.0), w.every(0.0))
                w.store(spike, spikes, _place(w, begin, vector.index, end))
    w.line("ret void")
    return join([], [w])


def _place(w: Function, begin: str, vector: str, end: str) -> str:
    return w.smaller(w.sum(begin, w.product(vector, LANES)), end)


def _seed(w: Function, at: str, place: str) -> None:
    """Begin the streams of the neurons from ``place`` on."""
    neurons = f"<{', '.join(f'i64 {i}' for i in range(LANES))}>"
    first = _all(w, _LONG, "i64", place)
    doubled = w.let(f"shl {_LONG} {w.let(f'add {_LONG} {first}, {neurons}')}, splat (i64 1)")
    key = _all(w, _LONG, "i64", "%key")
    for half in range(2):
        number = w.let(f"add {_LONG} {doubled}, splat (i64 {half + 1})")
        mixed = _mix(w, w.let(f"add {_LONG} {key}, {w.let(f'mul {_LONG} {number}, splat (i64 {_signed(_GOLDEN)})')}"))
        _store(w, w.let(f"trunc {_LONG} {mixed} to {_INTEGERS}"), 2 * half, at)
        upper = w.let(f"lshr {_LONG} {mixed}, splat (i64 32)")
        _store(w, w.let(f"trunc {_LONG} {upper} to {_INTEGERS}"), 2 * half + 1, at)


def _mix(w: Function, x: str) -> str:
    """The output function of splitmix64 (Steele, Lea and Flood 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None)):
        x = w.let(f"xor {_LONG} {x}, {w.let(f'lshr {_LONG} {x}, splat (i64 {shift})')}")
        if factor is not None:
            x = w.let(f"mul {_LONG} {x}, splat (i64 {_signed(factor)})")
    return x


def _limit(w: Function, chances: str) -> str:
    """The number of values that fire among 2^31 equally likely ones: none for 0 (or NaN), all for 1."""
    below = w.select(w.compare("olt", chances, w.every(1.0)), chances, w.every(1.0))
    chance = w.select(w.compare("ogt", chances, w.every(0.0)), below, w.every(0.0))
    doubles = f"<{LANES} x double>"
    exact = w.let(f"fpext {w.vector} {chance} to {doubles}")
    scaled = w.let(f"fmul {doubles} {exact}, splat (double 2147483648.0)")
    return w.let(f"fptoui {doubles} {w.let(f'fadd {doubles} {scaled}, splat (double 0.5)')} to {_INTEGERS}")


def _draw(w: Function, at: str) -> str:
    """Advance some streams; the mask of those that fire."""
    a, b, c, d = (_load(w, row, at) for row in range(4))
    number = _binary(w, "add", _turn(w, _binary(w, "add", a, d), 7), a)
    shifted = _binary(w, "shl", b, "splat (i32 9)")
    c, d = _binary(w, "xor", c, a), _binary(w, "xor", d, b)
    b, a = _binary(w, "xor", b, c), _binary(w, "xor", a, d)
    c, d = _binary(w, "xor", c, shifted), _turn(w, d, 11)
    for row, value in enumerate((a, b, c, d)):
        _store(w, value, row, at)
    upper = _binary(w, "lshr", number, "splat (i32 1)")
    return w.let(f"icmp ult {_INTEGERS} {upper}, {_load(w, _LIMIT, at)}")


def _binary(w: Function, operation: str, a: str, b: str) -> str:
    return w.let(f"{operation} {_INTEGERS} {a}, {b}")


def _turn(w: Function, x: str, bits: int) -> str:
    """The words rotated to the left."""
    left, right = _binary(w, "shl", x, f"splat (i32 {bits})"), _binary(w, "lshr", x, f"splat (i32 {32 - bits})")
    return _binary(w, "or", left, right)


def _load(w: Function, row: int, at: str) -> str:
    return w.let(f"load {_INTEGERS}, ptr {w.at('%scratch', w.sum(at, row * BLOCK), 'i32')}, align 4")


def _store(w: Function, value: str, row: int, at: str) -> None:
    w.line(f"store {_INTEGERS} {value}, ptr {w.at('%scratch', w.sum(at, row * BLOCK), 'i32')}, align 4")


def _all(w: Function, kind: str, scalar: str, value: str) -> str:
    """A vector with ``value`` in every element."""
    one = w.let(f"insertelement {kind} poison, {scalar} {value}, i64 0")
    return w.let(f"shufflevector {kind} {one}, {kind} poison, {_INTEGERS} zeroinitializer")


def _signed(word: int) -> int:
    """64 bits as LLVM writes them."""
    return word - (1 << 64) if word >> 63 else word
