"""Losses and accuracies: pure functions of the read-out's spikes and membranes.

A loss takes spikes ``[T, B, C]``, membranes ``[T, B, C]`` and targets (class labels ``[B]``, int64, or values, or
either for each step, ``[B, T]``) and returns a scalar; ``predict`` returns its prediction. Regularisers, parts of any
loss, add penalties for the other layers. To add a loss, write a class and ``conf/loss/<name>.yaml``.
"""

from snnrun.loss.base import LabelLoss, Loss, SampleLoss
from snnrun.loss.cross_entropy import TET, CECount, CEMaxMembrane, CEMembrane, CERate, CESoftmax, CESteps, CETemporal
from snnrun.loss.mean_square import MeanSquare, MSECount, MSEMembrane, MSERate, MSETemporal
from snnrun.loss.metric import (
    accuracy_by_count,
    accuracy_by_first_spike,
    accuracy_by_membrane,
    count_ties,
    outcome,
    predict_by_count,
    predict_by_first_spike,
    predict_by_max_membrane,
    predict_by_membrane,
    r2_score,
)
from snnrun.loss.readout import first_spike_index, first_spike_time, pool, spike_count, spike_times, vote
from snnrun.loss.regression import MSE, MSESteps
from snnrun.loss.regulariser import RateBounds, Regulariser, Sparsity
from snnrun.loss.train import SpikeSimilarity, VanRossum, van_rossum_distance

__all__ = [
    "MSE",
    "TET",
    "CECount",
    "CEMaxMembrane",
    "CEMembrane",
    "CERate",
    "CESoftmax",
    "CESteps",
    "CETemporal",
    "LabelLoss",
    "Loss",
    "MSECount",
    "MSEMembrane",
    "MSERate",
    "MSESteps",
    "MSETemporal",
    "MeanSquare",
    "RateBounds",
    "Regulariser",
    "SampleLoss",
    "Sparsity",
    "SpikeSimilarity",
    "VanRossum",
    "accuracy_by_count",
    "accuracy_by_first_spike",
    "accuracy_by_membrane",
    "count_ties",
    "first_spike_index",
    "first_spike_time",
    "outcome",
    "pool",
    "predict_by_count",
    "predict_by_first_spike",
    "predict_by_max_membrane",
    "predict_by_membrane",
    "r2_score",
    "spike_count",
    "spike_times",
    "van_rossum_distance",
    "vote",
]
