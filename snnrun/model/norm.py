"""Normalisation of the synapses' output: over time, batch and space for each channel, or over a layer at each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snnrun import check
from snnrun.config.catalogue import name_of
from snnrun.errors import ArgumentError, Description
from snnrun.model.execution import PlannedModule
from snnrun.model.structure import is_constant
from snnrun.neuron import Neuron
from snnrun.system.team import Team

NORMS = ("none", "batch", "tdbn")
#: Of fully connected layers, which have no space that a norm over the layer would mix.
FLAT_NORMS = (*NORMS, "layer")


class Norm(PlannedModule):
    """Batch normalisation with one mean and variance per channel, over all steps, samples and pixels.

    ::

        y = scale λ (x - E[x]) / sqrt(Var[x] + ε) + β

    with λ (1 at first) and β (0 at first) learnt per channel. In training E and Var come from the batch, and update
    running means (momentum 0.1, unbiased variance) that evaluation uses. With ``scale = α θ``, θ the threshold, this is
    threshold-dependent batch normalisation (tdBN), which gives the current at each step the spread of the threshold.

    A constant input (stride 0 in time) is normalised once; result and running means equal those for T copies. If
    several processes share a batch, mean and variance are computed over the whole batch.

    Args:
        channels: C of the input ``[T, B, C, *N]``.
        scale: 1 for plain batch normalisation.

    Source: Ioffe and Szegedy 2015; Zheng et al. 2021, "Going deeper with directly-trained larger spiking neural
    networks" (tdBN). SpikingJelly's ``ThresholdDependentBatchNorm2d`` puts α θ into λ instead.
    """

    running_mean: Tensor
    running_var: Tensor

    momentum = 0.1
    epsilon = 1e-5

    def __init__(self, channels: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = check.number("scale", scale, above=0)
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, steps: int | None = None) -> Tensor:
        """``[T, B, C, *N]``, normalised.

        ``steps``: ``x`` is one of so many equal steps, and so is the result.
        """
        if steps is not None:
            return self(x.expand(steps, *x.shape[1:]))[:1] if self._has_one(x) else self._of_copies(x, steps)
        if is_constant(x) and not self._has_one(x):
            return self._of_copies(x[:1], x.shape[0]).expand(x.shape)
        return self._of_copies(x, 1)

    def _has_one(self, x: Tensor) -> bool:
        """True if a step has no variance, since it has one number per channel."""
        samples = self.plan.team.samples if self.plan.team else x.shape[1]
        return self.training and samples * x[0, :1, :1].numel() <= 1

    def _of_copies(self, x: Tensor, copies: int) -> Tensor:
        team = self.plan.team
        return self._normalise_with(team, x, copies) if team and self.training else self._normalise(x, copies)

    def _normalise(self, x: Tensor, copies: int) -> Tensor:
        # Copies, since autograd keeps its inputs, and a later call would change them.
        mean, var = (
            (self.running_mean.clone(), self.running_var.clone())
            if self.training
            else (self.running_mean, self.running_var)
        )
        y = F.batch_norm(
            x.flatten(0, 1),
            mean,
            var,
            self.weight * self.scale,
            self.bias,
            self.training,
            self.momentum,
            self.epsilon,
        )
        if self.training:
            # T copies do not change mean and variance, but the factor n/(n-1) of the unbiased running variance.
            n, old = x[:, :, :1].numel(), (1 - self.momentum) * self.running_var
            if copies > 1:
                var = old + (var - old) * ((n - 1) / n * (n * copies) / (n * copies - 1))
            self.running_mean.copy_(mean)
            self.running_var.copy_(var)
        return y.unflatten(0, x.shape[:2])

    def _normalise_with(self, team: Team, x: Tensor, copies: int) -> Tensor:
        axes = (0, 1, *range(3, x.dim()))
        n = team.samples * x[:, :1, :1].numel()
        if n < 2:
            raise ArgumentError(
                "norm", "more than 1 value per channel in training", Description(f"shape {list(x.shape)}")
            )
        per_channel = (-1, *[1] * (x.dim() - 3))
        own = x[:, : team.own_count]
        # In double precision, like torch's sums on the CPU, so that the order of the sums does not matter.
        mean = team.total(own.sum(axes, dtype=torch.float64)) / n
        square = (own - mean.to(x.dtype).view(per_channel)) ** 2
        var = team.total(square.sum(axes, dtype=torch.float64)) / n
        factor = (self.weight * self.scale * torch.rsqrt(var + self.epsilon)).to(x.dtype)
        with torch.no_grad():
            unbiased = var * (n * copies / (n * copies - 1))
            for running, now in ((self.running_mean, mean), (self.running_var, unbiased)):
                running.copy_((1 - self.momentum) * running + self.momentum * now)
        return (x - mean.to(x.dtype).view(per_channel)) * factor.view(per_channel) + self.bias.view(per_channel)

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, scale={self.scale:g}"


def norm_maker(norm: str, alpha: float, norms: Sequence[str] = NORMS) -> Callable[[int, Neuron], nn.Module | None]:
    """A factory of a layer's normalisation, from its channels and neurons.

    ========= ========================================================================================
    ``none``  no normalisation
    ``batch`` :class:`Norm`
    ``tdbn``  :class:`Norm`, scaled by ``alpha`` times the threshold
    ``layer`` torch's ``LayerNorm``: mean and variance over the neurons of the layer, of each sample and step
    ========= ========================================================================================

    ``norms``: the names that the model offers.

    Raises:
        ValueError: for another name, an ``alpha`` that is not positive, or (when called) neurons without a threshold.
    """
    check.choice("norm", norm, norms)
    check.number("tdbn_alpha", alpha, above=0)

    def make(channels: int, neuron: Neuron) -> nn.Module | None:
        if norm == "none":
            return None
        if norm == "layer":
            return nn.LayerNorm(channels)
        return Norm(channels, alpha * _threshold(neuron) if norm == "tdbn" else 1.0)

    return make


def _threshold(neuron: Neuron) -> float:
    """The initial threshold of the neurons, averaged over the layer."""
    if not isinstance(getattr(neuron, "threshold", None), nn.Module):
        raise ArgumentError(
            "norm",
            f"none or batch, since tdbn scales by the threshold, and {name_of(neuron, 'neuron')} has none",
            "tdbn",
            advice="use norm=batch",
        )
    return float(torch.as_tensor(neuron.threshold()).detach().double().mean())
