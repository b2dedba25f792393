"""What the neurons of each layer have learned: mean, spread and histogram of every parameter of theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from snnrun.model import neurons

BINS = 20


def neuron_parameters(model: nn.Module) -> dict[str, dict[str, dict[str, Any]]]:
    """Per layer and learnable parameter of its neurons: ``mean``, ``sd``, ``min``, ``max`` and ``histogram``.

    Values are those of the option (β, not its logit; see :meth:`snnrun.neuron.Neuron.learnable_values`). ``sd`` is the
    standard deviation over the values of the layer, 0 where there is one. ``histogram``: how many values lie in each of
    20 equal bins from ``min`` to ``max``; left out where all are equal. Layers that learn none are left out.
    """
    values = {name: neuron.learnable_values() for name, neuron in neurons(model).items()}
    return {name: {key: _summary(value) for key, value in found.items()} for name, found in values.items() if found}


def _summary(value: Tensor) -> dict[str, Any]:
    numbers = value.detach().double().flatten().cpu().numpy()
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return dict.fromkeys(("mean", "sd", "min", "max"), float("nan"))
    low, high = float(numbers.min()), float(numbers.max())
    summary: dict[str, Any] = {"mean": float(numbers.mean()), "sd": float(numbers.std()), "min": low, "max": high}
    # Bins narrower than the numbers' own grain have no edges that differ.
    if high - low > 1e-9 * max(abs(low), abs(high)):
        summary["histogram"] = np.histogram(numbers, BINS, (low, high))[0].tolist()
    return summary
