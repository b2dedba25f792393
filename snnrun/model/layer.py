"""One layer: synapses applied to all time steps at once, then the neurons over time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from snnrun import check
from snnrun.config.catalogue import name_of
from snnrun.errors import ArgumentError
from snnrun.neuron import Neuron
from snnrun.sequence import Trace, fused_readout, resolve_backend, run_resolved, spikes_of
from snnrun.system.processes import Team

MEMORIES = ("full", "low")


class Layer(nn.Module):
    """Pooling, dropout, synapses, normalisation, pooling, neurons; all but synapses and neurons may be left out.

    The synapses see the whole sequence ``[T, B, *N]`` in one call, so a linear layer costs one matrix product, and a
    convolution one call, for all T steps, and only one step's worth for a constant input (one with stride 0 in time).

    Args:
        synapse: a module that maps ``[..., *N_in]`` to ``[..., *N_out]``. Images come as ``[T*B, C, H, W]``, or to a
            linear layer flattened.
        neuron: the neurons, for ``*N_out``.
        backend: see :func:`snnrun.sequence.run`; the attribute says which execution it came to.
        dropout: share of inputs dropped in training, of those that a pool leaves; a dropped input stays dropped for the
            whole sequence.
        pool_input: a module that is applied to the input, as ``synapse`` is.
        norm: a module for the whole sequence of what the synapses give, such as :class:`snnrun.model.Norm`.
        pool: a module that is applied to what is then there, as ``synapse`` is.
        memory: ``low`` keeps little of what a training step passes through, and computes it again on the way back (see
            :mod:`snnrun.sequence.segments`). The trace then holds no membrane, as with ``membrane=False``.
        membrane: whether the trace of a training step holds the membrane; if not, it has no steps, ``[0, B, *N_out]``,
            and the step is faster. Evaluation always records it.
        spikes: whether it must hold the spikes too; if not, :func:`through` may leave them out likewise.

    Raises:
        ValueError: for ``memory=low`` with neurons that need all steps at once.
    """

    #: Those that share out the batch (see :mod:`snnrun.model.together`); None: it is here whole.
    team: Team | None = None

    def __init__(
        self,
        synapse: nn.Module,
        neuron: Neuron,
        *,
        backend: str = "auto",
        dropout: float = 0.0,
        pool_input: nn.Module | None = None,
        norm: nn.Module | None = None,
        pool: nn.Module | None = None,
        memory: str = "full",
        membrane: bool = True,
        spikes: bool = True,
    ) -> None:
        super().__init__()
        self.pool_input, self.synapse, self.norm, self.pool, self.neuron = pool_input, synapse, norm, pool, neuron
        self.backend, self.dropout = resolve_backend(neuron, backend), check.number("dropout", dropout, low=0, below=1)
        self.keep(memory, membrane=membrane, spikes=spikes)

    def keep(self, memory: str, *, membrane: bool, spikes: bool) -> None:
        """Set ``memory``, ``membrane`` and ``spikes``."""
        check.choice("memory", memory, MEMORIES)
        if memory == "low" and (self.neuron.needs_all_steps or type(self).forward is not Layer.forward):
            what = name_of(self.neuron, "neuron") if self.neuron.needs_all_steps else f"a {type(self).__name__}"
            raise ArgumentError(
                "memory",
                f"full, since {what} cannot be computed again piece by piece",
                memory,
                advice="use memory=full",
            )
        self.memory, self.membrane, self.spikes = memory, membrane, spikes

    def forward(self, x: Tensor, generator: Generator | None = None) -> Trace:
        """The layer's trace ``[T, B, *N_out]`` for ``x`` ``[T, B, *N_in]``; dropout draws from ``generator``."""
        x = self.dropped(x, generator)
        if self.memory == "low" and self.training and torch.is_grad_enabled():
            return self._low(x)
        return self.fire(self._short_current(x), x.shape[0])

    def fire(self, current: Tensor, steps: int) -> Trace:
        """The trace for what reaches the neurons, ``[T, B, *N_out]``, or ``[1, B, *N_out]`` if that stays the same."""
        membrane = self.membrane or not self.training
        trace, _ = run_resolved(self.backend, self.neuron, current, steps=steps, membrane=membrane)
        return trace

    def into(self, x: Tensor, generator: Generator | None, following: Layer) -> tuple[Trace, Tensor | None]:
        """The trace, and what reaches the neurons of the layer that follows, if one pass gives both.

        Such a pass records no spikes (see :mod:`snnrun.sequence.fused_readout`), so not where they are wanted.
        """
        synapse = following.synapse
        if not (self._may_join() and following._is_bare() and isinstance(synapse, nn.Linear)):
            return self(x, generator), None
        x = self.dropped(x, generator)
        steps, current = x.shape[0], self._short_current(x)
        found = fused_readout.run(self.neuron, current, steps, synapse.weight, synapse.bias)
        if found is None:
            return self.fire(current, steps), None
        passed_on, fired = found
        nothing = passed_on.new_empty((0, *fired.shape))
        return Trace(nothing, nothing, fired), passed_on

    def _may_join(self) -> bool:
        wanted = self.spikes or self.membrane or self.memory == "low"
        trains = self.training and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
        return trains and self.backend == "fused" and not wanted

    def _is_bare(self) -> bool:
        """Whether nothing but its synapses stands between the spikes that come in and the neurons."""
        others = (self.pool_input, self.norm, self.pool)
        plain = type(self).forward is Layer.forward and self.memory == "full" and not self.dropout
        return plain and all(each is None for each in others)

    def _short_current(self, x: Tensor) -> Tensor:
        # A constant input stays one step up to the neurons; a norm must know how many there are.
        return self.current(x[:1] if is_constant(x) and self.norm is None else x)

    def _low(self, x: Tensor) -> Trace:
        # A norm over all steps, and an input that costs one step only, come before the segments.
        whole = self.norm is not None or is_constant(x)
        if whole:
            x = self.current(x)
        parameters = [p for p in (self.neuron if whole else self).parameters() if p.requires_grad]
        current = (lambda piece: piece) if whole else self.current
        spikes = spikes_of(self.neuron, x, current, parameters, backend=self.backend)
        return Trace(spikes, spikes.new_empty((0, *spikes.shape[1:])))

    def dropped(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """What the synapses get of ``x``: pooled, without what dropout takes away, drawn from ``generator``."""
        if self.pool_input is not None:
            x = every_step(self.pool_input, x)
        if not (self.training and self.dropout):
            return x
        samples = self.team.samples if self.team else x.shape[1]
        draws = torch.rand((samples, *x.shape[2:]), generator=generator, dtype=x.dtype, device=x.device)
        keep = (self.team.own(draws, 0) if self.team else draws) >= self.dropout
        return x * (keep / (1 - self.dropout))

    def current(self, x: Tensor) -> Tensor:
        """What reaches the neurons at each step, ``[T, B, *N_out]``, for ``x`` as :meth:`dropped` leaves it."""
        if isinstance(self.synapse, nn.Linear) and x.dim() > 3:
            x = x.flatten(2)
        x = every_step(self.synapse, x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.pool is None else every_step(self.pool, x)

    def extra_repr(self) -> str:
        return f"backend={self.backend}, dropout={self.dropout:g}"


def through(layers: nn.ModuleDict, x: Tensor, generator: Generator | None = None) -> dict[str, Trace]:
    """The trace of every layer of a chain, for the input ``x`` ``[T, B, *N]`` of the first."""
    traces: dict[str, Trace] = {}
    chain: list[Any] = list(layers.values())
    passed_on: Tensor | None = None
    for name, layer, following in zip(layers, chain, [*chain[1:], None], strict=True):
        if passed_on is not None:
            traces[name], passed_on = layer.fire(passed_on, passed_on.shape[0]), None
        elif following is None:
            traces[name] = layer(x, generator)
        else:
            traces[name], passed_on = layer.into(x, generator, following)
        x = traces[name].spikes
    return traces


def keep(model: nn.Module, memory: str, *, spikes: bool) -> None:
    """Have all layers but the read-out, whose membrane the loss may want, train without one, and with this ``memory``.

    Args:
        spikes: whether the traces of training must hold them, for a cost of spikes.

    Raises:
        ValueError: for ``memory=low``, if there is a layer that cannot.
    """
    layers = [module for module in model.modules() if isinstance(module, Layer)]
    for layer in layers[:-1]:
        layer.keep(memory, membrane=False, spikes=spikes)


def is_constant(x: Tensor) -> bool:
    """Whether ``[T, B, *N]`` stands in memory once for all its steps, as ``Direct`` encodes."""
    return x.shape[0] > 1 and x.stride(0) == 0


def every_step(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module that knows no time to all steps of ``[T, B, *N]`` in one call, or to one if all are the same."""
    steps = x[:1] if is_constant(x) else x
    # Convolutions and pools take one batch axis. A matrix product takes any number, and reads better in a summary.
    y = module(steps.flatten(0, 1)).unflatten(0, steps.shape[:2]) if x.dim() == 5 else module(steps)
    # Under autocast a product comes back in bfloat16; the membrane integrates in the precision of the input.
    y = y.to(x.dtype)
    return y.expand(x.shape[0], *y.shape[1:]) if is_constant(x) else y


def neurons(model: nn.Module) -> dict[str, Neuron]:
    """The neurons of each layer of a model, by the layer's name."""
    found = ((path.split("."), module) for path, module in model.named_modules() if isinstance(module, Neuron))
    return {(path[-2] if len(path) > 1 else path[-1]): module for path, module in found}


def holders(model: nn.Module) -> dict[str, nn.Module]:
    """The module of each layer, which holds its neurons and all that comes before them, by the layer's name."""
    modules = dict(model.named_modules())
    paths = [path.split(".") for path, module in modules.items() if isinstance(module, Neuron)]
    return {(path[-2] if len(path) > 1 else path[-1]): modules[".".join(path[:-1])] for path in paths}
