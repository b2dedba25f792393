"""Schedules of the learning rate for each step of the optimizer; torch's own schedulers are for each epoch."""

from snnrun.scheduler.base import StepScheduler
from snnrun.scheduler.decay import LinearDecay, WarmupConstant, WarmupCosine, WarmupLinear
from snnrun.scheduler.one_cycle import OneCycle

__all__ = ["LinearDecay", "OneCycle", "StepScheduler", "WarmupConstant", "WarmupCosine", "WarmupLinear"]
