"""Products with spikes, spike by spike: for x of 0 and 1, ``y = x W^T`` is the sum of the rows of ``W^T`` where x is 1.

The cost is one addition per spike and output, so sparse spikes are cheap. Both the product and the gradient of its
weights are sums of selected rows::

    y[m]    = b + Σ W^T[k]  over the k with x[m, k] = 1          rows of W^T, chosen by the spikes of sample m
    dW^T[k] = Σ g[m]        over the m with x[m, k] = 1          rows of g, chosen by the spikes of input k

The sums are taken in float32 in blocks of 128 terms, which rounds no worse than a dense product does. Their order is
fixed: it depends on neither threads nor processor.

The kernels are built around the caches. The rows to select from are cut into contiguous blocks of 128 rows and
``WIDTH`` columns that fit the L1 cache; the sums of 256 rows and ``WIDTH`` columns stay in the L2 cache; the running
sums of one row stay in vector registers, which needs a few lines of LLVM, since numba cannot express it.
"""

from __future__ import annotations

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

#: Terms of a sum in one list: an index among them, and the end of a list, fit a byte.
BLOCK = 128
#: Rows whose sums stay in the cache.
TILE = 256
_LANES = 16  # floats of a vector; LLVM splits it for processors with shorter vectors
_VECTORS = 8 if has_wide_vectors() else 2  # all sums must fit the registers
#: Columns summed at a time.
WIDTH = _LANES * _VECTORS
_PAIR = 2  # spikes added at a time, each to its own sum, so that additions need not wait for each other


class Events(NamedTuple):
    """The places where spikes ``[M, K]`` are 1: for every row, and each block of ``BLOCK`` columns, a list of columns.

    A list is padded to an even length with ``BLOCK``, the index of a row of zeros.
    """

    places: Tensor  # [ceil(K / BLOCK), M, BLOCK + 2], uint8
    lengths: Tensor  # [ceil(K / BLOCK), M], uint8
    columns: int  # K


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
    return Events(places, lengths, columns)


def transpose(events: Events) -> Events:
    """The spikes by columns: for every column, the rows in which it is 1."""
    _, rows, _ = events.places.shape
    blocks = _pieces(rows, BLOCK)
    places = torch.empty((blocks, events.columns, BLOCK + _PAIR), dtype=torch.uint8)
    lengths = torch.zeros((blocks, events.columns), dtype=torch.uint8)
    arrays = [each.numpy() for each in (events.places, events.lengths, places, lengths)]
    spread(lambda low, high: _transpose(*arrays, low, high), blocks, events.places.numel())
    return Events(places, lengths, rows)


