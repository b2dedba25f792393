"""Kernels for the CPU: a program, run over all time steps, compiled by LLVM in memory.

A kernel processes blocks of neurons that fit the nearest cache (see ``llvm_code``). Compiling takes some ten
milliseconds, so nothing is stored on disk.

Neurons are independent of each other here, so any split between threads gives the same bits. Sums over neurons or
samples are computed afterwards, in a fixed order.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from snnrun.sequence.kernel import feedback_code, pool_code
from snnrun.sequence.kernel.feedback_code import Shape
from snnrun.sequence.kernel.kernel import Kernel, Key
from snnrun.sequence.kernel.llvm_code import code
from snnrun.sequence.kernel.pool_code import Windows
from snnrun.sequence.kernel.steps import Backward, Forward, Rows
from snnrun.system.llvm.engine import compile_code
from snnrun.system.pool import spread

#: Bytes of a block of one quantity.
BLOCK = 2048
#: Limit in bytes of a block's scratch memory between its two runs over time: it should fit the second cache.
KEPT = 1 << 19
#: Samples in one partial sum of the weight gradient of a read-out product, and least for the weights of a feedback.
SAMPLES = 8
#: Most numbers of all partial sums of the weights of a feedback, if these are more than two.
PARTIAL = 1 << 25
#: Limit in bytes of the output of neurons that waits for its pool: it should fit the second cache.
WINDOWS = 1 << 18
_POSITIONS = 255  # of a window: they fit a byte
DTYPES = (torch.float32, torch.float64)


def supports(x: Tensor) -> bool:
    """True if these kernels can run on ``x``: a float32 or float64 tensor in the CPU's memory."""
    return x.device.type == "cpu" and x.dtype in DTYPES


def call(kernel: Kernel, numbers: Sequence[float], tensors: dict[Key, Tensor], steps: int, like: Tensor) -> None:
    """Run ``kernel`` on arrays given by key, over ``steps`` steps of ``like.numel()`` neurons.

    Tensors are contiguous; tensors of kind ``strided`` may have stride 0 in time.
    """
    lanes, width = like.numel(), vector_width(like)
    run = _Call(kernel, numbers, tensors, steps, like, width if lanes >= width else 1)

    def work(low: int, high: int) -> None:
        scratch = run.scratch()
        run.code.kernel(*run.arguments, scratch.data_ptr(), run.size, steps, lanes, low, high)

    spread(work, lanes, steps * lanes, width)


