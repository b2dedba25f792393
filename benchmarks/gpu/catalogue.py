"""The neurons of ``conf/neuron`` that have a fused execution, as a run with their default config has them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import yaml
from omegaconf import OmegaConf

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
        base = plain(hydra.compose([]))
    for name, path in sorted(catalogue.groups["neuron"].items()):
        # Composing each would take half a minute; a neuron's file with what it takes in refers to keys of the default.
        own = OmegaConf.create(yaml.safe_dump(catalogue.content(path)))
        config: Any = OmegaConf.to_container(OmegaConf.create({**base, "neuron": own}), resolve=True)
        config["neuron"].pop("defaults", None)
        factory = build(config["neuron"], "neuron")
        if resolve_backend(factory(shape=(2,)), "auto") == "fused":
            found[name] = functools.partial(_layer, factory)
    return found


def _layer(factory: Callable[..., Neuron], size: int) -> Neuron:
    return factory(shape=(size,))
