"""Delays: how long a spike travels from one neuron to the next, and how a delay between two steps is computed."""

from snnrun.delay.base import Delay, WideDelay, triangle
from snnrun.delay.gaussian import GaussianDelay
from snnrun.delay.integer import IntegerDelay
from snnrun.delay.linear import LinearDelay
from snnrun.delay.triangular import TriangularDelay

__all__ = ["Delay", "GaussianDelay", "IntegerDelay", "LinearDelay", "TriangularDelay", "WideDelay", "triangle"]
