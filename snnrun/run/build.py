"""The model, the data and the state of a job before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from snnrun.config.build import PartError
from snnrun.config.settings import Settings
from snnrun.errors import ArgumentError, ConfigError
from snnrun.job.parts import Parts
from snnrun.model import Layer, plan_of, set_plan
from snnrun.system.team import Team
from snnrun.task import Data
from snnrun.training.loop import steps_of_training
from snnrun.training.state import TrainingState
from snnrun.training.streams import Streams


def build_model(parts: Parts, settings: Settings, streams: Streams, team: Team | None = None) -> nn.Module:
    """The model with its initial weights and its execution plan, on the CPU.

    Raises:
        ValueError: if its arguments do not fit together.
        ConfigError: for a matrix product that this machine lacks.
    """
    with streams.initialisation():
        model = parts.model(
            input_shape=parts.encoder.output_shape(parts.task.input_shape),
            num_outputs=parts.loss.num_outputs(parts.task.num_outputs),
            neuron=parts.neuron,
            readout=parts.readout,
            backend=settings.backend,
        )
    set_plan(model, plan_of(settings, spikes=parts.loss.regularises or parts.task.has_lengths, team=team))
    return model


def load_data(parts: Parts, settings: Settings, streams: Streams, device: torch.device) -> Data:
    """The data of the task, on ``device``.

    Raises:
        DataError: if its files are missing or damaged.
        ConfigError: if the loss leaves no step of the shortest sample.
    """
    # Only a task whose samples differ in length gets the text ``max``.
    steps = cast(int, settings.num_steps)
    data = parts.task.load(Path(settings.data_dir).expanduser(), steps, device, streams.data)
    if data.shortest is not None and data.shortest < parts.loss.least_steps:
        expected = f"less than the {data.shortest} steps of the shortest sample"
        raise ConfigError.of(ArgumentError("loss.skip_steps", expected, parts.loss.least_steps - 1))
    return data


def build_state(model: nn.Module, parts: Parts, settings: Settings, streams: Streams, data: Data) -> TrainingState:
    """The state before the first step, for a model on its device.

    Raises:
        ConfigError: for a schedule that does not fit the number of training steps, and for a group of parameters
            that the model lacks.
    """
    steps = steps_of_training(data.train, settings)
    try:
        return TrainingState.create(
            model,
            streams,
            optimizer=parts.optimizer,
            scheduler=parts.scheduler,
            capturable=settings.execution.cuda_graph,
            total_steps=steps,
            groups=parts.groups,
            ema=settings.ema,
        )
    except PartError as error:
        raise ConfigError(str(error.fault)) from error


def backends(model: nn.Module) -> str:
    """The backends of the model's neurons: ``fused``, ``reference``, or both."""
    used = {layer.backend for layer in model.modules() if isinstance(layer, Layer)}
    return " and ".join(sorted(used)) or "the model's own"


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
