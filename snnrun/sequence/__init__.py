"""Runs a neuron over time: the reference loop is the definition, the fused execution is fast."""

from snnrun.sequence.delayed_feedback import DelayedFeedback
from snnrun.sequence.record.tracer import Feedback
from snnrun.sequence.run import BACKENDS, Trace, resolve_backend, run, run_resolved

__all__ = ["BACKENDS", "DelayedFeedback", "Feedback", "Trace", "resolve_backend", "run", "run_resolved"]
