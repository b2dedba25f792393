"""One sample of a part, found as its batches go by, so that no pass over the data is needed for it."""

from __future__ import annotations

from snnrun.task import Batch


class SampleSearch:
    """Looks for the sample ``index`` among the batches of a part, which come in their order.

    Args:
        index: from 0 on.

    Attributes:
        found: the sample as a batch of one; None until its batch has come.
        seen: samples that have come.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.seen = 0
        self.found: Batch | None = None

    def add(self, batch: Batch) -> None:
        """The next batch."""
        at, size = self.index - self.seen, batch.x.shape[1]
        if 0 <= at < size:
            # Copies, so that the whole batch need not stay in memory.
            target = None if batch.target is None else batch.target[at : at + 1].clone()
            self.found = Batch(batch.x[:, at : at + 1].clone(), target)
        self.seen += size
