"""SpikingJelly's convolutional example with an eighth of its channels: the whole takes days on a processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.published.spikingjelly_csnn import Published as Whole


class Published(Whole):
    overrides = ("model.layers=[16c3p1,mp2,16c3p1,mp2,fc256]",)
    figures: ClassVar[Mapping[str, float]] = {}
    settings: ClassVar[Mapping[str, Any]] = {**Whole.settings, "channels": 16}
