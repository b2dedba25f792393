"""Data that is made as it is asked for, of random numbers that belong to a sample, whatever batch it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from snnrun.task.base import Batch, Data

#: Makes a batch of uniform draws ``[B, K]`` from [0, 1), a row for each sample.
Make = Callable[[Tensor], Batch]


class GeneratedPart:
    """Samples that a function makes of ``num_draws`` random numbers each; every batch is made when it is asked for.

    The numbers come from a random stream of this part alone, sample by sample and on the CPU, so that they depend on
    neither batch size nor device. Being independent, samples have no order to shuffle: the generator that ``batches``
    accepts is not used.

    Args:
        num_samples: length of a pass.
        num_draws: K, numbers in [0, 1) for each sample.
        make: a batch of ``[B, K]``.
        seed: of the stream.
        fresh: True: each pass goes on drawing, so that no sample is seen twice. False: each pass starts anew from
            ``seed``, so that all passes hold the same samples.
        device: on which ``make`` works.

    Attributes:
        stream: the random stream of the fresh passes. ``stream.get_state()`` and ``set_state`` save and restore it;
            it is advanced batch by batch, as batches are handed out.
    """

    def __init__(
        self, num_samples: int, num_draws: int, make: Make, *, seed: int, fresh: bool, device: torch.device
    ) -> None:
        self.num_samples = num_samples
        self.num_draws = num_draws
        self.make = make
        self.seed = seed
        self.fresh = fresh
        self.device = device
        self.stream = Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.num_samples

    def batches(self, batch_size: int, generator: Generator | None = None) -> Iterator[Batch]:
        """One pass; see :class:`snnrun.task.Part`."""
        stream = self.stream if self.fresh else Generator().manual_seed(self.seed)
        for start in range(0, self.num_samples, batch_size):
            num = min(batch_size, self.num_samples - start)
            draws = torch.rand((num, self.num_draws), generator=stream)  # on the CPU: the same on every device
            yield self.make(draws.to(self.device))


def generated(
    sizes: tuple[int, int, int], num_draws: int, make: Make, device: torch.device, generator: Generator
) -> Data:
    """Training, validation and test part of ``sizes`` samples, each with a stream that ``generator`` seeds.

    Training samples are fresh in every pass; those of the other parts stay the same.
    """
    seeds = torch.randint(0, 2**63 - 1, (3,), generator=generator).tolist()
    train, validation, test = (
        GeneratedPart(size, num_draws, make, seed=seed, fresh=i == 0, device=device)
        for i, (size, seed) in enumerate(zip(sizes, seeds, strict=True))
    )
    return Data(train, validation, test, hashes={})
