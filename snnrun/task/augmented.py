"""Random changes to the training samples of a task whose input is a sequence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch

from snnrun.augmentation import SequenceAugmentation, augment_sequences
from snnrun.task.base import Batch, Data, Part

_SEEDS = 2**63 - 1


class AugmentedPart:
    """A part whose shuffled passes are changed at random; a pass in its fixed order is not.

    The draws have a random stream of their own, so the order of the samples, and samples that are generated, are the
    same as without augmentation.

    Args:
        part: the samples.
        augmentation: random changes, in this order.
        seed: of the stream of their draws.
    """

    def __init__(self, part: Part, augmentation: Mapping[str, SequenceAugmentation], seed: int) -> None:
        self.part = part
        self.augmentation = augmentation
        self._seed = seed
        self._own = torch.Generator().manual_seed(seed)

    @property
    def stream(self) -> torch.Generator | None:
        """The generator whose state, at the begin of an epoch, sets all draws of the epoch."""
        return self._own if self.part.stream is None else self.part.stream

    def __len__(self) -> int:
        return len(self.part)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass; see :class:`snnrun.task.Part`."""
        if generator is None:
            yield from self.part.batches(batch_size)
            return
        draws = self._draws()
        for batch in self.part.batches(batch_size, generator):
            yield batch._replace(x=augment_sequences(batch.x, batch.lengths, self.augmentation.values(), draws))

    def _draws(self) -> torch.Generator:
        """The stream of a pass: for a generated part a new one, by the state of the part's stream."""
        if self.part.stream is None:
            return self._own
        digest = hashlib.sha256(self._seed.to_bytes(8, "little") + self.part.stream.get_state().numpy().tobytes())
        return torch.Generator().manual_seed(int.from_bytes(digest.digest()[:8], "little") % _SEEDS)


def augmented(data: Data, augmentation: Mapping[str, SequenceAugmentation], generator: torch.Generator) -> Data:
    """The data with random changes to the training samples, seeded by ``generator``; unused without changes."""
    if not augmentation:
        return data
    seed = int(torch.randint(0, _SEEDS, (), generator=generator))
    return data._replace(train=AugmentedPart(data.train, augmentation, seed))
