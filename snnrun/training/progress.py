"""The state of training between two steps, beside weights, optimizer and random streams."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from snnrun.task import Part
from snnrun.training.metrics import Activity, Totals
from snnrun.training.records import LayerGradient
from snnrun.training.streams import Streams


@dataclass
class Progress:
    """Counters and sums of ``fit``. Before the first step it is ``Progress()``.

    Attributes:
        epoch: the epoch under way, from 1 on; after training one more than the last.
        batch: batches of it that are done.
        step: training steps since the start of the run.
        best_loss, best_epoch: the lowest validation loss, and its epoch.
        seconds: of training so far, earlier processes included.
        lost: number of neurons with values that are not finite, by parameter; None before any.
        gradients: of each layer, for the last batch of the epoch under way, or None.
        totals, activity: sums over the epoch under way.
        order, data: the random streams of the order and of generated data, as the epoch under way began. A resumed
            epoch is drawn again from its begin, and the batches that are done are skipped.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    lost: dict[str, int] | None = None
    gradients: dict[str, LayerGradient] | None = None
    totals: Totals = field(default_factory=Totals)
    activity: Activity = field(default_factory=Activity)
    order: Tensor | None = None
    data: Tensor | None = None

    def begin_epoch(self, streams: Streams, part: Part) -> None:
        """Note the state of the streams, or put them back to their state as the epoch under way began."""
        stream = part.stream
        if self.order is None:
            self.order = streams.order.get_state()
            self.data = None if stream is None else stream.get_state()
            return
        streams.order.set_state(self.order)
        if stream is not None and self.data is not None:
            stream.set_state(self.data)

    def end_epoch(self, streams: Streams, part: Part) -> None:
        """Start the next epoch."""
        self.epoch, self.batch, self.gradients = self.epoch + 1, 0, None
        self.totals, self.activity = Totals(), Activity(self.activity.skip)
        self.order = self.data = None
        self.begin_epoch(streams, part)

    def state(self) -> dict[str, Any]:
        """The attributes as numbers, text, tensors, and lists and mappings of them."""
        values = {name: getattr(self, name) for name in _KINDS}
        if self.gradients is not None:
            values["gradients"] = {layer: asdict(gradient) for layer, gradient in self.gradients.items()}
        return {**values, "totals": self.totals.state(), "activity": self.activity.state()}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Progress:
        """The inverse of ``state``.

        Raises:
            KeyError, TypeError, ValueError: if ``state`` is of something else.
        """
        fields = {name: state[name] for name in _KINDS if name in state or name not in _NEW_FIELDS}
        for name, value in fields.items():
            kinds = _KINDS[name]
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise TypeError(f"progress: {name} is a {type(value).__name__}")
            if isinstance(value, int) and value < 0:
                raise ValueError(f"progress: {name} is {value}")
        if fields.get("gradients") is not None:
            fields["gradients"] = {layer: LayerGradient(**values) for layer, values in fields["gradients"].items()}
        return cls(**fields, totals=Totals.of(state["totals"]), activity=Activity.of(state["activity"]))


_NONE = type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    "epoch": (int,),
    "batch": (int,),
    "step": (int,),
    "best_loss": (float, int),
    "best_epoch": (int,),
    "seconds": (float, int),
    "lost": (dict, _NONE),
    "gradients": (dict, _NONE),
    "order": (Tensor, _NONE),
    "data": (Tensor, _NONE),
}
#: Fields that states of earlier versions lack.
_NEW_FIELDS = ("gradients",)
