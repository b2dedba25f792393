"""Tells a model that a batch is shared out among processes."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from snnrun.config.catalogue import name_of
from snnrun.errors import ConfigError
from snnrun.model.layer import Layer, neurons
from snnrun.model.norm import Norm
from snnrun.surrogate import Surrogate
from snnrun.system.processes import Team


def share(model: nn.Module, team: Team) -> None:
    """Let dropout and norms of ``model`` work on the whole batch, of which each process of ``team`` has some samples.

    Raises:
        ConfigError: for what would draw, or take its statistics, from a process's own samples alone: random surrogates,
            and torch's own dropout and batch norm in a model of the user's.
    """
    if team.size == 1:
        return
    for name, neuron in neurons(model).items():
        surrogate = neuron.surrogate
        if type(surrogate).noise is not Surrogate.noise:
            what = name_of(surrogate, "surrogate")
            raise ConfigError(
                f"surrogate: {what} ({name}) draws random numbers, which several processes cannot share out; "
                " take another surrogate, or one process"
            )
    for name, module in model.named_modules():
        if isinstance(module, (Layer, Norm)):
            module.team = team
        elif isinstance(module, (_DropoutNd, _BatchNorm, nn.RReLU)):
            own = "snnrun.model.Norm" if isinstance(module, _BatchNorm) else "the dropout of snnrun.model.Layer"
            raise ConfigError(
                f"model: {type(module).__name__} ({name}) knows a process's own samples only, and several processes "
                f"would train another network than one; use {own}, or one process"
            )
