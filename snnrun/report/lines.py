"""How a record reads as text: the line of an epoch, and the words beside the progress bar."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def epoch_line(record: Record, epochs: int | None = None, width: int | None = None) -> str:
    """``epoch  3/10  loss 0.412  validation 0.388  accuracy 93.1 %  silent 12 %  11,204 samples/s``.

    The accuracy is that of validation, or of training where there is no other. What a record lacks is left out. For a
    line of at most ``width`` letters words are shortened first; then the speed is left out, and the silent share.
    """
    validation = number(record["validation_loss"]) if "validation_loss" in record else None
    accuracy = record.get("validation_accuracy", record.get("train_accuracy"))
    share = None if accuracy is None else f"{percent(accuracy, 1):>5} %"
    silent = silent_share(record)
    quiet = None if silent is None else f"{percent(silent):>3} %"
    speed = record.get("samples_per_second")
    long = [
        f"epoch {epoch_of(record, epochs)}",
        f"loss {number(record.get('train_loss')):>5}",
        validation and f"validation {validation:>5}",
        share and f"accuracy {share}",
        quiet and f"silent {quiet}",
        None if speed is None else f"{whole(speed):>7} samples/s",
    ]
    short = [long[0], long[1], validation and f"val {validation:>5}", share, long[4], speed and f"{whole(speed):>7}/s"]
    return _first_that_fits([long, short, short[:-1], short[:-2]], width) or _joined(short[:2])


def step_words(record: Record, silent: float | None, width: int) -> str:
    """Loss, accuracy, silent share and speed in at most ``width`` characters: shortened first, then dropped."""
    loss = f"loss {number(record.get('loss'))}"
    accuracy = percent(record["accuracy"], 1) if record.get("accuracy") is not None else None
    speed = whole(record["samples_per_second"]) if record.get("samples_per_second") is not None else None
    quiet = f"silent {percent(silent)} %" if silent is not None else None
    long = [loss, accuracy and f"accuracy {accuracy} %", quiet, speed and f"{speed} samples/s"]
    short = [loss, accuracy and f"{accuracy} %", quiet, speed and f"{speed}/s"]
    return _first_that_fits([long, short, short[:3], short[:2], short[:1]], width)


def _first_that_fits(lines: Iterable[Sequence[str | None]], width: int | None) -> str:
    return next((text for text in map(_joined, lines) if width is None or len(text) <= width), "")


def _joined(words: Sequence[str | None]) -> str:
    return "  ".join(word for word in words if word)


def epoch_of(record: Record, epochs: int | None) -> str:
    """`` 3/10``, so that all epochs of a run take the same width."""
    return str(record["epoch"]) if epochs is None else f"{record['epoch']:>{len(str(epochs))}}/{epochs}"


def silent_share(record: Record) -> float | None:
    """The share of silent neurons, over all layers that say how many ``neurons`` they have; else the layers' mean."""
    layers = [layer for layer in (record.get("layers") or {}).values() if layer.get("silent") is not None]
    weights = [layer.get("neurons", 1) for layer in layers]
    if not sum(weights):
        return None
    return float(sum(weight * layer["silent"] for weight, layer in zip(weights, layers, strict=True)) / sum(weights))


def number(value: Any) -> str:
    """A loss, to three figures or decimals: 0.412, 12.3, 4.12e-05, nan."""
    if value is None:
        return "nan"  # strict JSON writes what is not finite as null
    size = abs(value)
    if not math.isfinite(size) or size >= 1000 or 0 < size < 0.001:
        return f"{value:.3g}" if not math.isfinite(size) else f"{value:.2e}"
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"


def percent(share: float, digits: int = 0) -> str:
    """A share in per cent, without the sign."""
    return f"{100 * share:.{digits}f}"


def whole(value: float) -> str:
    """A large number with separators."""
    return f"{value:,.0f}"