def call_by_sample(
    kernel: Kernel,
    numbers: Sequence[float],
    tensors: dict[Key, Tensor],
    steps: int,
    like: Tensor,
) -> None:
    """:func:`call` for a kernel with a read-out product, for ``like`` ``[B, *N]`` of at least a vector of neurons.

    In addition ``tensors`` has ``products``, ``[T, B, J]``, and ``weights``, packed (see ``readout_product``);
    backwards also ``grad_weights``: zeros, ``[B / SAMPLES, V, J, width]``, one for each partial sum over samples, so
    that the order of all sums does not depend on the number of threads.
    """
    samples, lanes = like.shape[0], like.numel()
    run = _Call(kernel, numbers, tensors, steps, like, vector_width(like))
    samples_of = run.code.samples
    assert samples_of is not None
    grad_weights = tensors.get(Key("grad_weights"))

    def work(low: int, high: int) -> None:
        scratch = run.scratch()
        for part in range(low, high):
            sums = None if grad_weights is None else grad_weights[part].data_ptr()
            first, last = part * SAMPLES, min((part + 1) * SAMPLES, samples)
            samples_of(sums, *run.arguments, scratch.data_ptr(), run.size, steps, lanes, lanes // samples, first, last)

    spread(work, -(-samples // SAMPLES), steps * lanes)


class Pool(NamedTuple):
    """A maximum pool around a kernel.

    Attributes:
        size: of the windows, which neither overlap nor leave gaps.
        pooled: the maxima ``[T, B, H / size, W / size, C]``, or backwards their gradient.
        which: the position of each in its window, a byte.
    """

    size: int
    pooled: Tensor
    which: Tensor


def fits_windows(like: Tensor, size: int) -> bool:
    """True if the neurons of a step ``[B, H, W, C]`` below a row of windows fill a vector."""
    return like.shape[2] * like.shape[3] >= vector_width(like) and size * size <= _POSITIONS


def call_by_window(
    kernel: Kernel, numbers: Sequence[float], tensors: dict[Key, Tensor], steps: int, like: Tensor, pool: Pool
) -> None:
    """:func:`call` for ``like`` ``[B, H, W, C]``, with a pool after the output, or backwards before its gradient."""
    images, height, width, channels = like.shape
    item, lanes, redirected = like.element_size(), like.numel(), Key("grad_output" if kernel.backwards else "output")
    strip = max(1, WINDOWS // (pool.size * pool.size * channels * steps * item))
    strip = max(strip, -(-vector_width(like) // (pool.size * channels)))
    # The pointer and the distance of this array are set by strip.
    arrays = {**tensors, redirected: like}
    place = next(i for i, array in enumerate(kernel.arrays()) if array.key == redirected)
    of = Windows(
        channels, height, width, pool.size, min(strip, width // pool.size), steps, place, kernel.backwards,
        like.dtype == torch.float64,
    )  # fmt: skip
    run = _Call(kernel, numbers, arrays, steps, like, vector_width(like), of)
    pointers, strides, values = run.arguments
    strides[place] = of.room
    windows = run.code.samples
    assert windows is not None

    def work(low: int, high: int) -> None:
        scratch, buffer, now = run.scratch(), like.new_empty(of.buffer), type(pointers)(*pointers)
        windows(
            now, strides, values, scratch.data_ptr(), buffer.data_ptr(), pool.pooled.data_ptr(), pool.which.data_ptr(),
            run.size, lanes, images, low, high,
        )  # fmt: skip

    spread(work, images * of.groups, steps * lanes)


def call_by_step(
    kernel: Kernel,
    numbers: Sequence[float],
    arrays: Mapping[Key, Rows],
    feedback: Forward | Backward,
    steps: int,
    like: Tensor,
) -> None:
    """:func:`snnrun.sequence.kernel.steps.run` for ``like`` ``[B, *N]``, a group of samples at a time."""
    samples, lanes = like.shape[0], like.numel()
    n, width = lanes // samples, vector_width(like)
    shape = feedback_code.shape_of(like, width, backwards=isinstance(feedback, Backward))
    size = _group(samples, n) if shape.backwards else SAMPLES
    # The smallest group must fill a vector of the kernel.
    smallest = n * (samples % size or size)
    tensors = {key: rows.row(0) for key, rows in arrays.items()}
    run = _Call(kernel, numbers, tensors, 1, like, width if smallest >= width else 1, shape)
    count, item = len(run.code.arrays), like.element_size()
    places = [arrays[key] for key in run.code.arrays]
    lengths = [rows.tensor.element_size() for rows in places]
    words = ctypes.c_int64 * count
    strides = words(*[lanes if rows.distance else 0 for rows in places])
    delta = words(*[rows.distance * length for rows, length in zip(places, lengths, strict=True)])
    flip = words(*[rows.row(1).data_ptr() - rows.row(0).data_ptr() if rows.takes_turns else 0 for rows in places])
    groups, further = -(-samples // size), list[tuple[int, ...]]()

    if isinstance(feedback, Backward):
        names: tuple[str, ...] = feedback_code.BACKWARD
        weights = feedback_code.pack(feedback.weight, shape.width, shape.column)
        sums = like.new_zeros((groups, n + 1, shape.vectors * shape.width))  # the last row for the bias
        further = [(weights.data_ptr(), part[0].data_ptr(), part[n].data_ptr()) for part in sums]
    else:
        names = feedback_code.FORWARD
        weights = feedback_code.pack(feedback.weight.t(), shape.width, shape.row)
        bias = like.new_zeros(weights.shape[0] * weights.shape[2])
        if feedback.bias is not None:
            bias[:n] = feedback.bias
        further = [(weights.data_ptr(), bias.data_ptr())] * groups
    rows = [getattr(feedback, name) for name in names]
    along = [each for row in rows for each in (row.row(0).data_ptr(), row.distance * item)]
    pointers, _, values = run.arguments
    assert run.code.samples is not None
    samples_of = run.code.samples

    def work(low: int, high: int) -> None:
        scratch, now = run.scratch(), (ctypes.c_void_p * count)()
        for group in range(low, high):
            first, last = group * size, min((group + 1) * size, samples)
            samples_of(
                now, pointers, delta, flip, count, strides, values, scratch.data_ptr(),
                run.size, steps, lanes, first, last, *along, *further[group],
            )  # fmt: skip

    spread(work, len(further), steps * lanes)
    if isinstance(feedback, Backward):
        total = sums[0]
        for part in sums[1:]:  # in this order, whatever the threads
            total += part
        if feedback.grad_weight is not None:
            feedback.grad_weight.copy_(total[:n, :n].t())
        if feedback.grad_bias is not None:
            feedback.grad_bias.copy_(total[n, :n])


def _group(samples: int, n: int) -> int:
    """Samples of a group: there is a partial sum ``[n, n]`` for each group, which depends on the sizes alone."""
    each = -(-samples // max(2, PARTIAL // (n * n)))
    return -(-each // SAMPLES) * SAMPLES


def vector_width(like: Tensor) -> int:
    """Neurons in a vector."""
    return 8 if like.dtype == torch.float64 else 16


class _Call:
    """The common arguments for the calls of one kernel."""

    def __init__(
        self,
        kernel: Kernel,
        numbers: Sequence[float],
        tensors: dict[Key, Tensor],
        steps: int,
        like: Tensor,
        width: int,
        shape: Shape | Windows | None = None,
    ) -> None:
        double, bytes_, lanes = like.dtype == torch.float64, like.element_size(), like.numel()
        self.code = _compile(kernel, double, width, shape)
        self._like, scratch = like, self.code.scratch
        self.size = BLOCK // bytes_
        if scratch:
            self.size = max(width, min(self.size, KEPT // (steps * scratch * bytes_) // width * width))
        self._room = steps * scratch * self.size
        arrays = [tensors[key] for key in self.code.arrays]
        pointers = (ctypes.c_void_p * (len(arrays) + 1))(*[tensor.data_ptr() for tensor in arrays], None)
        strides = (ctypes.c_int64 * (len(arrays) + 1))(*[lanes if tensor.stride(0) else 0 for tensor in arrays], 0)
        values = ((ctypes.c_double if double else ctypes.c_float) * (len(numbers) + 1))(*numbers, 0.0)
        self.arguments = pointers, strides, values

    def scratch(self) -> Tensor:
        """Scratch memory for one thread."""
        return self._like.new_empty(self._room)


class _Code(NamedTuple):
    """A compiled kernel."""

    arrays: tuple[Key, ...]
    scratch: int  # number of scratch arrays
    kernel: Callable[..., None]
    samples: Callable[..., None] | None  # the loop around a kernel: over samples, steps, or the windows of a pool


@functools.lru_cache(maxsize=1024)
def _compile(kernel: Kernel, double: bool, width: int, shape: Shape | Windows | None = None) -> _Code:
    """``shape``: of a layer with feedback, whose kernel runs step by step, or of a pool around the kernel."""
    most = BLOCK // (8 if double else 4)
    source = code(kernel, most, double=double, width=width)
    signatures = {"kernel": "ppppiiiii"}
    if isinstance(shape, Windows):
        source, signatures["windows"] = "\n".join([source, pool_code.code(shape)]), pool_code.SIGNATURE
    elif shape is not None:
        source = feedback_code.code(source, shape)
        signatures["samples"] = "ppppipppiiiii" + ("pi" * 5 + "ppp" if shape.backwards else "pi" * 2 + "pp")
    elif kernel.product:
        signatures["samples"] = "pppppiiiiii"
    functions = compile_code(source, signatures)
    return _Code(
        tuple(array.key for array in kernel.arrays()),
        len(kernel.scratch()),
        functions["kernel"],
        functions.get("windows", functions.get("samples")),
    )
