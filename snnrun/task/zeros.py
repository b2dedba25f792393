"""The zero-target task: random 0/1 input, and silence as the target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from snnrun import check
from snnrun.system.device import upload
from snnrun.task.base import Batch, Data, Task

# Held-out input has the same distribution as the training input, so two batches are enough for the loss.
_EVALUATION_STEPS = 2


class RandomBits:
    """Samples ``[T, size]`` of independent, equally likely 0 and 1, drawn on request; no target.

    A pass has ``num_samples`` samples. They come from a random stream of this part, one after the other, so that a
    sample does not depend on the batch size. Independent samples have no order to shuffle: ``batches`` ignores its
    generator.

    Args:
        fresh: True: each pass goes on drawing from ``stream``. False: each pass restarts from ``seed``, so that all
            passes have the same samples.

    Attributes:
        stream: the random stream of the fresh passes. ``stream.get_state()`` and ``set_state`` save and restore it; it
            advances batch by batch.
    """

    def __init__(
        self, num_samples: int, num_steps: int, size: int, *, seed: int, fresh: bool, device: torch.device
    ) -> None:
        self.num_samples = num_samples
        self.num_steps = num_steps
        self.size = size
        self.seed = seed
        self.fresh = fresh
        self.device = device
        self.stream = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.num_samples

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass; ``x [T, B, size]``."""
        stream = self.stream if self.fresh else torch.Generator().manual_seed(self.seed)
        for start in range(0, self.num_samples, batch_size):
            num = min(batch_size, self.num_samples - start)
            # Drawn on the CPU, sample by sample: the same numbers on every device and for every batch size.
            bits = torch.randint(0, 2, (num, self.num_steps, self.size), generator=stream, dtype=torch.uint8)
            yield Batch(upload(bits, self.device).transpose(0, 1).contiguous().float(), None)


class Zeros(Task):
    """Random 0/1 input ``[T, B, size_input]``, target silence: the only measure is the loss, there is no accuracy.

    Args:
        size_input: number of inputs. Default 300.
        size_output: size of the output layer. Default 500.
        steps_per_epoch: training batches in an epoch; validation and test have at most 2. Default 10.
        batch_size: samples in a batch: the run's own ``batch_size``. Generated data has no size, so an epoch has
            ``steps_per_epoch * batch_size`` samples. Default 1.

    Raises:
        ValueError: an argument below 1.
    """

    has_time = True
    has_accuracy = False

    def __init__(
        self, *, size_input: int = 300, size_output: int = 500, steps_per_epoch: int = 10, batch_size: int = 1
    ) -> None:
        self.input_shape = (check.integer("size_input", size_input, low=1),)
        self.num_outputs = check.integer("size_output", size_output, low=1)
        self.steps_per_epoch = check.integer("steps_per_epoch", steps_per_epoch, low=1)
        self.batch_size = check.integer("batch_size", batch_size, low=1)

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: torch.Generator) -> Data:
        """Three parts with a random stream each, seeded by ``generator``; reads nothing."""
        train, validation, test = torch.randint(0, 2**63 - 1, (3,), generator=generator).tolist()

        def part(num_steps_of_pass: int, seed: int, fresh: bool) -> RandomBits:
            num_samples = num_steps_of_pass * self.batch_size
            return RandomBits(num_samples, num_steps, self.input_shape[0], seed=seed, fresh=fresh, device=device)

        held_out = min(_EVALUATION_STEPS, self.steps_per_epoch)
        return Data(
            train=part(self.steps_per_epoch, train, fresh=True),
            validation=part(held_out, validation, fresh=False),
            test=part(held_out, test, fresh=False),
            hashes={},
        )
