"""The convolution of a layer, with the pool after it: events where spikes are few, torch's own elsewhere.

The input of a convolution over all T steps is ``[T·B, C, H, W]``, and spikes are few of its numbers. The kernels
(:mod:`snnrun.model.products.convolution_code`) sum the rows of the weights at the spikes. A maximum pool after the
convolution is computed in the same pass, so that the convolution's output, ``pool²`` times as large, is never written.
Backwards only one position of each window of the pool has a gradient, which saves as much again.

The output of these kernels has its channels last in memory; its shape is torch's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.grad
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnrun.model.products.convolution_code import SIGNATURES, Geometry, code
from snnrun.model.products.product import SMALL, TORCHS_OWN
from snnrun.system.llvm.engine import compile_code
from snnrun.system.pool import spread

#: Most partial sums of the gradient of the weights, and most numbers of all of them together.
PARTS, NUMBERS = 16, 1 << 25
_LONGEST = (1 << 16) - 1  # places in a row of pixels fit 16 bits
_HIGHEST = (1 << 31) - 1  # events of an image fit 32 bits


class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` with a method, ``product``, from the execution plan; torch's own by default.

    With another :class:`snnrun.model.Product` it can be differentiated once. Spikes are detected by their values, so
    any input is allowed.
    """

    product = TORCHS_OWN

    @property
    def pools(self) -> bool:
        """True if :meth:`pooled` may cost less than the convolution and then the pool."""
        return self.product.events_below > 0

    def forward(self, x: Tensor) -> Tensor:
        """The convolution ``[M, N, *]`` of ``x`` ``[M, C, H, W]``."""
        return self.pooled(x, None)

    def pooled(self, x: Tensor, pool: nn.Module | None) -> Tensor:
        """``pool`` of the convolution ``[M, N, *]`` of ``x`` ``[M, C, H, W]``."""
        size, events = pool_size(pool), None
        if self.product != TORCHS_OWN and x.device.type == "cpu":
            geometry = self._geometry(x, size or 1)
            events = find(x, geometry, self.product.events_below) if geometry is not None else None
            # torch gets no channels last: torch 2.14 then corrupts the memory, for instance in the backward pass of a
            # 1x1 convolution with stride 2 of three channels, on one thread.
            x = x.contiguous() if events is None else x
        y = super().forward(x) if events is None else _Events.apply(x, self.weight, self.bias, events)
        return y if pool is None or (size and events is not None) else pool(y)

    def _geometry(self, x: Tensor, pool: int) -> Geometry | None:
        """The geometry for the kernels; None if torch shall do it."""
        if not (
            self.product.events_below > 0
            and self.groups == 1
            and self.dilation == (1, 1)
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
            and all(p < k for p, k in zip(self.padding, self.kernel_size, strict=True))
            and x.dtype == self.weight.dtype
            and x.dtype in (torch.float32, torch.float64)
        ):
            return None
        channels, height, width = x.shape[1:]
        double = x.dtype == torch.float64
        sizes: Any = {"kernel": self.kernel_size, "stride": self.stride, "padding": self.padding}
        geometry = Geometry(channels, height, width, self.out_channels, pool=pool, double=double, **sizes)
        positions = geometry.out[0] * geometry.out[1] * geometry.positions
        if min(geometry.out) < 1 or x.shape[0] * positions * self.weight.numel() < SMALL:
            return None
        return geometry if width * channels <= _LONGEST and height * width * channels <= _HIGHEST else None


def pool_size(pool: nn.Module | None) -> int | None:
    """The size of a maximum pool whose square windows neither overlap nor leave gaps; None for any other module."""
    if type(pool) is not nn.MaxPool2d or pool.return_indices or pool.ceil_mode:
        return None
    sizes = {*_pair(pool.kernel_size), *_pair(pool.stride)}
    plain = _pair(pool.padding) == (0, 0) and _pair(pool.dilation) == (1, 1) and len(sizes) == 1
    (size, *_) = sizes
    return size if plain and 1 < size <= 15 else None  # a position in the window fits a byte


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


class Events(NamedTuple):
    """The spikes of images; see :mod:`snnrun.model.products.convolution_code`."""

    geometry: Geometry
    places: Tensor  # [M, H W C], 16 bits; of patterns the bits of each row
    rows: Tensor  # [M, H], 32 bits; not of patterns
    starts: Tensor  # [M, H, W + 1], 16 bits; not of patterns

    @classmethod
    def empty(cls, geometry: Geometry, count: int) -> Events:
        """Room for the events of ``count`` images."""
        g = geometry
        if g.has_patterns:
            places, lines = torch.empty((count, g.padded[0], g.bytes), dtype=torch.uint8), 0
        else:
            places, lines = torch.empty((count, g.height * g.width * g.channels), dtype=torch.int16), g.height
        rows = torch.empty((count, lines), dtype=torch.int32)
        return cls(g, places, rows, torch.empty((count, lines, g.width + 1), dtype=torch.int16))

    def pointers(self) -> tuple[int, int, int]:
        """The addresses of the tensors."""
        return self.places.data_ptr(), self.rows.data_ptr(), self.starts.data_ptr()


