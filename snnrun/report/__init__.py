"""The output of one run: figures, the model's summary, the manifest, the console.

matplotlib (figures), torchinfo (summary) and rich (console on a terminal) are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from snnrun.report.activity import activity_warnings
from snnrun.report.chance import chance_warning
from snnrun.report.console import Console
from snnrun.report.gradients import gradient_warnings
from snnrun.report.manifest import manifest
from snnrun.report.summary import summary

if TYPE_CHECKING:
    from snnrun.report.confusion import confusion_figure
    from snnrun.report.delays import LayerDelays, delays_figure
    from snnrun.report.draw_traces import overlay_figure, traces_figure
    from snnrun.report.evaluation import evaluation_figure
    from snnrun.report.figures import accuracy_figure, firing_rate_figure, loss_figure, membrane_figure, raster_figure
    from snnrun.report.parameters import parameters_figure
    from snnrun.report.raster import Example, StepLabels, save_raster
    from snnrun.report.search import history_figure, importance_figure
    from snnrun.report.views import encoder_animation, encoder_figure, rate_figure, surrogate_figure

__all__ = [
    "Console",
    "Example",
    "LayerDelays",
    "StepLabels",
    "accuracy_figure",
    "activity_warnings",
    "chance_warning",
    "confusion_figure",
    "delays_figure",
    "encoder_animation",
    "encoder_figure",
    "evaluation_figure",
    "firing_rate_figure",
    "gradient_warnings",
    "history_figure",
    "importance_figure",
    "loss_figure",
    "manifest",
    "membrane_figure",
    "overlay_figure",
    "parameters_figure",
    "raster_figure",
    "rate_figure",
    "save_raster",
    "summary",
    "surrogate_figure",
    "traces_figure",
]

_HEAVY = {
    "confusion": ("confusion_figure",),
    "delays": ("LayerDelays", "delays_figure"),
    "evaluation": ("evaluation_figure",),
    "figures": ("accuracy_figure", "firing_rate_figure", "loss_figure", "membrane_figure", "raster_figure"),
    "parameters": ("parameters_figure",),
    "raster": ("Example", "StepLabels", "save_raster"),
    "search": ("history_figure", "importance_figure"),
    "draw_traces": ("overlay_figure", "traces_figure"),
    "views": ("encoder_animation", "encoder_figure", "rate_figure", "surrogate_figure"),
}


def __getattr__(name: str) -> object:
    # PEP 562: called only for names that are not imported yet: names of heavy modules.
    for module, names in _HEAVY.items():
        if name in names:
            return getattr(importlib.import_module(f"snnrun.report.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
