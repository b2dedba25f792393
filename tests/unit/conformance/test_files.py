"""Every file in ``conf/``: with what it takes in it composes, and is its callable with all options and their defaults.

The files are found, not listed: a new part is tested as soon as its YAML is there.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from snnrun.augmentation import Augmentation, SequenceAugmentation
from snnrun.config.build import build, locate
from snnrun.config.catalogue import RUN_ARGUMENTS, conf_folder
from snnrun.config.settings import Settings
from snnrun.encoder import Encoder
from snnrun.errors import ArgumentError
from snnrun.job.parts import Trial
from snnrun.loss import Loss, Regulariser
from snnrun.neuron import IF, Neuron
from snnrun.surrogate import Surrogate
from snnrun.task import Task
from snnrun.tracker.base import missing
from support.catalogued import (
    CATALOGUE,
    EVERY,
    NO_PARTS,
    assemble,
    at,
    config_of,
    each_option,
    options,
    package,
    part,
    raw,
    resolve,
    text,
)
from support.small import config_for

#: Where the callables of a group are, if not in the package of its name.
HOMES = {
    "optimizer": "torch.optim",
    "readout": "snnrun.neuron",
    "input": "snnrun.neuron.input",
    "regulariser": "snnrun.loss",
}
#: What a part has parts of other groups in, and what is not for the class itself.
HOLDERS = ("regularisers", "augmentation", "delay", "groups")
POINTS = ("fires_at", "reset", "reset_timing", "detach_reset")
#: What a training composes; other groups are for other commands, and set-ups, which change much, have their own tests.
GROUPS = [group for group in CATALOGUE.defaults if group in CATALOGUE.groups and group != "experiment"]
#: Compositions in which every option of every group has its turn: option i of each group in row i.
ROWS = [
    tuple(f"{group}={options(group)[row % len(options(group))]}" for group in GROUPS)
    for row in range(max(len(options(group)) for group in GROUPS))
]
#: What a run hands to a part, or a file refers to, for a trial call.
ARGUMENTS: dict[str, Any] = {"shape": (4,), "num_steps": 5, "function": torch.ones_like}


def target_of(group: str, option: str) -> Callable[..., Any]:
    return locate(raw(group, option)["_target_"], group)


def arguments(group: str, option: str) -> dict[str, Any]:
    return {key: value for key, value in raw(group, option).items() if not key.startswith("_")}


def signature(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """All options of a callable, with those that it takes as ``**options`` and hands to its base classes."""
    options: dict[str, inspect.Parameter] = {}
    own = set(inspect.signature(target).parameters)
    for each in target.__mro__ if isinstance(target, type) else (target,):
        parameters = inspect.signature(each).parameters.values()
        for p in parameters:
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                options.setdefault(p.name, p)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return {name: p for name, p in options.items() if name in own or takes(target, options, name)}


def takes(target: Callable[..., Any], options: dict[str, inspect.Parameter], name: str) -> bool:
    """Whether an option of a base class is left open: not if the class sets it, or what excludes it, itself."""
    if name in ARGUMENTS or name == "surrogate":
        return True
    default = options[name].default
    try:
        target(**needs(options) | {name: 0.5 if default is None else default})
    except TypeError as error:
        assert f"multiple values for keyword argument '{name}'" in str(error)
        return False
    except ArgumentError as error:
        if error.name == name and not error.others:
            return True  # its value is checked, so it is an option
        assert f"{name}, " in str(error) and "expected one of them" in str(error)
        return False
    return True


def needs(options: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    return {key: ARGUMENTS[key] for key in options if key in ARGUMENTS}


def test_the_files_are_found() -> None:
    assert set(CATALOGUE.groups) >= set(CATALOGUE.defaults) - {"experiment"}
    assert len(EVERY) > 100
    assert not CATALOGUE.hidden_files()


def test_every_file_is_plain_yaml_and_an_option_or_a_piece_of_one() -> None:
    files = {path for names in CATALOGUE.groups.values() for path in names.values()}
    for path in conf_folder().glob("*/**/*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path
        if path not in files and path.relative_to(conf_folder()).parts[0] != "hydra":
            group, option, piece = path.relative_to(conf_folder()).with_suffix("").parts
            assert option in options(group)
            assert group == "task", "config.yaml looks for pieces of tasks only"
            assert piece in options("model")


def test_what_files_take_in_is_no_option() -> None:
    fragments = {path.stem for path in conf_folder().rglob("_*.yaml")}
    assert {"_firing", "_resetting", "_recurrent", "_sample_loss", "_groups"} <= fragments
    assert not fragments & {option for _, option in EVERY}
    assert not fragments & set(CATALOGUE.groups)
    # Hydra's completion offers every file in the folder of a group.
    assert not list(conf_folder().glob("*/**/_*.yaml"))


@pytest.mark.parametrize(("group", "option"), each_option(*CATALOGUE.groups))
def test_a_file_repeats_nothing_that_it_takes_in(group: str, option: str) -> None:
    path = CATALOGUE.groups[group][option]
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = [entry for entry in own.pop("defaults", []) if isinstance(entry, str)]
    for name in names:
        fragment = CATALOGUE.content(path.parent / f"{name}.yaml" if "/" not in name else named_at_the_top(name))
        assert not {key for key in own if key in fragment and own[key] == fragment[key]}, name


def named_at_the_top(name: str) -> Path:
    """The file of ``/_resetting@_here_``."""
    match = re.fullmatch(r"/(_\w+)@_here_", name)
    assert match
    return conf_folder() / f"{match[1]}.yaml"


def test_the_values_of_a_setup_for_a_neuron_are_not_for_one_that_takes_in_its_file() -> None:
    assert config_for("experiment=snntorch_tutorial_5")["neuron"]["beta"] == 0.95
    assert config_for("experiment=snntorch_tutorial_5", "neuron=ilif")["neuron"]["beta"] is None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row))
def test_every_option_composes_to_the_values_of_its_file(row: tuple[str, ...]) -> None:
    config = config_for(*row)
    for word in row:
        group, _, option = word.partition("=")
        expected = resolve(raw(group, option), config)
        actual = at(config, package(group, option))
        if group == "model":  # for which the task may set what suits it
            task = next(word.partition("=")[2] for word in row if word.startswith("task="))
            pieces = conf_folder() / "task" / task / f"{option}.yaml"
            expected |= yaml.safe_load(pieces.read_text(encoding="utf-8"))[group] if pieces.is_file() else {}
        actual, expected = ({k: v for k, v in each.items() if k not in HOLDERS} for each in (actual, expected))
        assert actual == expected, word


@pytest.mark.parametrize(("group", "option"), each_option(*CATALOGUE.groups))
def test_a_file_begins_with_what_it_is_for(group: str, option: str) -> None:
    lines = [line for line in text(group, option).splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# "), "the first line is a comment for those who read the file"
    assert lines[0].endswith((".", ":")) or lines[1].startswith("#")
    assert CATALOGUE.describe(group, option)


@pytest.mark.parametrize(("group", "option"), each_option())
def test_a_file_mirrors_one_callable_of_its_group(group: str, option: str) -> None:
    config = raw(group, option)
    module, _, name = config["_target_"].rpartition(".")
    homes = {HOMES.get(group, f"snnrun.{group}"), *(["torch.optim.lr_scheduler"] if group == "scheduler" else [])}
    assert module in homes, "torch's schedulers are for each epoch, snnrun's for each step"
    target = target_of(group, option)
    assert target.__name__ == name
    assert f"{target.__module__}.".startswith(("torch.optim.", f"{module}."))
    same = [other for other in options(group) if raw(group, other)["_target_"] == config["_target_"]]
    # One file, one callable; a second name says whose it is.
    assert len([other for other in same if not re.match("# The same as", text(group, other))]) == 1


@pytest.mark.parametrize(("group", "option"), each_option())
def test_a_file_names_every_option_of_its_callable_with_its_default(group: str, option: str) -> None:
    target, config = target_of(group, option), arguments(group, option)
    parameters = signature(target)
    assert set(config) <= set(parameters)
    if target.__module__.startswith("torch."):
        return  # torch's classes have arguments for special cases, and defaults that need not suit spikes
    assert set(parameters) - set(RUN_ARGUMENTS.get(group, ())) == set(config)
    assert isinstance(target, type)
    docstrings = " ".join(parent.__doc__ or "" for parent in target.__mro__ if parent.__module__.startswith("snnrun."))
    for key, value in config.items():
        assert re.search(rf"\b{key}\b", docstrings), f"{key} is in no docstring"
        default = parameters[key].default
        if default is inspect.Parameter.empty or value == f"${{{key}}}" != "${surrogate}":
            continue  # it must be given, or is what the whole run has
        if isinstance(value, dict):  # a part, or several, in this one
            actual, plain = build(config_of(group, option), group), target(**needs(parameters))
            one, other = getattr(actual, key), getattr(plain, key)
            assert one == other or vars(one) == vars(other)
        elif value == "${surrogate}":
            assert default is None
            assert build(config_for()[key], key) == target(**needs(parameters)).surrogate
        else:
            value = resolve(value, config_for())
            assert (tuple(value) if isinstance(value, list) else value) == default, key
            assert isinstance(value, bool) == isinstance(default, bool), key
    for inner in config.values():
        if isinstance(inner, dict) and "_target_" in inner:
            assert set(inner) - {"_target_"} == set(signature(locate(inner["_target_"], option)))


@pytest.mark.parametrize(("group", "option"), each_option("neuron", "readout"))
def test_a_neuron_follows_the_convention_and_the_surrogate(group: str, option: str) -> None:
    config, parameters = raw(group, option), signature(target_of(group, option))
    points = [point for point in POINTS if point in parameters]
    assert {key: config[key] for key in points} == {key: f"${{convention.{key}}}" for key in points}
    assert config.get("surrogate", "") == ("${surrogate}" if "surrogate" in parameters else "")
    neuron = part(group, option)(shape=(4,))
    # What fires has the first, and what can reset the others, but for a choice that is part of its equation.
    assert ("fires_at" in points) == neuron.spiking
    assert ("reset_timing" in points) == ("detach_reset" in points) == (neuron.spiking and neuron.reset != "none")


@pytest.mark.parametrize(("_", "convention"), each_option("convention"))
def test_a_convention_sets_all_four_points(_: str, convention: str) -> None:
    config = raw("convention", convention)
    assert set(config) == set(POINTS)
    IF(**config)


def test_the_default_convention_is_that_of_the_callables() -> None:
    parameters = signature(Neuron)
    assert config_for()["convention"] == {key: parameters[key].default for key in POINTS}


@pytest.mark.parametrize(("group", "option"), each_option(*(group for group in GROUPS if group not in NO_PARTS)))
def test_the_checks_before_a_run_accept_every_default(group: str, option: str) -> None:
    actual: Any = part(group, option)
    tasks = {name: part("task", name) for name in ("digits", "zeros")}
    task, others, expected = "digits", {}, []
    if group == "encoder" and not actual.takes_still:
        task = "zeros"
    if isinstance(actual, SequenceAugmentation):
        task, others = "spoken_tones", {"encoder": "none"}
    if group == "readout":
        others["loss"] = "ce_membrane"  # CECount reads spikes, and there are none
    if group == "task" and actual.has_time:
        others |= {"encoder": "none"}
    if group == "task" and not actual.has_accuracy:
        others |= {"loss": "mean_square"}
    if group == "task" and actual.has_steps:
        others |= {"loss": "ce_steps"}
    if group == "loss" and actual.needs_steps and not actual.needs_values:
        task, others = "ecg_qtdb", {"encoder": "none"}
    if group == "loss" and actual.needs_values and not any(each.has_values for each in tasks.values()):
        expected = ["loss"]  # no task so far has numbers as targets
    if group == "tracker" and missing(actual):
        expected = [f"tracker.{option}"]  # its package is an extra
    config = assemble(**({"task": task} | others | {group: option}))
    trial = Trial(config, config, config, Settings.from_config(config))
    assert [fault.path for fault in trial.run(CATALOGUE)] == expected


def bases() -> list[Any]:
    kinds = {"surrogate": Surrogate, "encoder": Encoder, "loss": Loss, "task": Task, "neuron": Neuron}
    return [pytest.param(f"snnrun.{name}", kind, id=name) for name, kind in kinds.items()] + [
        pytest.param("snnrun.loss", Regulariser, id="regulariser"),
        pytest.param("snnrun.augmentation", Augmentation, id="augmentation"),
        pytest.param("snnrun.augmentation", SequenceAugmentation, id="augmentation of sequences"),
    ]


@pytest.mark.parametrize(("module", "base"), bases())
def test_every_class_of_a_part_has_a_file(module: str, base: type) -> None:
    targets = {raw(group, option)["_target_"] for group, option in EVERY if group not in NO_PARTS}
    package = importlib.import_module(module)
    classes = [value for value in vars(package).values() if inspect.isclass(value) and issubclass(value, base)]
    usable = {f"{module}.{value.__name__}" for value in classes if not is_base(value)}
    assert usable
    assert usable <= targets
    assert {name.rpartition(".")[2] for name in usable} <= set(package.__all__)


def is_base(kind: type) -> bool:
    """Whether something is left for a subclass to define."""
    if inspect.isabstract(kind) or any(getattr(value, "__isabstractmethod__", False) for value in vars(kind).values()):
        return True
    if not issubclass(kind, Neuron):
        return bool(set(getattr(kind, "__annotations__", {})) - set(dir(kind)) - set(signature(kind)))
    neuron = kind(**needs(signature(kind)))
    x = torch.zeros(1, *ARGUMENTS["shape"])
    try:
        neuron.step(x, neuron.initial_state(x))
    except (NotImplementedError, AttributeError):
        return True
    except ValueError as error:  # a PSN takes whole sequences only
        assert "num_steps" in str(error)
    return False


def test_a_neuron_that_never_fires_is_a_readout() -> None:
    spiking = {option: target_of("neuron", option).spiking for option in options("neuron")}  # type: ignore[attr-defined]
    assert all(spiking.values())
    assert not any(target_of("readout", option).spiking for option in options("readout"))  # type: ignore[attr-defined]