def find(x: Tensor, geometry: Geometry, most: float) -> Events | None:
    """The spikes of ``x`` ``[M, C, H, W]``; None if a value is neither 0 nor 1, or more than ``most`` of them are 1."""
    count = x.shape[0]
    if count and not bool(((x[0] == 0) | (x[0] == 1)).all()):  # detects most other inputs at once
        return None
    spikes, events = torch.empty(count, dtype=torch.int64), Events.empty(geometry, count)
    code_find, x = functions(geometry)["find"], x.detach().contiguous(memory_format=torch.channels_last)

    def work(low: int, high: int) -> None:
        code_find(x.data_ptr(), *events.pointers(), spikes.data_ptr(), low, high)

    spread(work, count, x.numel())
    if bool((spikes < 0).any()) or int(spikes.sum()) > most * x.numel():
        return None
    return events


@functools.lru_cache(maxsize=256)
def functions(geometry: Geometry) -> dict[str, Callable[..., None]]:
    """The compiled functions."""
    return compile_code(code(geometry), SIGNATURES)


class _Events(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, events: Events) -> Tensor:
        g, count = events.geometry, x.shape[0]
        y = x.new_empty((count, *g.out, g.outputs))
        which = torch.empty(y.shape if g.pool > 1 else (0,), dtype=torch.uint8)
        rows = weight.permute(2, 3, 1, 0).reshape(g.kernel[0], g.row, g.outputs)
        rows = _product(_patterns(g, rows), rows) if g.has_patterns else rows.contiguous()
        start = x.new_zeros(g.outputs) if bias is None else bias.contiguous()
        pointers = [each.data_ptr() for each in (rows, start, y, which)]
        spread(lambda low, high: functions(g)["forward"](*events.pointers(), *pointers, low, high), count, y.numel())
        ctx.save_for_backward(weight, events.places, events.rows, events.starts, which)
        ctx.geometry = g
        return y.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, places, rows, starts, which = ctx.saved_tensors
        events = Events(ctx.geometry, places, rows, starts)
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        grad = grad.permute(0, 2, 3, 1).contiguous()
        return (
            _input_gradient(events, grad, which, weight) if for_x else None,
            _weight_gradient(events, grad, which) if for_weight else None,
            grad.sum((0, 1, 2)) if for_bias else None,
            None,
        )


def _weight_gradient(events: Events, grad: Tensor, which: Tensor) -> Tensor:
    """The gradient ``[N, C, KH, KW]`` for ``grad`` ``[M, *, N]``, the same for any number of threads."""
    g, count = events.geometry, len(grad)
    shape = (g.kernel[0], g.patterns if g.has_patterns else g.row, g.outputs)
    parts = min(PARTS, count, max(2, NUMBERS // math.prod(shape)))
    sums = grad.new_zeros((parts, *shape))
    add = functions(g)["weight_gradient"]

    def work(low: int, high: int) -> None:
        for part in range(low, high):
            images = count * part // parts, count * (part + 1) // parts
            add(*events.pointers(), grad.data_ptr(), which.data_ptr(), sums[part].data_ptr(), *images)

    spread(work, parts, grad.numel())
    total = sums.sum(0)
    total = _product(_patterns(g, total).t(), total) if g.has_patterns else total
    return total.unflatten(1, (g.kernel[1], g.channels)).permute(3, 2, 0, 1)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """``a b``, in their own precision under autocast too."""
    with torch.autocast("cpu", enabled=False):
        return a @ b


def _patterns(geometry: Geometry, like: Tensor) -> Tensor:
    """Every pattern of spikes below a row of the kernel, ``[2^R, R]``."""
    numbers = torch.arange(geometry.patterns)[:, None]
    return ((numbers >> torch.arange(geometry.row)) & 1).to(like)


def _input_gradient(events: Events, grad: Tensor, which: Tensor, weight: Tensor) -> Tensor:
    """The gradient ``[M, C, H, W]``, channels last in memory, for ``grad`` ``[M, *, N]``."""
    g, count = events.geometry, len(grad)
    shape = (count, g.height, g.width, g.channels)
    if g.pool == 1:
        size = (count, g.channels, g.height, g.width)
        with torch.autocast("cpu", enabled=False):
            return torch.nn.grad.conv2d_input(size, weight, grad.permute(0, 3, 1, 2).contiguous(), g.stride, g.padding)
    result, rows = grad.new_empty(shape), weight.permute(2, 0, 3, 1).contiguous()  # [KH, N, KW, C]
    pointers = [each.data_ptr() for each in (grad, which, rows, result)]
    positions = g.out[0] * g.out[1] * g.positions

    def work(low: int, high: int) -> None:
        padded = grad.new_empty(g.padded[0] * g.padded[1] * g.channels)
        numbers = grad.new_empty(positions * g.outputs)
        channels, counts = (torch.empty(n, dtype=torch.int32) for n in (positions * g.outputs, positions))
        scratch = [each.data_ptr() for each in (padded, numbers, channels, counts)]
        functions(g)["input_gradient"](*pointers, *scratch, low, high)

    spread(work, count, grad.numel())
    return result.permute(0, 3, 1, 2)
