"""What the epoch records of a run say of its layers, as rows for a table; the records may be a stranger's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from snnrun.system.safe_read import number, printable

MOST = 200  # rows
LONGEST = 60  # letters of a name
ACTIVITY = ("neurons", "firing_rate", "silent", "saturated")
BLOCKS = "▁▂▃▄▅▆▇█"

Record = Mapping[str, Any]


class LayerRow(NamedTuple):
    """A layer in one epoch; a number that is missing is None."""

    layer: str
    neurons: float | None
    firing_rate: float | None
    silent: float | None
    saturated: float | None
    gradient_norm: float | None


class ParameterRow(NamedTuple):
    """A parameter that the neurons of a layer learn; a number that is missing is None."""

    layer: str
    parameter: str
    first: float | None  # mean of the first epoch that has it
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    histogram: str  # a block for each bin from low to high; empty where there is none


def layer_rows(record: Record) -> list[LayerRow]:
    """Every layer of an epoch record, read-outs that never fire included, in their order."""
    activity, gradients = _mappings(record.get("layers")), _mappings(record.get("gradients"))
    rows = []
    for name in list(dict.fromkeys([*activity, *gradients]))[:MOST]:
        found, norm = activity.get(name, {}), number(gradients.get(name, {}).get("norm"))
        neurons, rate, silent, saturated = (number(found.get(key)) for key in ACTIVITY)
        rows.append(LayerRow(printable(name, LONGEST), neurons, rate, silent, saturated, norm))
    return rows


def parameter_rows(epochs: Sequence[Record], at: int = -1) -> list[ParameterRow]:
    """Every learnable parameter of neurons in the record ``epochs[at]``, beside its mean in the first epoch."""
    if not epochs:
        return []
    before: dict[tuple[str, str], float | None] = {}
    for record in epochs:
        for layer, name, values in _parameters(record):
            before.setdefault((layer, name), number(values.get("mean")))
    rows = []
    for layer, name, values in islice(_parameters(epochs[at]), MOST):
        mean, sd, low, high = (number(values.get(key)) for key in ("mean", "sd", "min", "max"))
        first, histogram = before.get((layer, name)), blocks(values.get("histogram"))
        rows.append(
            ParameterRow(printable(layer, LONGEST), printable(name, LONGEST), first, mean, sd, low, high, histogram)
        )
    return rows


def blocks(counts: Any) -> str:
    """A histogram as text: a block for each bin, as high as its count; empty for what is no histogram."""
    numbers = [number(count) for count in counts[:100]] if isinstance(counts, list) else []
    whole = [value for value in numbers if value is not None and value >= 0]
    if len(whole) != len(numbers) or not any(whole):
        return ""
    return "".join(BLOCKS[-int(-value * (len(BLOCKS) - 1) // max(whole))] for value in whole)


def _parameters(record: Record) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for layer, found in _mappings(record.get("neuron_parameters")).items():
        for name, values in _mappings(found).items():
            yield layer, name, values


def _mappings(value: Any) -> dict[str, dict[str, Any]]:
    return {k: v for k, v in value.items() if isinstance(v, dict)} if isinstance(value, dict) else {}
