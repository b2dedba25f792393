"""The neurons of ``conf/neuron`` that have a fused execution, as a run with their default config has them."""

from __future__ import annotations

import functools
from collections.abc import Callable

from snnrun.config.build import build
from snnrun.config.catalogue import Catalogue
from snnrun.job.compose import composer, plain
from snnrun.neuron import Neuron
from snnrun.sequence import resolve_backend


@functools.cache
def fused_neurons() -> dict[str, Callable[[int], Neuron]]:
    """By name, functions from the number of neurons of a layer to the neurons."""
    catalogue, found = Catalogue(), dict[str, Callable[[int], Neuron]]()
    with composer(catalogue) as hydra:
        for name in sorted(catalogue.groups["neuron"]):
            config = plain(hydra.compose([f"neuron={name}"]))
            factory = build(config["neuron"], "neuron")
            if resolve_backend(factory(shape=(2,)), "auto") == "fused":
                found[name] = functools.partial(_layer, factory)
    return found


def _layer(factory: Callable[..., Neuron], size: int) -> Neuron:
    return factory(shape=(size,))
