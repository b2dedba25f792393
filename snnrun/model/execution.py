"""The execution of a model: the plan, which is separate from the model and set in its layers.

A model created in Python has the default plan: fused execution if possible, and whole traces. :func:`set_plan` sets
another at any time, for instance after loading weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from snnrun import check
from snnrun.config.catalogue import name_of
from snnrun.config.settings import Settings
from snnrun.errors import ConfigError
from snnrun.model.products.convolution import Conv2d
from snnrun.model.products.product import TORCHS_OWN, Linear, Product, choose
from snnrun.model.structure import has_noise, neurons
from snnrun.neuron import Neuron
from snnrun.sequence import BACKENDS
from snnrun.system import machine
from snnrun.system.team import Team

MEMORIES = ("full", "low")


@dataclass(frozen=True)
class ExecutionPlan:
    """How the layers of a model are executed. Apart from rounding, the results do not depend on it.

    Args:
        backend: of the neurons, see :func:`snnrun.sequence.run`; the attribute ``backend`` of a layer is its actual
            execution.
        memory: ``low`` stores little of a training step, and computes it again in the backward pass (see
            :mod:`snnrun.sequence.segments`). Traces then have no membrane, as with ``membrane=False``.
        product: the method for large matrix products.
        team: the processes that share each batch, so that dropout and norms work on the whole batch; None: a single
            process.
        membrane: the traces of a training step hold the membranes; if not, they have no steps, ``[0, B, *N_out]``, and
            the step is faster. Evaluation always records them.
        spikes: they hold the spikes too; if not, :func:`snnrun.model.chain.through` may leave them out.

    Raises:
        ValueError: for an unknown backend or memory.
    """

    backend: str = "auto"
    memory: str = "full"
    product: Product = TORCHS_OWN
    team: Team | None = None
    membrane: bool = True
    spikes: bool = True

    def __post_init__(self) -> None:
        check.choice("backend", self.backend, BACKENDS)
        check.choice("memory", self.memory, MEMORIES)

    def for_readout(self) -> ExecutionPlan:
        """The plan of the last layer, since the loss may need its membrane."""
        return replace(self, memory="full", membrane=True, spikes=True)

    def __deepcopy__(self, memo: dict[int, Any]) -> ExecutionPlan:
        return self  # a copy of a model has the same plan and team


#: The plan of a model created in Python.
DEFAULT_PLAN = ExecutionPlan()


class PlannedModule(nn.Module):
    """A module with an execution plan."""

    def __init__(self, plan: ExecutionPlan = DEFAULT_PLAN) -> None:
        super().__init__()
        # With the layers, not only with the command: a training loop in Python allocates the same tensors.
        machine.keep_freed_memory()
        self.plan = plan

    def set_plan(self, plan: ExecutionPlan) -> None:
        """Use ``plan`` from now on."""
        self.plan = plan


def plan_of(settings: Settings, *, spikes: bool = True, team: Team | None = None) -> ExecutionPlan:
    """The plan of the settings on this machine. In training only the read-out records its membrane.

    Args:
        settings: ``backend``, ``memory``, ``matmul`` and ``events_below`` are used.
        spikes: the traces of training must hold spikes, for a cost of spikes.
        team: the processes that train together, if there are several.

    Raises:
        ConfigError: for a matrix product that this machine lacks.
    """
    shared = team if team is not None and team.size > 1 else None
    return ExecutionPlan(settings.backend, settings.memory, product_of(settings), shared, membrane=False, spikes=spikes)


def product_of(settings: Settings) -> Product:
    """The method for large products: torch's own for the reference backend, which allows second derivatives."""
    return TORCHS_OWN if settings.backend == "reference" else choose(settings.matmul, settings.events_below)


def set_plan(model: nn.Module, plan: ExecutionPlan) -> None:
    """Set ``plan`` for ``model``; for the read-out, its last layer with neurons, ``plan.for_readout()``.

    Raises:
        ValueError: if a layer does not support ``memory=low`` or ``backend=fused``.
        ConfigError: with a team, for modules that would use only a process's own samples for draws or statistics:
            random surrogates, and torch's own dropout and batch norm in a user's model.
    """
    if plan.team is not None:
        _check_sharing(model)
    modules = [module for module in model.modules() if isinstance(module, PlannedModule)]
    readouts = [module for module in modules if any(isinstance(child, Neuron) for child in module.children())][-1:]
    for each in modules:
        each.set_plan(plan.for_readout() if each in readouts else plan)
    for module in model.modules():
        if isinstance(module, (Linear, Conv2d)):
            module.product = plan.product


def _check_sharing(model: nn.Module) -> None:
    for name, neuron in neurons(model).items():
        if has_noise(neuron):
            what = name_of(neuron.surrogate, "surrogate")
            raise ConfigError(
                f"surrogate: {what} ({name}) draws random numbers, which several processes cannot share out; "
                "take another surrogate, or one process"
            )
    for name, module in model.named_modules():
        if isinstance(module, (_DropoutNd, _BatchNorm, nn.RReLU)):
            own = "snnrun.model.Norm" if isinstance(module, _BatchNorm) else "the dropout of snnrun.model.Layer"
            raise ConfigError(
                f"model: {type(module).__name__} ({name}) knows a process's own samples only, and several processes "
                f"would train another network than one; use {own}, or one process"
            )
