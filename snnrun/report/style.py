"""The style sheet of all figures (sizes, colours by quantity, light and dark), and the writing of a figure.

No pyplot, no display, no global setting that outlives a call; a user's matplotlibrc has no effect.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from snnrun.config.settings import Style
from snnrun.system.files import make_folder, write_bytes

DPI = 150
WIDTH = 8.0  # inches
HEIGHT = 5.0

# The palette of Okabe and Ito (2008), safe for the colour-blind. One quantity has one colour in every figure.
TRAINING, VALIDATION, INPUT, DOWN = "#0072B2", "#D55E00", "#4D4D4D", "#D55E00"
LAYERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", ":", "-.")  # distinguish layer 5 from layer 1, which has the same colour

STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "agg.path.chunksize": 10_000,
    "svg.hashsalt": "snnrun",  # the same figure, the same file
}


class Palette(NamedTuple):
    """The colour of each quantity in one theme; the curves of an overlay take ``cycle`` in turn."""

    paper: str
    ink: str  # text, axes, threshold, spikes
    faint: str  # grid, and captions' grey
    caption: str
    input: str
    down: str  # negative spikes
    training: str
    validation: str
    layers: tuple[str, ...]  # in turn, from the first after the input
    membrane: str
    states: tuple[str, ...]  # synaptic current, adaptation and the like, in the order of the state
    gradient: str
    primitive: str
    cycle: tuple[str, ...]


LIGHT = Palette(
    paper="#FFFFFF",
    ink="#000000",
    faint="#E5E5E5",
    caption="#595959",
    input=INPUT,
    down=DOWN,
    training=TRAINING,
    validation=VALIDATION,
    layers=LAYERS,
    membrane=LAYERS[0],
    states=("#CC79A7", "#E69F00", "#56B4E9"),
    gradient="#D55E00",
    primitive="#0072B2",
    cycle=("#009E73", "#D55E00", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9"),
)
# The two darkest colours of the palette are lighter here, to stand out from the dark paper.
DARK = Palette(
    paper="#16191D",
    ink="#F2F2F2",
    faint="#33383F",
    caption="#A9AFB7",
    input="#B5BBC4",
    down="#F2792B",
    training="#4AA3E0",
    validation="#F2792B",
    layers=("#14B88A", "#D892BA", "#E69F00", "#8CCBF2"),
    membrane="#14B88A",
    states=("#D892BA", "#E69F00", "#56B4E9"),
    gradient="#F2792B",
    primitive="#4AA3E0",
    cycle=("#14B88A", "#F2792B", "#4AA3E0", "#D892BA", "#E6B422", "#8CCBF2"),
)


def palette(style: Style) -> Palette:
    """The colours of the style's theme."""
    return DARK if style.theme == "dark" else LIGHT


class NotebookFigure(Figure):
    """A figure that a notebook shows inline, without pyplot or a display."""

    def _repr_png_(self) -> bytes:
        FigureCanvasAgg(self)
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", facecolor=self.get_facecolor())
        return buffer.getvalue()


def picture(height: float = HEIGHT) -> Figure:
    """An empty figure of the common width."""
    return NotebookFigure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


@contextmanager
def sheet(style: Style) -> Iterator[Palette]:
    """Figures drawn within this context have this style."""
    colours = palette(style)
    parameters = {
        **STYLE,
        "figure.facecolor": colours.paper,
        "savefig.facecolor": colours.paper,
        "axes.facecolor": colours.paper,
        "text.color": colours.ink,
        "axes.edgecolor": colours.ink,
        "axes.labelcolor": colours.ink,
        "xtick.color": colours.ink,
        "ytick.color": colours.ink,
        "grid.color": colours.faint,
    }
    with matplotlib.style.context(parameters, after_reset=True):
        yield colours


def save(draw: Callable[[], Figure | None], folder: Path, name: str, style: Style) -> list[Path]:
    """Draw, and write ``name`` in every format of the style. Returns the files; none if there is nothing to draw.

    Creates ``folder`` in an existing folder if it is missing.
    """
    with sheet(style), warnings.catch_warnings():
        # A class may have a name in any script; the font shows missing characters as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = draw()
        if figure is None:
            return []
        figure.set_dpi(style.dpi)
        FigureCanvasAgg(figure)
        if not folder.exists():
            make_folder(folder)
        return [_write(figure, folder / f"{name}.{kind}", style.dpi) for kind in style.format]


def ink_map(colours: Palette) -> LinearSegmentedColormap:
    """A colour map from paper to ink, so that zero is the paper in both themes."""
    return LinearSegmentedColormap.from_list("ink", [colours.paper, colours.ink])


def _write(figure: Figure, path: Path, dpi: int) -> Path:
    buffer = io.BytesIO()
    kind = path.suffix[1:]
    # Without a date the same figure gives the same file.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    if kind == "png":
        FigureCanvasAgg(figure).print_png(buffer)  # the same file; savefig draws once more, for the layout
    else:
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    write_bytes(path, buffer.getvalue())
    return path
