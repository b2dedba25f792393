"""Kernels for the CPU: a program, run over all time steps, compiled by LLVM in memory.

A kernel goes through blocks of neurons small enough for the nearest cache (see ``kernel_code``). Compiling takes some
ten milliseconds, so nothing is kept on disk.

Neurons are independent of each other here, so any split of them between threads gives the same bits. What must be
summed over neurons or samples is summed afterwards, in one order.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import torch
from torch import Tensor

from snnrun.pool import spread
from snnrun.sequence.kernel import Kernel
from snnrun.sequence.kernel_code import code

#: Bytes of a block of one quantity.
BLOCK = 2048
#: Most bytes that a block keeps between its two runs over time: they should stay in the second cache.
KEPT = 1 << 19
DTYPES = (torch.float32, torch.float64)


def supports(x: Tensor) -> bool:
    """Whether these kernels can run on ``x``: a float32 or float64 tensor in the CPU's memory."""
    return x.device.type == "cpu" and x.dtype in DTYPES


def call(kernel: Kernel, numbers: Sequence[float], tensors: dict[str, Tensor], steps: int, like: Tensor) -> None:
    """Run ``kernel`` on arrays given by name, over ``steps`` steps of ``like.numel()`` neurons.

    Tensors are contiguous; those of kind ``strided`` may have stride 0 in time.
    """
    double = like.dtype == torch.float64
    width = 8 if double else 16
    lanes = like.numel()
    arrays, kept, size = kernel.arrays(), len(kernel.kept()), BLOCK // (8 if double else 4)
    if kept:
        size = max(width, min(size, KEPT // (steps * kept * (8 if double else 4)) // width * width))
    pointers = (ctypes.c_void_p * (len(arrays) + 1))(*(tensors[array.name].data_ptr() for array in arrays), None)
    strides = (ctypes.c_int64 * (len(arrays) + 1))(
        *(lanes if tensors[array.name].stride(0) else 0 for array in arrays), 0
    )
    kind = ctypes.c_double if double else ctypes.c_float
    values = (kind * (len(numbers) + 1))(*numbers, 0.0)
    kernel_of = _compiled(kernel, double, width if lanes >= width else 1)
    whole = lanes - lanes % width if lanes >= width else lanes

    def work(low: int, high: int) -> None:
        own = like.new_empty(steps * kept * size)
        given = pointers, strides, values, own.data_ptr(), size, steps, lanes
        if low < whole:
            kernel_of(*given, low, min(high, whole))
        if high > whole:  # the last vector overlaps the one before it, whose neurons come to the same once more
            kernel_of(*given, lanes - width, lanes)

    spread(work, lanes, steps * lanes, width)


@functools.lru_cache(maxsize=1024)
def _compiled(kernel: Kernel, double: bool, width: int) -> Callable[..., None]:
    most = BLOCK // (8 if double else 4)
    made = _engine(code(kernel, most, double=double, width=width))
    function: Any = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, *[ctypes.c_int64] * 5)(
        made.get_function_address("kernel")
    )
    function.engine = made  # the code lives as long as its engine
    return function


def _engine(source: str) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(source)
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )
    # No pass over the code before: it is written in vectors already, and what LLVM's passes found here changed no time
    # but that of compiling, which they doubled.
    made = llvm.create_mcjit_compiler(module, machine)
    made.finalize_object()
    return made