def product(events: Events, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x W^T + b`` ``[M, N]`` for the spikes x and ``weight`` ``[N, K]``, ``bias`` ``[N]``, float32."""
    weight = weight.detach().contiguous()
    outputs, inputs = weight.shape
    out = torch.empty((events.places.shape[1], outputs), dtype=torch.float32)
    start = torch.zeros(outputs, dtype=torch.float32) if bias is None else bias.detach().contiguous()
    _gather(events, weight, (1, inputs), start, out, (outputs, 1), None)
    return out


def weight_gradient(events: Events, grad: Tensor, with_bias: bool) -> tuple[Tensor, Tensor | None]:
    """``g^T x`` ``[N, K]`` for the gradient ``g`` ``[M, N]`` of the product, and of the bias, Σ g ``[N]``, or None."""
    grad = grad.detach().contiguous()
    outputs = grad.shape[1]
    by_input = transpose(events)
    out = torch.empty((outputs, events.columns), dtype=torch.float32)
    total = torch.empty(outputs, dtype=torch.float32) if with_bias else None
    start = torch.zeros(outputs, dtype=torch.float32)
    _gather(by_input, grad, (outputs, 1), start, out, (1, events.columns), total)
    return out, total


def _gather(
    events: Events,
    table: Tensor,
    table_strides: tuple[int, int],
    start: Tensor,
    out: Tensor,
    out_strides: tuple[int, int],
    total: Tensor | None,
) -> None:
    """``out[m] = start + Σ table[k]`` over the events k of m; strides of a row and a column."""
    blocks, rows, _ = events.places.shape
    if not rows or not len(start):
        return
    stripes = _pieces(len(start), WIDTH)
    # Few outputs give few stripes: then the rows are split too.
    tiles = _pieces(rows, TILE)
    part = TILE * _pieces(tiles, _pieces(2 * torch.get_num_threads(), stripes))
    parts = _pieces(rows, part)
    arrays = [each.numpy() for each in (events.places, events.lengths)]
    table_, start_, out_ = table.numpy().reshape(-1), start.numpy(), out.numpy().reshape(-1)
    total_ = np.empty(0, np.float32) if total is None else total.numpy()

    def work(low: int, high: int) -> None:
        # Scratch memory of each thread: the table's blocks, each with a row of zeros after it, and the sums. From
        # torch, which aligns it; a vector across two cache lines costs twice the time.
        packed = torch.empty(blocks * (BLOCK + 1) * WIDTH, dtype=torch.float32).numpy()
        sums = torch.empty(min(TILE, rows) * WIDTH, dtype=torch.float32).numpy()
        for each in range(low, high):
            stripe, begin = each // parts * WIDTH, each % parts * part
            totals = total_ if begin == 0 else total_[:0]
            end = min(begin + part, rows)
            # fmt: off
            _sum_rows(*arrays, events.columns, (table_, *table_strides), start_, (out_, *out_strides), totals,
                      (stripe, begin, end, packed, sums))
            # fmt: on

    spread(work, stripes * parts, table.numel() + out.numel())


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


@compile_cached
def _transpose(places, lengths, places_t, lengths_t, low, high):  # type: ignore[no-untyped-def]
    rows = places.shape[1]
    for block in range(low, high):
        filled = lengths_t[block]
        lists = places_t[block]
        begin = block * BLOCK
        for m in range(begin, min(begin + BLOCK, rows)):
            for old in range(places.shape[0]):
                row = places[old, m]
                for i in range(lengths[old, m]):
                    if row[i] < BLOCK:
                        k = old * BLOCK + row[i]
                        lists[k, filled[k]] = m - begin
                        filled[k] += 1
        for k in range(len(filled)):
            n = filled[k]
            lists[k, n] = BLOCK
            filled[k] = n + n % _PAIR


@intrinsic
def _add_rows(
    context: Any, table: Any, table_at: Any, index: Any, index_at: Any, count: Any, out: Any, out_at: Any
) -> Any:
    """``out[0:WIDTH] += Σ table[index[i]][0:WIDTH]`` for i < ``count``, an even number; ``_at``: offsets."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        def address(i: int) -> Any:
            array = context.make_array(signature.args[i])(context, builder, arguments[i])
            return builder.gep(array.data, [arguments[i + 1]])

        word, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), _LANES)

        def constant(value: int) -> Any:
            return ir.Constant(word, value)

        def place(row: Any, i: int) -> Any:
            return builder.bitcast(builder.gep(row, [constant(i * _LANES)]), vector.as_pointer())

        def load(row: Any, i: int) -> Any:
            value = builder.load(place(row, i))
            value.align = 4
            return value

        rows, indices, sums = address(0), address(2), address(5)
        before, test = builder.block, builder.append_basic_block("test")
        body, after = builder.append_basic_block("body"), builder.append_basic_block("after")
        builder.branch(test)

        builder.position_at_end(test)
        i = builder.phi(word)
        i.add_incoming(constant(0), before)
        running = [[builder.phi(vector) for _ in range(_VECTORS)] for _ in range(_PAIR)]
        builder.cbranch(builder.icmp_signed("<", i, arguments[4]), body, after)

        builder.position_at_end(body)
        for step, registers in enumerate(running):
            selected = builder.load(builder.gep(indices, [builder.add(i, constant(step))]))
            row = builder.gep(rows, [builder.mul(builder.zext(selected, word), constant(WIDTH))])
            for v, register in enumerate(registers):
                register.add_incoming(ir.Constant(vector, None), before)
                register.add_incoming(builder.fadd(register, load(row, v)), body)
        i.add_incoming(builder.add(i, constant(_PAIR)), body)
        builder.branch(test)

        builder.position_at_end(after)
        for v in range(_VECTORS):
            value = builder.fadd(running[0][v], running[1][v])
            store = builder.store(builder.fadd(load(sums, v), value), place(sums, v))
            store.align = 4
        return context.get_dummy_value()

    at = types.int64
    return types.void(table, at, index, at, at, out, at), generate


@compile_cached
def _sum_rows(  # type: ignore[no-untyped-def]
    places, lengths, terms, source, start, target, total, part
):  # fmt: skip
    table, table_row, table_column = source
    out, out_row, out_column = target
    stripe, begin, end, packed, sums = part
    width = min(WIDTH, len(start) - stripe)
    blocks, rows, slots = places.shape
    entries = places.reshape(-1)
    size = (BLOCK + 1) * WIDTH
    packed[:] = 0
    for block in range(blocks):
        first = block * BLOCK
        for k in range(min(BLOCK, terms - first)):
            to = block * size + k * WIDTH
            at = (first + k) * table_row + stripe * table_column
            if table_column == 1:
                for j in range(width):
                    packed[to + j] = table[at + j]
            else:
                for j in range(width):
                    packed[to + j] = table[at + j * table_column]
    if len(total):  # also the sum of all rows
        for j in range(width):
            total[stripe + j] = 0
        for block in range(blocks):
            sums[:WIDTH] = 0
            for k in range(BLOCK):
                to = block * size + k * WIDTH
                for j in range(WIDTH):
                    sums[j] += packed[to + j]
            for j in range(width):
                total[stripe + j] += sums[j]
    for tile in range(begin, end, TILE):
        tall = min(TILE, end - tile)
        for m in range(tall):
            for j in range(width):
                sums[m * WIDTH + j] = start[stripe + j]
        for block in range(blocks):
            for m in range(tall):
                at = (block * rows + tile + m) * slots
                _add_rows(packed, block * size, entries, at, np.int64(lengths[block, tile + m]), sums, m * WIDTH)  # type: ignore[call-arg]
        if out_column == 1:
            for m in range(tall):
                to = (tile + m) * out_row + stripe
                for j in range(width):
                    out[to + j] = sums[m * WIDTH + j]
        else:
            for j in range(width):
                to = tile * out_row + (stripe + j) * out_column
                for m in range(tall):
                    out[to + m * out_row] = sums[m * WIDTH + j]
