"""The decay factor of a step of length dt from a time constant."""

from __future__ import annotations

import math
from collections.abc import Sequence

from snnrun import check
from snnrun.errors import ArgumentError


def check_decay(dt: object, integration: object) -> None:
    """Raise ValueError unless ``dt`` is positive and ``integration`` is ``exact`` or ``euler``."""
    check.choice("integration", integration, ("exact", "euler"))
    check.number("dt", dt, above=0)


def decay_of(name: str, tau: float | Sequence[float], dt: float, integration: str) -> float | list[float]:
    """``exp(-dt/τ)`` (exact) or ``1 - dt/τ`` (euler, needs ``dt <= τ``), for a number or each number in a list.

    Raises:
        ValueError: for a τ out of range, naming it ``name``.
    """
    if isinstance(tau, Sequence) and not isinstance(tau, str):
        return [float(decay_of(name, one, dt, integration)) for one in tau]  # type: ignore[arg-type]
    if integration == "exact":
        return math.exp(-dt / check.number(name, tau, above=0))
    # Beyond dt = τ the Euler step overshoots rest, and the factor would be negative.
    return 1 - dt / check.number(name, tau, low=dt, condition="with integration=euler")


def factor(
    names: tuple[str, str],
    values: tuple[float | Sequence[float] | None, float | Sequence[float] | None],
    default: float,
    dt: float,
    integration: str,
) -> float | Sequence[float]:
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
