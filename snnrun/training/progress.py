"""Where a training run stands between two steps: all that training needs, beside weights and optimizer, to go on."""

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
    """What ``fit`` keeps from step to step. Before the first step it is ``Progress()``.

    Attributes:
        epoch: the epoch under way, from 1 on; one more than there are when training is over.
        batch: batches of it that are done.
        step: training steps since the start of the run.
        best_loss, best_epoch: the lowest validation loss, and its epoch.
        seconds: spent so far, before this process took over.
        lost: parameters with neurons that training has broken, and how many; None before any.
        gradients: of each layer, of the last batch of the epoch under way, or None.
        totals, activity: sums over the epoch under way.
        order, data: the random streams of the order and of the generated data, as the epoch under way began. A resumed
            epoch is drawn again from its begin, and the batches that are done are passed over.
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
        """Note where the streams stand, or put them back to where they stood as the epoch under way began."""
        own = part.stream
        if self.order is None:
            self.order = streams.order.get_state()
            self.data = None if own is None else own.get_state()
            return
        streams.order.set_state(self.order)
        if own is not None and self.data is not None:
            own.set_state(self.data)

    def end_epoch(self, streams: Streams, part: Part) -> None:
        """The epoch under way is done."""
        self.epoch, self.batch, self.gradients = self.epoch + 1, 0, None
        self.totals, self.activity = Totals(), Activity(self.activity.skip)
        self.order = self.data = None
        self.begin_epoch(streams, part)

    def state(self) -> dict[str, Any]:
        """All of it, as numbers, text, tensors, and lists and mappings of them."""
        values = {name: getattr(self, name) for name in _PLAIN}
        if self.gradients is not None:
            values["gradients"] = {layer: asdict(gradient) for layer, gradient in self.gradients.items()}
        return {**values, "totals": self.totals.state(), "activity": self.activity.state()}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Progress:
        """The progress of which ``state`` was taken.

        Raises:
            KeyError, TypeError, ValueError: if it was taken of none.
        """
        plain = {name: state[name] for name in _PLAIN if name in state or name not in _LATER}
        for name, value in plain.items():
            kinds = _PLAIN[name]
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise TypeError(f"progress: {name} is a {type(value).__name__}")
            if isinstance(value, int) and value < 0:
                raise ValueError(f"progress: {name} is {value}")
        if plain.get("gradients") is not None:
            plain["gradients"] = {layer: LayerGradient(**values) for layer, values in plain["gradients"].items()}
        return cls(**plain, totals=Totals.of(state["totals"]), activity=Activity.of(state["activity"]))


_NONE = type(None)
_PLAIN: dict[str, tuple[type, ...]] = {
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
#: What states of earlier versions lack.
_LATER = ("gradients",)
