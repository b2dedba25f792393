"""The exponential moving average of the weights, which is evaluated in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from snnrun import check


class WeightAverage:
    """A moving average of the parameters of a model.

    ::

        ā[1] = w[1]                           after the first step
        ā[n] = d ā[n-1] + (1 - d) w[n]        after every further one

    The average spans about the last 1 / (1 - d) steps. Buffers, such as the running means of a norm, are the model's.
    torch's ``AveragedModel`` computes the same, but copies the whole model and reads a counter from the device at each
    step.

    Args:
        model: whose parameters are averaged.
        decay: d, above 0 and below 1.

    Raises:
        ValueError: for a decay out of range.

    Source: Polyak and Juditsky 1992; torch's ``AveragedModel``.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters = dict(model.named_parameters())
        self._update = get_ema_multi_avg_fn(check.number("decay", decay, above=0, below=1))
        self._values: dict[str, Tensor] = {}  # empty before the first step

    @torch.no_grad()
    def update(self) -> None:
        """Add the weights after a step of the optimizer."""
        if not self._values:
            self._values = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        elif self._parameters:
            self._update(list(self._values.values()), list(self._parameters.values()), 0)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context the model has the average, and afterwards its own weights again."""
        own = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self.apply()
        try:
            yield
        finally:
            self._set(own)

    def apply(self) -> None:
        """Give the model the average for good; before the first step its own weights stay."""
        self._set(self._values)

    @torch.no_grad()
    def _set(self, values: Mapping[str, Tensor]) -> None:
        # In place, since an optimizer or a recorded graph holds the parameters.
        for name, value in values.items():
            self._parameters[name].copy_(value)

    def state(self) -> dict[str, Tensor]:
        """The average by the names of the parameters, to be saved."""
        return dict(self._values)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put the average back to ``state``.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: if ``state`` is of something else.
        """
        if state and state.keys() != self._parameters.keys():
            raise ValueError("the average is not of this model's weights")
        values = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        for name, value in state.items():
            values[name].copy_(value)
        self._values = values if state else {}
