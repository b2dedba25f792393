"""Products with spikes, spike by spike: for x of 0 and 1, ``y = x W^T`` is the sum of the rows of ``W^T`` where x is 1.

The cost is one addition per spike and output, so sparse spikes are cheap::

    y[m]    = b + Σ W^T[k]  over the k with x[m, k] = 1          the rows of W^T, chosen by the spikes of sample m
    dW^T[k] = Σ g[m]        over the m with x[m, k] = 1          g[m] is added to those rows of dW^T

The sums are taken in float32, in pieces of at most ``LONGEST`` terms, which rounds no worse than a dense product does.
Their order depends on neither threads nor processor. The kernels (:mod:`snnrun.model.products.events_code`) are built
around the caches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from snnrun.model.products.events_code import BLOCK, LONGEST, SIGNATURES, SLOTS, TILE, WIDTH, code
from snnrun.system.llvm.engine import compile_code
from snnrun.system.pool import spread

#: Most blocks of a stripe at a time: they fit the L2 cache, twice.
GROUP = 6
_MANY = 24  # spikes for which a sum is worth its way to the registers and back
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
    places = torch.empty((blocks, rows, SLOTS), dtype=torch.uint8)
    lengths = torch.empty((blocks, rows), dtype=torch.uint8)
    spikes = torch.zeros(rows, dtype=torch.int64)  # of each row; -1: a value that is not a spike
    pointers = [each.data_ptr() for each in (x, places, lengths, spikes)]
    spread(lambda low, high: functions()["find"](*pointers, columns, rows, low, high), rows, x.numel())
    total = int(spikes.sum())
    if bool((spikes < 0).any()) or total > most * x.numel():
        return None
    return Events(places, lengths, columns, total)


@functools.cache
def functions() -> dict[str, Callable[..., None]]:
    """The compiled functions."""
    return compile_code(code(), SIGNATURES)


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
    weight = weight.detach().contiguous()
    pointers = [each.data_ptr() for each in (events.places, events.lengths, weight, start, out)]

    def work(low: int, high: int) -> None:
        table, sums = _rows_of_stripe(blocks * (BLOCK + 1)), _rows_of_stripe(TILE)
        for each in range(low, high):
            begin = each % parts * part
            where = each // parts * WIDTH, begin, min(begin + part, rows)
            functions()["product"](
                *pointers, table.data_ptr(), sums.data_ptr(), rows, events.columns, outputs, *where, group, blocks
            )

    spread(work, stripes * parts, weight.numel() + out.numel())
    return out


def weight_gradient(events: Events, grad: Tensor) -> Tensor:
    """``g^T x`` ``[N, K]`` for the gradient ``g`` ``[M, N]`` of the product."""
    grad = grad.detach().contiguous()
    (blocks, rows, _), outputs = events.places.shape, grad.shape[1]
    stripes, groups = _pieces(outputs, WIDTH), _pieces(blocks, GROUP)
    # By the sizes alone, so that neither threads nor processor change a bit.
    parts = max(1, min(_pieces(_TASKS, _pieces(outputs, BLOCK) * groups), rows // (2 * LONGEST)))
    group, part = _pieces(blocks, groups), _pieces(rows, parts)
    out = torch.empty((parts, outputs, events.columns), dtype=torch.float32)
    places, lengths = events.places.data_ptr(), events.lengths.data_ptr()

    def work(low: int, high: int) -> None:
        row, *scratch = (_rows_of_stripe(size) for size in (1, group * (BLOCK + 1), group * (BLOCK + 1)))
        table, sums = (each.data_ptr() for each in scratch)
        for each in range(low, high):
            which, stripe, first = each % parts, each // parts // groups * WIDTH, each // parts % groups * group
            where = stripe, which * part, min((which + 1) * part, rows)
            functions()["gradient"](
                places, lengths, grad.data_ptr(), row.data_ptr(), out[which].data_ptr(), table, sums,
                rows, events.columns, outputs, *where, first, min(first + group, blocks),
            )  # fmt: skip

    spread(work, stripes * groups * parts, grad.numel() + out.numel())
    return out[0] if parts == 1 else out.sum(0)


def _rows_of_stripe(count: int) -> Tensor:
    """Scratch memory of a thread. It is aligned; a vector across two cache lines costs twice the time."""
    return torch.empty(count * WIDTH, dtype=torch.float32)


def _pieces(length: int, size: int) -> int:
    """The number of pieces of ``size`` that cover ``length``."""
    return -(-length // size)
