"""The layers of a run by its epoch records, as rows for a table; the records may be a stranger's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from snnrun.system.safe_read import printable
from snnrun.training.records import EpochRecord, LayerActivity, LayerGradient, ParameterSummary

MOST = 200  # rows
LONGEST = 60  # letters of a name
MOST_BINS = 100
BLOCKS = "▁▂▃▄▅▆▇█"


class LayerRow(NamedTuple):
    """A layer in one epoch. A read-out that never fires has no activity, one without parameters no gradient."""

    layer: str
    activity: LayerActivity | None
    gradient: LayerGradient | None


class ParameterRow(NamedTuple):
    """A learnable parameter of the neurons of a layer."""

    layer: str
    parameter: str
    first: float  # mean in the first epoch with this parameter
    values: ParameterSummary

    @property
    def histogram(self) -> str:
        """A block for each bin from low to high; empty without a histogram."""
        return blocks(self.values.histogram or ())


def layer_rows(record: EpochRecord) -> list[LayerRow]:
    """Every layer of an epoch record, read-outs that never fire included, in their order."""
    activity, gradients = record.layers, record.gradients or {}
    names = list(dict.fromkeys([*activity, *gradients]))[:MOST]
    return [LayerRow(printable(name, LONGEST), activity.get(name), gradients.get(name)) for name in names]


def parameter_rows(epochs: Sequence[EpochRecord], at: int = -1) -> list[ParameterRow]:
    """Every learnable parameter of neurons in the record ``epochs[at]``, beside its mean in the first epoch."""
    if not epochs:
        return []
    first: dict[tuple[str, str], float] = {}
    for record in epochs:
        for layer, name, values in _parameters(record):
            first.setdefault((layer, name), values.mean)
    return [
        ParameterRow(printable(layer, LONGEST), printable(name, LONGEST), first[layer, name], values)
        for layer, name, values in islice(_parameters(epochs[at]), MOST)
    ]


def blocks(counts: Sequence[int]) -> str:
    """A histogram as text: a block for each bin, as high as its count; empty without counts."""
    counts = counts[:MOST_BINS]
    return "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // max(counts))] for count in counts) if any(counts) else ""


def _parameters(record: EpochRecord) -> Iterator[tuple[str, str, ParameterSummary]]:
    for layer, parameters in (record.neuron_parameters or {}).items():
        for name, values in parameters.items():
            yield layer, name, values
