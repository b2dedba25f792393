"""Kernels for GPUs: a program, run over all time steps, compiled by Triton, which comes with torch on Linux.

Triton compiles a kernel at its first call, and stores it in a cache of its own.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import linecache
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snnrun.sequence.kernel.kernel import Array, Kernel, Key
from snnrun.sequence.kernel.triton_code import code
from snnrun.system.device import constant

#: Neurons of a program of the grid.
BLOCK = 256
#: Neurons of a warp.
WARP = 64
#: Most neurons of a layer whose feedback is computed within the kernel: the threads of a program share the registers of
#: a processor.
MOST = 512
#: Limit in bytes of the weights that all samples read in a step. Beyond it a product of torch, in which samples share
#: the weights that are read, is expected to take less time than the rest of the step saves.
TRAFFIC = 1 << 26
#: Processors by the name of their machine code, in Triton's terms: A100, H100 and H200, MI300.
TARGETS = {"sm_80": ("cuda", 80, 32), "sm_90": ("cuda", 90, 32), "gfx942": ("hip", "gfx942", 64)}
#: Of arrays, with Triton's names. All operations on bfloat16 are in float32: a kernel rounds only what it writes.
DTYPES = {torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}


_WIDE = ("row", "membrane", "new", "excess", "slope")  # arrays that are float32 where others are bfloat16


def supports(x: Tensor) -> bool:
    """True if these kernels can run on ``x``: a bfloat16, float32 or float64 tensor in a GPU's memory."""
    return x.device.type == "cuda" and x.dtype in DTYPES and is_installed()


@functools.cache
def is_installed() -> bool:
    """True if torch came with Triton."""
    return importlib.util.find_spec("triton") is not None


def fits(like: Tensor) -> bool:
    """True if one call can run all steps of a layer with feedback, for a step ``[B, *N]``."""
    n = like[0].numel()
    return n <= MOST and like.numel() * n * like.element_size() <= TRAFFIC


def call(kernel: Kernel, numbers: Tensor, tensors: dict[Key, Tensor], steps: int, like: Tensor) -> None:
    """Run ``kernel`` on arrays given by key; see :func:`snnrun.sequence.kernel.llvm.call`.

    ``numbers``: the numbers of the kernel, then the captured tensors of one number, on the device. The source of a
    feedback has a row in memory before its first, or backwards after its last.
    """
    lanes = like.numel()
    scratch = [like.new_empty((steps, *like.shape), dtype=_wide(like.dtype)) for _ in kernel.scratch()]
    arrays = [*(tensors[array.key] for array in kernel.arrays()), *scratch]
    strides = [0 if tensor.dim() > like.dim() and tensor.stride(0) == 0 else lanes for tensor in arrays]
    n = 0 if kernel.feedback is None else like[0].numel()
    grid = (like.shape[0] if n else -(-lanes // BLOCK),)
    function(kernel, like.dtype == torch.float64)[grid](
        numbers, *arrays, *strides, steps, lanes, **_sizes(n), **_options(n)
    )


def precision(like: Tensor) -> torch.dtype:
    """The dtype of operations on arrays like this one, and of the values of each neuron."""
    return _wide(like.dtype) if supports(like) else like.dtype


def dtype_of(array: Array, like: Tensor) -> torch.dtype:
    """The dtype of an array that a kernel writes for each step.

    A record of the state is as precise as the state: a gradient depends on whether a membrane passed the threshold.
    """
    if array.kind == "bytes":
        return torch.uint8
    return precision(like) if array.key.role in _WIDE else like.dtype


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype == torch.bfloat16 else dtype


def _sizes(n: int) -> dict[str, int]:
    """The constants of a kernel; ``n``: the neurons of a layer with feedback, or 0."""
    return {"n": n, "BLOCK": 1 << (n - 1).bit_length() if n else BLOCK}


def _options(n: int) -> dict[str, Any]:
    """Triton's options. Products and sums are not contracted, as in torch: the spikes of a step depend on the last bit.

    A feedback is the exception: each of its terms is a product and a sum in one operation, as in torch's products.
    """
    return {"num_warps": max(1, _sizes(n)["BLOCK"] // WARP), "enable_fp_fusion": False}


def numbers_of(numbers: Sequence[float], captured: Sequence[Tensor], like: Tensor) -> Tensor:
    """The numbers of a kernel: its program's, and the captured tensors of one number. The device is not waited for."""
    own = constant([*numbers, *(0.0 for _ in captured), 0.0], _wide(like.dtype), like.device)
    if all(each.numel() != 1 for each in captured):
        return own
    rest = [each.reshape(1).to(own) if each.numel() == 1 else own[-1:] for each in captured]
    return torch.cat([own[: len(numbers)], *rest])


def machine_code(kernel: Kernel, dtype: torch.dtype, target: str, n: int = 0) -> Any:
    """Triton's result for one of ``TARGETS``, which need not be there: its ``asm`` has the stages by name.

    ``n``: the neurons of a layer whose feedback the kernel computes.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    own, wide = DTYPES[dtype], DTYPES[_wide(dtype)]
    arrays = [*kernel.arrays(), *kernel.scratch()]
    types = [
        "u8" if array.kind == "bytes" else wide if array.kind == "scratch" or array.key.role in _WIDE else own
        for array in arrays
    ]
    signature = {"numbers": f"*{wide}", **{f"array{i}": f"*{name}" for i, name in enumerate(types)}}
    signature |= {f"stride{i}": "i32" for i in range(len(arrays))}
    signature |= {"steps": "i32", "lanes": "i32", "n": "constexpr", "BLOCK": "constexpr"}
    source = ASTSource(function(kernel, dtype == torch.float64), signature, constexprs=_sizes(n))
    return triton.compile(source, target=GPUTarget(*TARGETS[target]), options=_options(n))


@functools.lru_cache(maxsize=1024)
def function(kernel: Kernel, double: bool) -> Any:
    """The Triton function of a kernel."""
    import triton

    return triton.jit(source_function(code(kernel, double=double)))


def source_function(source: str) -> Any:
    """The Python function of ``source``. Triton reads its lines, which Python finds by the name of their file."""
    import triton.language
    from triton.language.extra import libdevice

    name = f"<kernel {hashlib.sha256(source.encode()).hexdigest()[:16]} of snnrun>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"tl": triton.language, "libdevice": libdevice, "__name__": __name__}
    exec(compile(source, name, "exec"), scope)  # our own text: names and numbers of a program
    return scope["kernel"]
