"""Products with spikes, spike by spike: for x of 0 and 1, ``y = x W^T`` is the sum of the rows of ``W^T`` where x is 1.

The cost is one addition per spike and output, so sparse spikes are cheap::

    y[m]    = b + Σ W^T[k]  over the k with x[m, k] = 1          the rows of W^T, chosen by the spikes of sample m
    dW^T[k] = Σ g[m]        over the m with x[m, k] = 1          g[m] is added to those rows of dW^T

The sums are taken in float32, in pieces of at most ``LONGEST`` terms, which rounds no worse than a dense product does.
Their order depends on neither threads nor processor.

The kernels are built around the caches. A table, of W^T or of dW^T, is cut into stripes of ``WIDTH`` columns and
contiguous blocks of 128 rows; some blocks of a stripe fit the L2 cache. One row of a stripe stays in vector registers,
which needs a few lines of LLVM, since numba cannot express it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from snnrun.sequence.kernel.engine import has_wide_vectors
from snnrun.system.jit import compile_cached
from snnrun.system.pool import spread

#: Rows of a block: an index among them, and the end of a list, fit a byte.
BLOCK = 128
#: Samples whose sums stay in the cache.
TILE = 256
#: Most terms of a sum before it is added to another.
LONGEST = 512
#: Most blocks of a stripe at a time: they fit the L2 cache, twice.
GROUP = 6
_LANES = 16  # floats of a vector; LLVM splits it for processors with shorter vectors
_VECTORS = 8 if has_wide_vectors() else 2  # all sums must fit the registers
#: Columns of a stripe.
WIDTH = _LANES * _VECTORS
_PAIR = 2  # spikes added at a time, each to its own sum, so that additions need not wait for each other
_MANY = 24  # spikes for which a sum is worth its way to the registers and back
_SHORT = 32  # rows of a stripe that are written or read by columns at a time: they fit the L1 cache
_TASKS = 8  # pieces of work below which a gradient is also cut into groups of samples


class Events(NamedTuple):
    """The places where spikes ``[M, K]`` are 1: for every row, and each block of ``BLOCK`` columns, a list of columns.

    A list is padded to an even length with ``BLOCK``, the index of a row of zeros.
    """

    places: Tensor  # [ceil(K / BLOCK), M, BLOCK + 2], uint8
    lengths: Tensor  # [ceil(K / BLOCK), M], uint8
    columns: int  # K
    spikes: int  # all of them


def find(x: Tensor, most: float) -> Events | None:
    """The spikes of ``x`` ``[M, K]``, float32; None if a value is neither 0 nor 1, or more than ``most`` of them are 1.

    The result depends only on the values, not on earlier calls or threads.
    """
    rows, columns = x.shape
    x = x.detach().contiguous()
    if rows and not bool(((x[0] == 0) | (x[0] == 1)).all()):  # detects most other inputs at once
        return None
    blocks = _pieces(columns, BLOCK)
    places = torch.empty((blocks, rows, BLOCK + _PAIR), dtype=torch.uint8)
    lengths = torch.empty((blocks, rows), dtype=torch.uint8)
    spikes = np.zeros(rows, np.int64)  # of each row; -1: a value that is not a spike
    bits, places_, lengths_ = x.numpy().view(np.uint32), places.numpy(), lengths.numpy()
    spread(lambda low, high: _find(bits, places_, lengths_, spikes, low, high), rows, x.numel())
    if (spikes < 0).any() or spikes.sum() > most * x.numel():
        return None
    return Events(places, lengths, columns, int(spikes.sum()))


def product(events: Events, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x W^T + b`` ``[M, N]`` for the spikes x and ``weight`` ``[N, K]``, ``bias`` ``[N]``, float32."""
    outputs, (blocks, rows, _) = len(weight), events.places.shape
    out = torch.empty((rows, outputs), dtype=torch.float32)
    stripes, tiles = _pieces(outputs, WIDTH), _pieces(rows, TILE)
    # Few outputs give few stripes: then the samples are divided too.
    part = TILE * _pieces(tiles, _pieces(2 * torch.get_num_threads(), stripes))
    parts = _pieces(rows, part) if rows else 0
    # With few spikes in a block, some blocks are summed at a time.
    group = max(1, min(GROUP, _MANY * rows * blocks // max(events.spikes, 1)))
    start = torch.zeros(stripes * WIDTH, dtype=torch.float32)
    if bias is not None:
        start[:outputs] = bias.detach()
    tensors = (events.places, events.lengths, weight.detach().contiguous(), start, out)
    arrays = [each.numpy() for each in tensors]

    def work(low: int, high: int) -> None:
        table, sums = _rows_of_stripe(blocks * (BLOCK + 1)), _rows_of_stripe(TILE)
        for each in range(low, high):
            begin = each % parts * part
            where = each // parts * WIDTH, begin, min(begin + part, rows)
            _sum_rows(*arrays, where, group, table, sums)

    spread(work, stripes * parts, weight.numel() + out.numel())
    return out


def weight_gradient(events: Events, grad: Tensor) -> Tensor:
    """``g^T x`` ``[N, K]`` for the gradient ``g`` ``[M, N]`` of the product."""
    grad = grad.detach().contiguous()
    (blocks, rows, _), outputs = events.places.shape, grad.shape[1]
    stripes, groups = _pieces(outputs, WIDTH), _pieces(blocks, GROUP)
    # By the sizes alone, so that the number of threads changes no bit.
    parts = max(1, min(_pieces(_TASKS, stripes * groups), rows // (2 * LONGEST)))
    group, part = _pieces(blocks, groups), _pieces(rows, parts)
    out = torch.empty((parts, outputs, events.columns), dtype=torch.float32)
    arrays = [each.numpy() for each in (events.places, events.lengths, grad)]

    def work(low: int, high: int) -> None:
        table, sums, row = (_rows_of_stripe(size) for size in (group * (BLOCK + 1), group * (BLOCK + 1), 1))
        for each in range(low, high):
            which, stripe, first = each % parts, each // parts // groups * WIDTH, each // parts % groups * group
            where = stripe, which * part, min((which + 1) * part, rows)
            _add_to_rows(*arrays, out[which].numpy(), where, (first, min(first + group, blocks)), table, sums, row)

    spread(work, stripes * groups * parts, grad.numel() + out.numel())
    return out[0] if parts == 1 else out.sum(0)


def _rows_of_stripe(count: int) -> Any:
    """Scratch memory of a thread. From torch, which aligns it; a vector across two cache lines costs twice the time."""
    return torch.empty(count * WIDTH, dtype=torch.float32).numpy()


def _pieces(length: int, size: int) -> int:
    """The number of pieces of ``size`` that cover ``length``."""
    return -(-length // size)


_ONE = np.uint32(0x3F800000)  # the bits of 1.0


@compile_cached
def _find(x, places, lengths, spikes, low, high):  # type: ignore[no-untyped-def]
    columns = x.shape[1]
    for m in range(low, high):
        total = 0
        for block in range(places.shape[0]):
            begin = block * BLOCK
            length = min(BLOCK, columns - begin)
            others = 0
            for k in range(length):
                bits = x[m, begin + k]
                # Neither 0 (or -0) nor 1.
                others += np.int64((bits & np.uint32(0x7FFFFFFF)) != 0) & np.int64(bits != _ONE)
            if others:
                spikes[m] = -1
                return
            row = places[block, m]
            n = 0
            for k in range(length):  # without a branch, which would be mispredicted at every spike
                row[n] = k
                n += np.int64((x[m, begin + k] >> np.uint32(29)) & np.uint32(1))
            total += n
            row[n] = BLOCK
            lengths[block, m] = n + n % _PAIR
        spikes[m] = total


class _Code:
    """What the functions below write: rows of a stripe as vectors, and loops whose running vectors are registers."""

    def __init__(self, context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Any) -> None:
        self.context, self.builder, self.kinds, self.arguments = context, builder, kinds, arguments
        self.word, self.vector = ir.IntType(64), ir.VectorType(ir.FloatType(), _LANES)

    def address(self, argument: int) -> Any:
        """The address of an argument that is a pair of an array and an offset."""
        array, offset = (self.builder.extract_value(self.arguments[argument], i) for i in range(2))
        array = self.context.make_array(self.kinds.args[argument][0])(self.context, self.builder, array)
        return self.builder.gep(array.data, [offset])

    def row(self, rows: Any, indices: Any, i: Any) -> Any:
        """The address of row ``indices[i]`` of a stripe."""
        selected = self.builder.zext(self.builder.load(self.builder.gep(indices, [i])), self.word)
        return self.builder.gep(rows, [self.builder.mul(selected, ir.Constant(self.word, WIDTH))])

    def load(self, row: Any, v: int) -> Any:
        value = self.builder.load(self._place(row, v))
        value.align = 4
        return value

    def store(self, value: Any, row: Any, v: int) -> None:
        self.builder.store(value, self._place(row, v)).align = 4

    def _place(self, row: Any, v: int) -> Any:
        return self.builder.bitcast(
            self.builder.gep(row, [ir.Constant(self.word, v * _LANES)]), self.vector.as_pointer()
        )

    @contextmanager
    def loop(self, count: Any, start: Sequence[Any] = (), *, by: int = 1) -> Iterator[tuple[Any, list[Any]]]:
        """A loop over 0, ``by``, … below ``count``: the index, and the running vectors, which the body replaces.

        After the loop they are the last ones.
        """
        builder, before = self.builder, self.builder.block
        test, body, after = (builder.append_basic_block(name) for name in ("test", "body", "after"))
        builder.branch(test)
        builder.position_at_end(test)
        index, running = builder.phi(self.word), [builder.phi(self.vector) for _ in start]
        for phi, value in zip([index, *running], [ir.Constant(self.word, 0), *start], strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", index, count), body, after)
        builder.position_at_end(body)
        values: list[Any] = list(running)
        yield index, values
        following = builder.add(index, ir.Constant(self.word, by))
        for phi, value in zip([index, *running], [following, *values], strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(test)
        builder.position_at_end(after)
        values[:] = running


@intrinsic
def _sum_lists(
    context: Any, table: Any, index: Any, lengths: Any, steps: Any, blocks: Any, start: Any, out: Any
) -> Any:
    """``out[0:WIDTH] = start[0:WIDTH] + Σ table[index[i]][0:WIDTH]`` over the lists of some blocks.

    All arrays are pairs of an array and an offset; ``steps`` has the distances from a block to the next in the first
    three.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature, arguments)
        firsts, begin, end = [code.address(i) for i in range(3)], code.address(5), code.address(6)
        distances = [builder.extract_value(arguments[3], i) for i in range(3)]
        with code.loop(arguments[4], [ir.Constant(code.vector, None)] * (_PAIR * _VECTORS)) as (block, totals):
            rows, indices, length = (
                builder.gep(first, [builder.mul(block, distance)])
                for first, distance in zip(firsts, distances, strict=True)
            )
            with code.loop(builder.zext(builder.load(length), code.word), totals, by=_PAIR) as (i, values):
                for step in range(_PAIR):
                    row = code.row(rows, indices, builder.add(i, ir.Constant(code.word, step)))
                    for v in range(_VECTORS):
                        at = step * _VECTORS + v
                        values[at] = builder.fadd(values[at], code.load(row, v))
            totals[:] = values
        for v in range(_VECTORS):
            value = builder.fadd(totals[v], totals[_VECTORS + v])
            code.store(builder.fadd(code.load(begin, v), value), end, v)
        return context.get_dummy_value()

    return types.void(table, index, lengths, steps, blocks, start, out), generate


@intrinsic
def _add_to_lists(context: Any, row: Any, index: Any, lengths: Any, steps: Any, blocks: Any, table: Any) -> Any:
    """``table[index[i]][0:WIDTH] += row[0:WIDTH]`` over the lists of some blocks.

    The arrays are pairs as for ``_sum_lists``; ``steps`` has the distances in index, lengths and table.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature, arguments)
        source, firsts = code.address(0), [code.address(i) for i in (1, 2, 5)]
        distances = [builder.extract_value(arguments[3], i) for i in range(3)]
        values = [code.load(source, v) for v in range(_VECTORS)]
        with code.loop(arguments[4]) as (block, _):
            indices, length, rows = (
                builder.gep(first, [builder.mul(block, distance)])
                for first, distance in zip(firsts, distances, strict=True)
            )
            with code.loop(builder.zext(builder.load(length), code.word), by=_PAIR) as (i, _):
                for step in range(_PAIR):
                    to = code.row(rows, indices, builder.add(i, ir.Constant(code.word, step)))
                    for v, value in enumerate(values):
                        code.store(builder.fadd(code.load(to, v), value), to, v)
        return context.get_dummy_value()

    return types.void(row, index, lengths, steps, blocks, table), generate


@intrinsic
def _copy(context: Any, source: Any, step: Any, target: Any, target_step: Any, count: Any) -> Any:
    """Copy ``count`` numbers, each ``step`` after the one before; pairs as for ``_sum_lists``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature, arguments)
        first, to = code.address(0), code.address(2)
        with code.loop(arguments[4]) as (i, _):
            at, value_at = (builder.mul(i, arguments[j]) for j in (3, 1))
            builder.store(builder.load(builder.gep(first, [value_at])), builder.gep(to, [at]))
        return context.get_dummy_value()

    return types.void(source, step, target, target_step, count), generate


@compile_cached
def _sum_rows(places, lengths, weight, start, out, where, group, table, sums):  # type: ignore[no-untyped-def]
    stripe, begin, end = where
    outputs, terms = weight.shape
    blocks, rows, slots = places.shape
    entries, counts, weights, flat = places.reshape(-1), lengths.reshape(-1), weight.reshape(-1), out.reshape(-1)
    size = (BLOCK + 1) * WIDTH
    steps = (size, rows * slots, rows)
    width = np.int64(min(WIDTH, outputs - stripe))
    table[:] = 0
    for first in range(0, terms, _SHORT):
        to = first // BLOCK * size + first % BLOCK * WIDTH
        for j in range(width):
            row = (weights, (stripe + j) * terms + first)
            _copy(row, np.int64(1), (table, to + j), np.int64(WIDTH), np.int64(min(_SHORT, terms - first)))  # type: ignore[call-arg]
    for tile in range(begin, end, TILE):
        last = min(tile + TILE, end)
        for block in range(0, blocks, group):
            many = np.int64(min(group, blocks - block))
            for m in range(tile, last):
                here = (sums, (m - tile) * WIDTH)
                source = (start, stripe) if block == 0 else here
                target = (flat, m * outputs + stripe) if block + group >= blocks and width == WIDTH else here
                list_, length = (entries, (block * rows + m) * slots), (counts, block * rows + m)
                _sum_lists((table, block * size), list_, length, steps, many, source, target)  # type: ignore[call-arg]
        if width < WIDTH:
            for m in range(tile, last):
                source, target = (sums, (m - tile) * WIDTH), (flat, m * outputs + stripe)
                _copy(source, np.int64(1), target, np.int64(1), width)  # type: ignore[call-arg]


@compile_cached
def _add_to_rows(places, lengths, grad, out, where, blocks, table, sums, row):  # type: ignore[no-untyped-def]
    stripe, begin, end = where
    first, last = blocks
    outputs, terms = out.shape
    _, rows, slots = places.shape
    entries, counts, grads, flat = places.reshape(-1), lengths.reshape(-1), grad.reshape(-1), out.reshape(-1)
    size, many, width = (BLOCK + 1) * WIDTH, np.int64(last - first), np.int64(min(WIDTH, outputs - stripe))
    steps = (rows * slots, rows, size)
    table[:] = 0
    if end - begin > LONGEST:
        sums[:] = 0
    for piece in range(begin, end, LONGEST):
        for m in range(piece, min(piece + LONGEST, end)):
            source = (grads, m * outputs + stripe)
            if width < WIDTH:
                _copy(source, np.int64(1), (row, 0), np.int64(1), width)  # type: ignore[call-arg]
                source = (row, 0)
            list_, length = (entries, (first * rows + m) * slots), (counts, first * rows + m)
            _add_to_lists(source, list_, length, steps, many, (table, 0))  # type: ignore[call-arg]
        if end - begin > LONGEST:
            sums += table
            table[:] = 0
    total = sums if end - begin > LONGEST else table
    for k in range(first * BLOCK, min(last * BLOCK, terms), _SHORT):
        at = (k // BLOCK - first) * size + k % BLOCK * WIDTH
        for j in range(width):
            target = (flat, (stripe + j) * terms + k)
            _copy((total, at + j), np.int64(WIDTH), target, np.int64(1), np.int64(min(_SHORT, terms - k)))  # type: ignore[call-arg]
