"""The other half of snnTorch's tutorial on population codes: the same network with one output neuron for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.published.snntorch_population import Published as WithCode


class Published(WithCode):
    overrides = ("loss.population=1",)
    population = 1
    figures: ClassVar[Mapping[str, float]] = {"": 0.61889, "epochs=1": 0.59421}
    settings: ClassVar[Mapping[str, Any]] = {**WithCode.settings, "population": population}
