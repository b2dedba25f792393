"""The decay factor of a step of length dt from a time constant."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.distribution import Distribution, Numbers, transform
from snnrun.neuron.value import Value


def check_decay(dt: object, integration: object) -> None:
    """Raise ValueError unless ``dt`` is positive and ``integration`` is ``exact`` or ``euler``."""
    check.choice("integration", integration, ("exact", "euler"))
    check.number("dt", dt, above=0)


def decay_of(name: str, tau: Numbers, dt: float, integration: str) -> float | list[float] | Distribution:
    """``exp(-dt/τ)`` (exact) or ``1 - dt/τ`` (euler, needs ``dt <= τ``), for each number of ``tau``.

    Raises:
        ValueError: for a τ out of range, naming it ``name``.
    """
    if integration == "exact":
        return transform(name, tau, lambda one: math.exp(-dt / check.number(name, one, above=0)))
    # Beyond dt = τ the Euler step overshoots rest, and the factor would be negative.
    return transform(
        name, tau, lambda one: 1 - dt / check.number(name, one, low=dt, condition="with integration=euler")
    )


def decay_by(tau: Value, dt: float) -> Tensor:
    """``exp(-dt/|τ|)``, ``[]`` or ``[*N]``, for a τ that may be learnt: an update may change its sign."""
    return torch.exp(-dt / torch.as_tensor(tau()).abs())


def check_learnable_tau(tau: Numbers | None, integration: str, learn_beta: bool) -> Numbers:
    """Return τ, which is to be learnt.

    Raises:
        ValueError: without a τ, with the Euler integration, which bounds it, or if β is to be learnt as well.
    """
    if tau is None:
        raise ArgumentError("learn_tau", "false without tau", True, advice="give tau, or use learn_beta")
    if integration != "exact":
        raise ArgumentError("learn_tau", "false unless integration=exact", True, advice="set integration=exact")
    if check.flag("learn_beta", learn_beta):
        raise ArgumentError("learn_tau", "false with learn_beta=true", True, advice="learn one of the two")
    return tau


def factor(
    names: tuple[str, str],
    values: tuple[Numbers | None, Numbers | None],
    default: float,
    dt: float,
    integration: str,
) -> Numbers:
    """The decay factor, given directly or by its time constant.

    Raises:
        ValueError: if both are given.
    """
    (beta, tau), (its_name, tau_name) = values, names
    if beta is not None and tau is not None:
        raise ArgumentError(its_name, "one of them", (beta, tau), advice="set the other to null", others=(tau_name,))
    if tau is not None:
        return decay_of(tau_name, tau, dt, integration)
    return default if beta is None else beta
