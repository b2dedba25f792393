"""snnrun trains spiking neural networks from a composed config, and keeps a complete record.

The names below are for users: in Python and in notebooks they work like the command ``snnrun``, and the parts are a
library for own training loops; ``docs/python.md`` shows both. Heavy modules are imported at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from snnrun.system.threads import sleep_while_waiting

if TYPE_CHECKING:
    from snnrun import augmentation, encoder, loss, model, neuron, sequence, surrogate, task, tracker
    from snnrun.augmentation import Augmentation
    from snnrun.encoder import Encoder
    from snnrun.errors import ArgumentError, SnnrunError
    from snnrun.job.job import Job
    from snnrun.loss import Loss
    from snnrun.neuron import Neuron
    from snnrun.run.execute import execute
    from snnrun.run.run import Run, load, runs
    from snnrun.run.train import compose, train
    from snnrun.surrogate import Surrogate
    from snnrun.task import Batch, Data, Task
    from snnrun.tracker import Tracker

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "Augmentation",
    "Batch",
    "Data",
    "Encoder",
    "Job",
    "Loss",
    "Neuron",
    "Run",
    "SnnrunError",
    "Surrogate",
    "Task",
    "Tracker",
    "augmentation",
    "compose",
    "encoder",
    "execute",
    "load",
    "loss",
    "model",
    "neuron",
    "runs",
    "sequence",
    "surrogate",
    "task",
    "tracker",
    "train",
]

#: The modules of the public names; the other public names are modules.
_HOMES = {
    "ArgumentError": "errors",
    "Augmentation": "augmentation",
    "Batch": "task",
    "Data": "task",
    "Encoder": "encoder",
    "Job": "job.job",
    "Loss": "loss",
    "Neuron": "neuron",
    "Run": "run.run",
    "SnnrunError": "errors",
    "Surrogate": "surrogate",
    "Task": "task",
    "Tracker": "tracker",
    "compose": "run.train",
    "execute": "run.execute",
    "load": "run.run",
    "runs": "run.run",
    "train": "run.train",
}

sleep_while_waiting()  # before torch is loaded


def __getattr__(name: str) -> object:
    # PEP 562: torch, Hydra and matplotlib are imported with the first name that needs them.
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
