"""One layer: synapses applied to all time steps at once, then the neurons over time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from snnrun import check
from snnrun.config.catalogue import name_of
from snnrun.errors import ArgumentError, Description
from snnrun.model.delays import Delays
from snnrun.model.execution import DEFAULT_PLAN, ExecutionPlan, PlannedModule
from snnrun.model.norm import Norm
from snnrun.model.products.convolution import Conv2d, pool_size
from snnrun.model.structure import has_noise, is_constant
from snnrun.neuron import Neuron
from snnrun.sequence import (
    DelayedFeedback,
    Feedback,
    Trace,
    fused_pool,
    fused_readout,
    resolve_backend,
    run_resolved,
    segments,
)
from snnrun.sequence.segments import Chain, Stage


class Passed(NamedTuple):
    """The trace of a layer, and what it passes to the following one.

    Attributes:
        trace: of the layer.
        current: the current into the following neurons, if it has been computed.
        pooled: the input of the following layer after its pool, if it has been computed.
    """

    trace: Trace
    current: Tensor | None = None
    pooled: Tensor | None = None

    def entry(self) -> tuple[Tensor, bool]:
        """The input of the following layer, and whether it has been through the pool of that input."""
        return (self.trace.spikes, False) if self.pooled is None else (self.pooled, True)


class Layer(PlannedModule):
    """Pooling, dropout, synapses, normalisation, pooling, neurons; only synapses and neurons are required.

    The synapses process the whole sequence ``[T, B, *N]`` in one call, so a linear layer costs one matrix product, and
    a convolution one call, for all T steps; for a constant input (stride 0 in time) only the cost of one step.

    Args:
        synapse: a module that maps ``[..., *N_in]`` to ``[..., *N_out]``. Images come as ``[T*B, C, H, W]``, or to a
            linear layer flattened.
        neuron: the neurons, for ``*N_out``.
        plan: how to execute it.
        dropout: share of the (pooled) inputs dropped in training; a dropped input stays dropped for the whole sequence.
        pool_input: a module for the input, applied like ``synapse``.
        norm: a module for the whole sequence of the synapses' output, such as :class:`snnrun.model.Norm`.
        pool: a module for the result, applied like ``synapse``.
        recurrence: V, a linear layer from the n neurons to themselves: they also get the layer's own spikes of the
            previous step, ``V s[t-1]``. Its bias, if any, is not used.
        delay: of the synapses, which must be an ``nn.Linear``, or of the axons that lead to them.
        recurrent_delay: of the recurrence: its spikes come later still.

    Raises:
        ValueError: for a recurrence of neurons that need all steps at once; for a delay of a synapse that is not an
            ``nn.Linear``, or of a recurrence that there is not; for a plan with ``memory=low`` and such
            neurons or a recurrence, or with ``backend=fused`` and neurons without a fused execution.
    """

    def __init__(
        self,
        synapse: nn.Module,
        neuron: Neuron,
        *,
        plan: ExecutionPlan = DEFAULT_PLAN,
        dropout: float = 0.0,
        pool_input: nn.Module | None = None,
        norm: nn.Module | None = None,
        pool: nn.Module | None = None,
        recurrence: nn.Linear | None = None,
        delay: Delays | None = None,
        recurrent_delay: Delays | None = None,
    ) -> None:
        super().__init__(plan)
        if delay is not None and not isinstance(synapse, nn.Linear):
            got = Description(type(synapse).__name__)
            raise ArgumentError("synapse", "an nn.Linear, since it has delays", got)
        if recurrent_delay is not None and recurrence is None:
            raise ArgumentError("recurrent_delay", "none, since the layer has no recurrence", Description("a delay"))
        if recurrence is not None and neuron.needs_all_steps:
            raise ArgumentError(
                "neuron",
                "one that needs no more than a step at once, since the layer's spikes return as its input",
                Description(name_of(neuron, "neuron")),
                advice="use another neuron, or model=mlp",
            )
        self.pool_input, self.synapse, self.norm, self.pool, self.neuron = pool_input, synapse, norm, pool, neuron
        self.recurrence, self.delay, self.recurrent_delay = recurrence, delay, recurrent_delay
        self.backend, self.dropout = self.resolve(plan.backend), check.number("dropout", dropout, low=0, below=1)
        self._check_memory(plan)

    def set_plan(self, plan: ExecutionPlan) -> None:
        self._check_memory(plan)
        if plan.backend != self.plan.backend:
            self.backend = self.resolve(plan.backend)
        super().set_plan(plan)

    def resolve(self, backend: str) -> str:
        """The execution, ``fused`` or ``reference``, that ``backend`` means for this layer."""
        feedback = None if self.recurrence is None else Feedback(self.recurrence.weight)
        return resolve_backend(self.neuron, backend, feedback, returns_later=self.recurrent_delay is not None)

    def _feedback(self) -> Feedback | DelayedFeedback | None:
        if self.recurrence is None:
            return None
        weight = self.recurrence.weight
        return (
            Feedback(weight) if self.recurrent_delay is None else DelayedFeedback(weight, self.recurrent_delay.taps())
        )

    def _check_memory(self, plan: ExecutionPlan) -> None:
        if plan.memory == "low" and (self.neuron.needs_all_steps or not self.is_plain or self.recurrence is not None):
            kind = f"a {type(self).__name__}" if self.recurrence is None else "a recurrent layer"
            what = name_of(self.neuron, "neuron") if self.neuron.needs_all_steps else kind
            raise ArgumentError(
                "memory",
                f"full, since {what} cannot be computed again piece by piece",
                plan.memory,
                advice="use memory=full",
            )

    @property
    def is_plain(self) -> bool:
        """True unless a subclass computes something else."""
        return type(self).forward is Layer.forward

    def forward(self, x: Tensor, generator: Generator | None = None, *, pooled: bool = False) -> Trace:
        """The layer's trace ``[T, B, *N_out]`` for ``x`` ``[T, B, *N_in]``; dropout draws from ``generator``.

        ``pooled``: ``x`` has been through ``pool_input``.
        """
        if self.trains_low:
            piece, stage = self.enter(x, generator, pooled=pooled)
            learnable = tuple(p for p in self.parameters() if p.requires_grad)
            output, (fired,) = segments.run(Chain((stage,), None, learnable), piece, x.shape[0])
            return Trace(output, output.new_empty((0, *output.shape[1:])), fired)
        x = self.drop(x, generator, pooled=pooled)
        return self.fire(self.current_of(x), x.shape[0])

    def fire(self, current: Tensor, steps: int) -> Trace:
        """The trace for the current into the neurons, ``[T, B, *N_out]``, or ``[1, B, *N_out]`` if it is constant."""
        membrane = self.plan.membrane or not self.training
        trace, _ = run_resolved(
            self.backend, self.neuron, current, steps=steps, membrane=membrane, feedback=self._feedback()
        )
        return trace

    def into(self, x: Tensor, generator: Generator | None, following: Layer | None, *, pooled: bool = False) -> Passed:
        """The trace, and what of the following layer the same pass computes: its synapses, or the pool of its input.

        Such a pass records no spikes (see :mod:`snnrun.sequence.fused_readout` and
        :mod:`snnrun.sequence.fused_pool`), so it is not used if they are needed.
        """
        size = pool_size(following.pool_input) if following is not None and following.is_plain else None
        synapse = following.synapse if following is not None and following.is_bare else None
        if not (self.trains_unrecorded and self.is_plain and (size or isinstance(synapse, nn.Linear))):
            return Passed(self(x, generator, pooled=True) if pooled else self(x, generator))
        x = self.drop(x, generator, pooled=pooled)
        steps, current, result = x.shape[0], self.current_of(x), None
        if size:
            result = fused_pool.run(self.neuron, current, steps, size)
        elif isinstance(synapse, nn.Linear):
            result = fused_readout.run(self.neuron, current, steps, synapse.weight, synapse.bias)
        if result is None:
            return Passed(self.fire(current, steps))
        output, fired = result
        nothing = output.new_empty((0, *fired.shape))
        trace = Trace(nothing, nothing, fired)
        return Passed(trace, pooled=output) if size else Passed(trace, current=output)

    @property
    def trains_unrecorded(self) -> bool:
        """True in a training step that need not record the neurons, nor compute them again piece by piece."""
        needed = self.plan.spikes or self.plan.membrane or self.plan.memory == "low" or self.recurrence is not None
        return self.training and torch.is_grad_enabled() and self.backend == "fused" and not needed

    @property
    def is_bare(self) -> bool:
        """True if only its synapses are between the incoming spikes and the neurons."""
        others = (self.pool_input, self.norm, self.pool, self.delay)
        plain = self.is_plain and self.recurrence is None and self.plan.memory == "full" and not self.dropout
        return plain and all(each is None for each in others)

    def current_of(self, x: Tensor) -> Tensor:
        """The current for ``x`` from :meth:`drop`, ``[T, B, *N_out]``, or ``[1, B, *N_out]`` if it is constant."""
        # A constant input stays one step up to the neurons; a norm needs the number of steps. Behind a delay it is not
        # constant, since it has a first step.
        if is_constant(x) and self.delay is None and (self.norms_steps or isinstance(self.norm, Norm)):
            return self.current(x[:1], None if self.norms_steps else x.shape[0])
        return self.current(x)

    @property
    def trains_low(self) -> bool:
        """True in a training step that computes the layer again piece by piece."""
        return self.plan.memory == "low" and self.training and torch.is_grad_enabled()

    @property
    def joins_segments(self) -> bool:
        """True if the layer before may pass each segment on to this one: each step by itself, and no spikes needed."""
        # Noise is drawn layer by layer, in the order of a training with memory=full.
        return self.trains_low and self.takes_steps and not self.plan.spikes and not has_noise(self.neuron)

    @property
    def takes_steps(self) -> bool:
        """True if the current of some steps follows from the input of these steps alone."""
        return (
            self.is_plain
            and self.norms_steps
            and self.delay is None
            and isinstance(self.synapse, (nn.Linear, nn.Conv2d))
        )

    @property
    def norms_steps(self) -> bool:
        """True unless a norm mixes the steps."""
        return self.norm is None or isinstance(self.norm, nn.LayerNorm)

    def enter(self, x: Tensor, generator: Generator | None, *, pooled: bool = False) -> tuple[Tensor, Stage]:
        """The input and the stage of this layer, the first of a chain that runs in segments."""
        stage = self.stage(generator, pooled=pooled)
        if self.norms_steps and not is_constant(x) and self.delay is None:
            return x, stage
        # A norm over all steps, a delay, and a constant input, which costs one step, come before the segments.
        return self.current_of(self.drop(x, generator, pooled=pooled)), stage._replace(current=lambda piece: piece)

    def stage(self, generator: Generator | None, *, pooled: bool = False) -> Stage:
        """This layer in a chain that runs in segments; what dropout draws at the first segment stays for all."""
        masks: list[Tensor] = []

        def current(piece: Tensor) -> Tensor:
            if self.pool_input is not None and not pooled:
                piece = every_step(self.pool_input, piece)
            if self.training and self.dropout:
                if not masks:
                    masks.append(self.mask(piece, generator))
                piece = piece * masks[0]
            return self.current(piece)

        return Stage(current, self.neuron, self.backend)

    def drop(self, x: Tensor, generator: Generator | None = None, *, pooled: bool = False) -> Tensor:
        """The input of the synapses: ``x`` after pooling and dropout, which draws from ``generator``."""
        if self.pool_input is not None and not pooled:
            x = every_step(self.pool_input, x)
        return x * self.mask(x, generator) if self.training and self.dropout else x

    def mask(self, x: Tensor, generator: Generator | None) -> Tensor:
        """The factors of dropout for the input ``x`` ``[*, B, *N_in]`` of the synapses, ``[B, *N_in]``."""
        team = self.plan.team
        samples = team.samples if team else x.shape[1]
        draws = torch.rand((samples, *x.shape[2:]), generator=generator, dtype=x.dtype, device=x.device)
        keep = (team.own(draws, 0) if team else draws) >= self.dropout
        return keep / (1 - self.dropout)

    def current(self, x: Tensor, steps: int | None = None) -> Tensor:
        """The current into the neurons at each step, ``[T, B, *N_out]``, for ``x`` from :meth:`drop`.

        ``steps``: ``x`` is one of so many equal steps, and so is the current.
        """
        if isinstance(self.synapse, nn.Linear) and x.dim() > 3:
            x = x.flatten(2)
        if isinstance(self.synapse, Conv2d) and self.synapse.pools and self.norm is None:
            return every_step(functools.partial(self.synapse.pooled, pool=self.pool), x)
        x = self._delayed_product(x) if self.delay is not None else every_step(self.synapse, x)
        if self.norm is not None:
            x = self.norm(x) if steps is None else self.norm(x, steps)
        return x if self.pool is None else every_step(self.pool, x)

    def _delayed_product(self, x: Tensor) -> Tensor:
        """The output of the synapses with their delays, ``[T, B, N_out]``, for ``x`` ``[T, B, N_in]``."""
        delay: Delays = self.delay  # type: ignore[assignment]
        synapse: nn.Linear = self.synapse  # type: ignore[assignment]
        if delay.of_axons:
            return every_step(synapse, delay(x))
        y: Tensor = delay(x, synapse.weight)
        return y if synapse.bias is None else y + synapse.bias

    def extra_repr(self) -> str:
        return f"backend={self.backend}, dropout={self.dropout:g}"


def every_step(module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a module without a time axis to all steps of ``[T, B, *N]`` in one call, or to one if all are the same."""
    steps = x[:1] if is_constant(x) else x
    # Convolutions and pools need a single batch axis. A matrix product accepts any number.
    y = module(steps.flatten(0, 1)).unflatten(0, steps.shape[:2]) if x.dim() == 5 else module(steps)
    # Under autocast a product is bfloat16; the membrane integrates in the precision of the input.
    y = y.to(x.dtype)
    return y.expand(x.shape[0], *y.shape[1:]) if is_constant(x) else y
