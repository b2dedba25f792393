"""Data generated on request, from random numbers of each sample that do not depend on its batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from snnrun.system.device import upload
from snnrun.task.base import Batch, Data

#: Makes a batch from uniform draws ``[B, K]`` in [0, 1), a row for each sample.
Make = Callable[[Tensor], Batch]


class GeneratedPart:
    """Samples that a function makes from ``num_draws`` random numbers each; every batch is made on request.

    The numbers come from a random stream of this part, sample by sample and on the CPU, so that they depend on neither
    batch size nor device. Independent samples have no order to shuffle: ``batches`` ignores its generator.

    Args:
        num_samples: length of a pass.
        num_draws: K, numbers in [0, 1) for each sample.
        make: makes a batch from ``[B, K]``.
        seed: of the stream.
        fresh: True: each pass goes on drawing, so that no sample occurs twice. False: each pass restarts from ``seed``,
            so that all passes have the same samples.
        device: on which ``make`` works.

    Attributes:
        stream: the random stream of the fresh passes. ``stream.get_state()`` and ``set_state`` save and restore it; it
            advances batch by batch.
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
            yield self.make(upload(draws, self.device))


def generate(
    sizes: tuple[int, int, int], num_draws: int, make: Make, device: torch.device, generator: Generator
) -> Data:
    """Training, validation and test set of ``sizes`` samples, each with a stream seeded by ``generator``.

    Training samples are fresh in every pass; the other parts stay the same.
    """
    seeds = torch.randint(0, 2**63 - 1, (3,), generator=generator).tolist()
    train, validation, test = (
        GeneratedPart(size, num_draws, make, seed=seed, fresh=i == 0, device=device)
        for i, (size, seed) in enumerate(zip(sizes, seeds, strict=True))
    )
    return Data(train, validation, test, hashes={})
