"""What a run tells: figures, the model's summary, the manifest, the console. Importing this package stays cheap.

matplotlib (figures), torchinfo (summary) and rich (console on a terminal) are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from snnrun.report.activity import activity_warnings
from snnrun.report.console import Console
from snnrun.report.manifest import manifest
from snnrun.report.summary import summary

if TYPE_CHECKING:
    from snnrun.report.figures import (
        accuracy_figure,
        firing_rate_figure,
        loss_figure,
        membrane_figure,
        raster_figure,
    )
    from snnrun.report.raster import save_raster

__all__ = [
    "Console",
    "accuracy_figure",
    "activity_warnings",
    "firing_rate_figure",
    "loss_figure",
    "manifest",
    "membrane_figure",
    "raster_figure",
    "save_raster",
    "summary",
]


def __getattr__(name: str) -> object:
    # PEP 562: only the names above whose modules are heavy come this way.
    if name == "save_raster":
        from snnrun.report import raster

        return raster.save_raster
    if name in __all__ and name.endswith("_figure"):
        from snnrun.report import figures

        return getattr(figures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
