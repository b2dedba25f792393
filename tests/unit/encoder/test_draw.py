"""Random spikes: exact where they must be, as likely as asked for, independent, and repeatable."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Generator, Tensor

from snnrun.encoder.draw import bernoulli

WORD, LONG = 2**32 - 1, 2**64 - 1


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def rotated(x: int, by: int) -> int:
    return ((x << by) | (x >> (32 - by))) & WORD


def xoshiro(state: list[int], count: int) -> list[int]:
    """xoshiro128++, from its authors' description."""
    numbers = []
    for _ in range(count):
        numbers.append((rotated((state[0] + state[3]) & WORD, 7) + state[0]) & WORD)
        shifted = (state[1] << 9) & WORD
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= shifted
        state[3] = rotated(state[3], 11)
    return numbers


def splitmix(key: int, place: int) -> int:
    x = (key + place * 0x9E3779B97F4A7C15) & LONG
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & LONG
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & LONG
    return x ^ (x >> 31)


def test_the_reference_gives_the_published_numbers() -> None:
    assert xoshiro([1, 2, 3, 4], 5) == [641, 1573767, 3222811527, 3517856514, 836907274]
    assert splitmix(1234567, 1) == 6457827717110365317


@pytest.mark.parametrize("probability", [0.3, 1 / 255, 254 / 255, 2.0**-20])
def test_every_neuron_has_its_own_stream(probability: float) -> None:
    p = torch.full((1, 3, 400), probability)
    spikes = bernoulli(p, 30, generator(5)).view(30, -1)
    key = int(torch.empty((), dtype=torch.int64).random_(generator=generator(5)).item())
    limit = math.floor(p[0, 0, 0].item() * 2**31 + 0.5)
    for neuron in (0, 1, 511, 512, 1199):
        seeds = [splitmix(key, 2 * neuron + 1), splitmix(key, 2 * neuron + 2)]
        numbers = xoshiro([half for seed in seeds for half in (seed & WORD, seed >> 32)], 30)
        assert spikes[:, neuron].tolist() == [float(number >> 1 < limit) for number in numbers]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("sequence", [False, True])
def test_never_and_always(dtype: torch.dtype, sequence: bool) -> None:
    p = torch.tensor([0.0, 1.0, -0.0, float("nan")], dtype=dtype).repeat(600)
    p = p.expand(50 if sequence else 1, 1, -1)
    spikes = bernoulli(p, 50, generator())
    assert spikes.dtype == dtype
    assert torch.equal(spikes, torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=dtype).repeat(600).expand(50, 1, -1))


@pytest.mark.parametrize("tiny", [2.0**-149, 2.0**-126, 2.0**-33])
def test_the_tiniest_probabilities(tiny: float) -> None:
    assert not bernoulli(torch.full((1, 1, 5000), tiny), 200, generator()).any()
    almost = bernoulli(torch.full((1, 1, 5000), 1 - 2.0**-24), 200, generator())
    assert almost.mean() > 1 - 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sequence", [False, True])
def test_every_level_of_eight_bits_is_as_likely_as_it_says(sequence: bool, dtype: torch.dtype) -> None:
    copies, steps = 400, 200
    p = (torch.arange(256, dtype=dtype) / 255).repeat_interleave(copies).view(1, 1, -1)
    spikes = bernoulli(p.expand(steps if sequence else 1, -1, -1), steps, generator(1))
    fired = spikes.double().sum((0, 1)).view(256, copies).sum(1)
    number, share = copies * steps, torch.arange(256, dtype=torch.float64) / 255
    assert fired[0] == 0 and fired[255] == number
    z = ((fired - number * share) / (number * share * (1 - share)).sqrt())[1:-1]
    assert z.abs().max() < 4.5
    assert abs((z**2).sum() - 254) < 4.5 * math.sqrt(2 * 254), "neither too far from the mean nor too near"
    # The spread over neurons is that of independent draws, too.
    counts = spikes.double().sum((0, 1)).view(256, copies)
    ratio = (counts.var(1) / (steps * share * (1 - share)))[1:-1]
    assert abs(ratio.mean() - 1) < 4.5 * math.sqrt(2 / (copies - 1) / 254)


def test_steps_neurons_and_calls_are_independent() -> None:
    source, p = generator(3), torch.full((1, 1, 4000), 0.5)
    first, second = (bernoulli(p, 100, source)[:, 0] * 2 - 1 for _ in range(2))

    def correlation(a: Tensor, b: Tensor) -> float:
        return ((a * b).mean() * math.sqrt(a.numel())).item()

    assert abs(correlation(first, second)) < 4.5
    for lag in (1, 2, 3, 4, 32):
        assert abs(correlation(first[lag:], first[:-lag])) < 4.5
        assert abs(correlation(first[:, lag:], first[:, :-lag])) < 4.5
    for lag in (1, 2):  # what linear generators are weak at: the parity of several draws
        assert abs(correlation(first[lag:-1] * first[: -lag - 1], first[lag + 1 :] * first[1:-lag])) < 4.5
    patterns = (first[:8] > 0).long().mul(2 ** torch.arange(8)[:, None]).sum(0)
    counts = torch.bincount(patterns, minlength=256).double()
    assert abs(((counts - 4000 / 256) ** 2 / (4000 / 256)).sum() - 255) < 4.5 * math.sqrt(2 * 255)


def test_the_generator_is_all_that_decides() -> None:
    p, source = torch.rand(1, 2, 700, generator=generator(9)), generator(4)
    state = source.get_state()
    first, second = bernoulli(p, 6, source), bernoulli(p, 6, source)
    assert not torch.equal(first, second), "its state moves on"
    source.set_state(state)
    assert torch.equal(bernoulli(p, 6, source), first) and torch.equal(bernoulli(p, 6, source), second)
    assert not torch.equal(bernoulli(p, 6, generator(5)), first)
    torch.manual_seed(8)
    expected = bernoulli(p, 6, None)
    torch.manual_seed(8)
    assert torch.equal(bernoulli(p, 6, None), expected), "without one, torch's own"


def test_threads_change_no_spike() -> None:
    p, before = torch.rand(1, 3, 5000, generator=generator()), torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            made.append(bernoulli(p, 12, generator(7)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in itertools.pairwise(made))


def test_neighbours_change_no_spike_and_strides_do_not_matter() -> None:
    p = torch.rand(1, 900, 3, generator=generator())
    whole = bernoulli(p, 9, generator(7))
    assert torch.equal(bernoulli(p[:, :100], 9, generator(7)), whole[:, :100])
    assert torch.equal(bernoulli(p.transpose(1, 2).contiguous().transpose(1, 2), 9, generator(7)), whole)
    assert torch.equal(bernoulli(p.expand(9, -1, -1), 9, generator(7)), whole)


def test_nothing_to_draw() -> None:
    assert bernoulli(torch.zeros(1, 0, 5), 3, generator()).shape == (3, 0, 5)
