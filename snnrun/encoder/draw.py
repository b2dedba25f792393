"""Independent spikes with given probabilities."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from snnrun.encoder import draw_code
from snnrun.system.llvm.engine import compile_code
from snnrun.system.pool import spread


def bernoulli(probability: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
    """Independent spikes ``[T, B, *N]`` with ``probability`` ``[1 or T, B, *N]``, in its dtype.

    Probability 0 never fires and 1 always. Other probabilities are exact to within 2^-32 on the CPU in float32, so a
    pixel of 8 bits, k / 255, to the precision of float32; else to within 2^-24.

    On the CPU the ``generator`` gives a key, from which every neuron gets its own random stream (Blackman and Vigna's
    xoshiro128++, seeded by splitmix64): so the draws do not depend on threads or their number.
    """
    if probability.device.type == "cpu" and probability.dtype == torch.float32:
        return _streams(probability, num_steps, generator)
    # Half-precision draws would be too coarse: bfloat16 has 256 of them.
    dtype = torch.promote_types(probability.dtype, torch.float32)
    shape = (num_steps, *probability.shape[1:])
    draws = torch.rand(shape, generator=generator, dtype=dtype, device=probability.device)
    return (draws < probability).to(probability.dtype)


def _streams(probability: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
    key = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    shape = (num_steps, *probability.shape[1:])
    size = math.prod(shape[1:])
    lanes = max(size, draw_code.LANES)  # a vector at least
    spikes = torch.empty((num_steps, lanes), dtype=torch.float32)
    chances = probability.detach().reshape(len(probability), size).contiguous()
    if lanes > size:
        chances = torch.nn.functional.pad(chances, (0, lanes - size))
    pointers = chances.data_ptr(), spikes.data_ptr()

    def work(low: int, high: int) -> None:
        scratch = torch.empty(draw_code.ROWS * draw_code.BLOCK, dtype=torch.int32)
        _functions()["draw"](*pointers, scratch.data_ptr(), key, num_steps, len(chances), lanes, low, high)

    if size:
        spread(work, lanes, spikes.numel(), unit=draw_code.BLOCK)
    return spikes[:, :size].reshape(shape)


@functools.cache
def _functions() -> dict[str, Callable[..., None]]:
    return compile_code(draw_code.code(), draw_code.SIGNATURES)
