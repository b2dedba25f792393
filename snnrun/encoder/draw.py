"""Independent spikes with given probabilities."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from snnrun.system.jit import compile_cached
from snnrun.system.pool import spread


def bernoulli(probability: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
    """Independent spikes ``[T, B, *N]`` with ``probability`` ``[1 or T, B, *N]``, in its dtype.

    Probability 0 never fires and 1 always. What lies between is met to within 2^-32 on the CPU in float32, so a pixel
    of 8 bits, k / 255, as exactly as float32 can say it; else to within 2^-24.

    On the CPU the ``generator`` gives a key, from which every neuron gets a random stream of its own (Blackman and
    Vigna's xoshiro128++, seeded by splitmix64): so neither threads nor their number change what is drawn.
    """
    if probability.device.type == "cpu" and probability.dtype == torch.float32:
        return _streams(probability, num_steps, generator)
    # Half-precision draws would be too coarse: there are 256 of them in bfloat16.
    dtype = torch.promote_types(probability.dtype, torch.float32)
    shape = (num_steps, *probability.shape[1:])
    draws = torch.rand(shape, generator=generator, dtype=dtype, device=probability.device)
    return (draws < probability).to(probability.dtype)


def _streams(probability: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
    key = torch.empty((), dtype=torch.int64).random_(generator=generator)
    spikes = torch.empty((num_steps, *probability.shape[1:]), dtype=torch.float32)
    given = probability.detach().reshape(len(probability), -1).contiguous().numpy()
    made, seed = spikes.view(num_steps, -1).numpy() if spikes.numel() else None, np.uint64(key.item())
    if made is not None:
        spread(lambda low, high: _draw(given, seed, made, low, high), made.shape[1], made.size, unit=_LANES)
    return spikes


_LANES = 512  # streams that are advanced together, in the L1 cache


@compile_cached
def _mixed(x):  # type: ignore[no-untyped-def]
    # The output function of splitmix64 (Steele, Lea and Flood 2014).
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compile_cached
def _draw(probability, key, spikes, low, high):  # type: ignore[no-untyped-def]
    state = np.empty((4, _LANES), np.uint32)
    a, b, c, d = state
    limit = np.empty(_LANES, np.uint32)
    for begin in range(low, high, _LANES):
        end = min(begin + _LANES, high)
        for i in range(end - begin):
            place = np.uint64(2 * (begin + i) + 1)
            first = _mixed(key + place * np.uint64(0x9E3779B97F4A7C15))
            second = _mixed(key + (place + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
            a[i], b[i] = np.uint32(first), np.uint32(first >> np.uint64(32))
            c[i], d[i] = np.uint32(second), np.uint32(second >> np.uint64(32))
        for t in range(len(spikes)):
            if t < len(probability):
                given = probability[t, begin:end]
                for i in range(len(given)):
                    # Of 2^31 equally likely numbers so many fire: none for 0 (or NaN), all for 1.
                    p = min(given[i], np.float32(1)) if given[i] > 0 else np.float32(0)
                    limit[i] = np.uint32(np.float64(p) * 2147483648.0 + 0.5)
            row = spikes[t, begin:end]
            for i in range(len(row)):
                w, x, y, z = a[i], b[i], c[i], d[i]
                number = np.uint32(w + z)
                number = np.uint32(np.uint32((number << np.uint32(7)) | (number >> np.uint32(25))) + w)
                shifted = np.uint32(x << np.uint32(9))
                y ^= w
                z ^= x
                x ^= y
                w ^= z
                y ^= shifted
                z = np.uint32((z << np.uint32(11)) | (z >> np.uint32(21)))
                a[i], b[i], c[i], d[i] = w, x, y, z
                row[i] = np.float32(1) if (number >> np.uint32(1)) < limit[i] else np.float32(0)
