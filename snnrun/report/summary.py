"""The model as a table, by torchinfo, without an effect on the training run."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def summary(model: nn.Module, example_input: Tensor) -> str:
    """Layers, shapes and parameter counts of ``model`` for ``example_input`` [T, B, *N].

    torchinfo runs the model and uses the global random numbers, so it gets a deep copy and forked generators: the
    model's weights, gradients and mode and the global generators do not change. Its mult-adds take the first axis for
    the batch and count biases; the last line counts the executed matrix products and convolutions only. The line
    before it has the number of learnable parameters in each group (``optimizer.groups``).
    """
    import torch
    import torchinfo
    from torch.utils.flop_counter import FlopCounterMode

    from snnrun.model import ExecutionPlan, parameter_groups, set_plan

    num_steps, batch_size = example_input.shape[:2]
    # By the default plan, since neither torchinfo nor torch's counter sees sums of spikes.
    shown = copy.deepcopy(model)
    set_plan(shown, ExecutionPlan())
    tensors = [example_input, *model.parameters(), *model.buffers()]
    devices = sorted({tensor.get_device() for tensor in tensors if tensor.is_cuda})
    try:
        with (
            torch.random.fork_rng(devices=devices),
            _allow_any_output(),
            FlopCounterMode(display=False) as counter,
        ):
            table = torchinfo.summary(
                shown,
                input_data=example_input.detach(),
                mode="eval",
                col_names=("input_size", "output_size", "num_params"),
                row_settings=("var_names",),
                depth=3,
                verbose=0,
            )
        text = str(table)
    finally:
        _forget(type(model).__name__)
    # Python 3.11 changed how a str-mixin Enum is formatted, and torchinfo 1.8 formats one.
    for name, letter in (("MEGABYTES", "M"), ("GIGABYTES", "G"), ("TERABYTES", "T")):
        text = text.replace(f"(Units.{name})", f"({letter})")
    lines = [line.rstrip() for line in text.splitlines()]
    groups = {name: sum(each.numel() for each in group) for name, group in parameter_groups(model).items()}
    if groups:
        lines.append(f"Parameters by group: {', '.join(f'{name} {count:,}' for name, count in groups.items())}")
    lines.append(_mult_adds(counter.get_total_flops() // 2, num_steps, batch_size))
    return "\n".join(lines) + "\n"


def _mult_adds(total: int, num_steps: int, batch_size: int) -> str:
    per_sample = total / batch_size
    per_step = per_sample / num_steps
    return (
        f"Synaptic mult-adds per sample: {per_sample:,.0f} in {num_steps} steps, {per_step:,.0f} per step "
        "(as executed; biases and neurons not counted)"
    )


@contextmanager
def _allow_any_output() -> Iterator[None]:
    """torchinfo rejects a module that returns a plain number without a size, such as a neuron's fixed parameter."""
    from torchinfo.layer_info import LayerInfo

    original = LayerInfo.calculate_size

    def size(values: Any, batch_dim: int | None) -> tuple[list[int], int]:
        return ([], 0) if isinstance(values, (bool, int, float)) else original(values, batch_dim)

    setattr(LayerInfo, "calculate_size", staticmethod(size))  # noqa: B010  (mypy rejects the assignment)
    try:
        yield
    finally:
        setattr(LayerInfo, "calculate_size", staticmethod(original))  # noqa: B010


def _forget(model_name: str) -> None:
    # torchinfo keeps every model with its weights in a private cache; the copy must not stay there.
    cache = getattr(sys.modules.get("torchinfo.torchinfo"), "_cached_forward_pass", {})
    cache.pop(model_name, None)
