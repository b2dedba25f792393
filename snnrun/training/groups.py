"""Learning rates and weight decays of groups of parameters, as a config has them in ``optimizer.groups``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from snnrun import check
from snnrun.config.build import PartError
from snnrun.errors import ArgumentError

if TYPE_CHECKING:
    from torch import nn

KEYS = ("lr", "weight_decay")
#: Group -> the values that differ from the optimizer's.
Groups = dict[str, dict[str, float]]


def groups_of(optimizer: Mapping[str, Any]) -> Groups:
    """The groups with values of their own in the config of an optimizer; runs of earlier versions have none.

    Raises:
        PartError: for a value out of range, or another key.
    """
    config = optimizer.get("groups") or {}
    if not isinstance(config, Mapping):
        raise PartError("optimizer.groups", ArgumentError("groups", "groups of parameters by name", config))
    groups: Groups = {}
    for name, values in config.items():
        path = f"optimizer.groups.{name}"
        if not isinstance(values, Mapping) or not set(values) <= set(KEYS):
            raise PartError(path, ArgumentError(str(name), f"the keys {' and '.join(KEYS)}", values))
        own = {key: _value(f"{path}.{key}", value) for key, value in values.items() if value is not None}
        if own:
            groups[str(name)] = own
    return groups


def without_groups(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the optimizer itself, whose class knows no groups."""
    return {key: value for key, value in optimizer.items() if key != "groups"}


def check_groups(groups: Collection[str], names: Collection[str]) -> None:
    """Check that each of ``groups`` is one of ``names``, the groups of the parameters of a model.

    Raises:
        PartError: for the first that is not.
    """
    for name in groups:
        if name not in names:
            message = f"the model has no such parameters; there are {', '.join(names) or 'none'}"
            raise PartError(f"optimizer.groups.{name}", message)


def split(model: nn.Module, groups: Groups) -> list[dict[str, Any]]:
    """The parameters as torch's optimizers take them: first those with the optimizer's own values, then each group.

    Raises:
        PartError: for a group without a parameter.
    """
    from snnrun.model import parameter_groups

    parameters = parameter_groups(model)
    check_groups(groups, parameters)
    own = {id(parameter) for name in groups for parameter in parameters[name]}
    others = [parameter for parameter in model.parameters() if id(parameter) not in own]
    first = [{"params": others}] if others else []
    return [*first, *({"params": parameters[name], **values} for name, values in groups.items())]


def _value(path: str, value: Any) -> float:
    try:
        return check.number(path.rpartition(".")[2], value, low=0)
    except ArgumentError as error:
        raise PartError(path, error) from error
