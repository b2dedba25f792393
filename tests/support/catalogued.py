"""The catalogue for the tests: every option of ``conf/`` with its config and its part, found and not listed."""

from __future__ import annotations

import copy
import functools
import re
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from snnrun.config.build import build
from snnrun.config.catalogue import Catalogue
from snnrun.neuron import Neuron
from support.small import config_for

CATALOGUE = Catalogue()
#: Groups that hold values for other parts, and no part of their own.
NO_PARTS = ("convention", "experiment")
#: Options of a neuron that make something a parameter.
LEARNT = re.compile("learn|per_neuron")
EVERY = [(group, option) for group, options in CATALOGUE.groups.items() for option in options]


def options(group: str) -> list[str]:
    return list(CATALOGUE.groups[group])


#: Neurons with matrix products between the steps or within one, or that count their steps; and all others.
STEP_BY_STEP = {"glif", "masked_psn", "psn", "sconv2dlstm", "sliding_psn", "slstm"}
FUSED = sorted({*options("neuron"), *options("readout")} - STEP_BY_STEP - {"null"})


def each_option(*groups: str) -> list[Any]:
    """Every ``(group, option)`` of these groups, as parameters of a test; of all groups that hold parts if none is."""
    members = groups or tuple(group for group in CATALOGUE.groups if group not in NO_PARTS)
    return [pytest.param(group, option, id=f"{group}={option}") for group, option in EVERY if group in members]


@functools.cache
def text(group: str, option: str) -> str:
    return CATALOGUE.groups[group][option].read_text(encoding="utf-8")


def package(group: str, option: str) -> str:
    """The dotted key at which the option's own part stands in a composed config."""
    header = re.match(r"# @package (\S+)", text(group, option))
    return header[1] if header and header[1] != "_global_" else group


@functools.cache
def _load(group: str, option: str) -> Any:
    content = yaml.safe_dump(CATALOGUE.content(CATALOGUE.groups[group][option]))
    config: Any = OmegaConf.to_container(OmegaConf.create(content))  # whose 1e-3 is a number, as Hydra's
    config.pop("defaults", None)
    if group == "optimizer":  # the run's, not its class's
        del config["groups"]
    return config if "_target_" in config or group not in config else config[group]


def raw(group: str, option: str) -> dict[str, Any]:
    """The option's own part as its file says it, with what it takes in, references and all."""
    return copy.deepcopy(_load(group, option))


def resolve(value: Any, config: dict[str, Any]) -> Any:
    """The same with its references followed in ``config``."""
    if isinstance(value, dict):
        return {key: resolve(inner, config) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, config) for inner in value]
    reference = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
    return copy.deepcopy(at(config, reference[1])) if reference else value


def at(config: Any, path: str) -> Any:
    """What stands at a dotted key."""
    return functools.reduce(lambda node, key: node[key], path.split("."), config)


def config_of(group: str, option: str, base: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The config of one part, with references into ``base`` (the default config), and those changes it has keys for."""
    config = resolve(raw(group, option), config_for() if base is None else base)
    return config | {key: value for key, value in changes.items() if key in config}


def part(group: str, option: str, **changes: Any) -> Any:
    """The part itself."""
    return build(config_of(group, option, **changes), group)


def neurons(group: str, option: str, shape: tuple[int, ...] = (3,), *, learn: bool = True, **changes: Any) -> Neuron:
    """The neurons of one layer, for 8 steps; with everything learnt, and per neuron, that can be."""
    base = config_for() | {"num_steps": 8, "convention": raw("convention", changes.pop("convention", "default"))}
    base["surrogate"] = raw("surrogate", changes.pop("surrogate", "atan"))
    flags = [key for key, value in raw(group, option).items() if isinstance(value, bool) and LEARNT.match(key)]
    if "learn_beta" in flags and "learn_tau" in flags:
        flags.remove("learn_tau")  # one of the two
    changes = dict.fromkeys(flags, learn) | changes
    layer: Neuron = build(config_of(group, option, base, **changes), group)(shape=shape)
    return layer


def assemble(**choices: str) -> dict[str, Any]:
    """A task's config with other options put in by hand, which takes less time than composing it."""
    config = config_for(f"task={choices.pop('task', 'digits')}")
    choices = {"neuron": CATALOGUE.defaults["neuron"] or "", **choices}
    # A neuron refers to its surrogate and convention, so these come first; what stands in another part, such as a
    # regulariser in the loss, comes last.
    order = ["surrogate", "convention", *CATALOGUE.groups]
    within = {group: "." in package(group, option) for group, option in choices.items()}
    for group in sorted(choices, key=lambda group: (within[group], order.index(group))):
        parent, _, key = package(group, choices[group]).rpartition(".")
        if group == "tracker":  # there is none by default, and nothing that they stand in
            config.setdefault(parent, {})
        (at(config, parent) if parent else config)[key] = config_of(group, choices[group], config)
    return config
