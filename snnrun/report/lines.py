"""Records as text: the line of an epoch, and the words beside the progress bar."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from snnrun.system.format import count, percent
from snnrun.training.records import EpochRecord, LogRecord, StepRecord


def epoch_line(record: EpochRecord, epochs: int | None = None, width: int | None = None) -> str:
    """``epoch  3/10  loss 0.412  validation 0.388  accuracy 93.1 %  silent 12 %  11,204 samples/s``.

    The accuracy is the validation accuracy, or the training accuracy if there is no other. Unknown values are left
    out. To fit ``width`` letters, words are shortened first; then the speed is left out, then the silent share.
    """
    validation = None if record.validation_loss is None else number(record.validation_loss)
    accuracy = record.train_accuracy if record.validation_accuracy is None else record.validation_accuracy
    share, quiet, speed = percent(accuracy), percent(silent_share(record), 0), count(record.samples_per_second)
    long = [
        f"epoch {epoch_of(record, epochs)}",
        f"loss {number(record.train_loss):>5}",
        validation and f"validation {validation:>5}",
        share and f"accuracy {share:>7}",
        quiet and f"silent {quiet:>5}",
        speed and f"{speed:>7} samples/s",
    ]
    short = [
        *long[:2],
        validation and f"val {validation:>5}",
        share and f"{share:>7}",
        long[4],
        speed and f"{speed:>7}/s",
    ]
    return _first_that_fits([long, short, short[:-1], short[:-2]], width) or _join(short[:2])


def step_words(record: StepRecord, silent: float | None, width: int) -> str:
    """Loss, accuracy, silent share and speed in at most ``width`` characters: shortened first, then dropped."""
    loss = f"loss {number(record.loss)}"
    accuracy, speed = percent(record.accuracy), count(record.samples_per_second)
    quiet = f"silent {percent(silent, 0)}" if silent is not None else None
    long = [loss, accuracy and f"accuracy {accuracy}", quiet, speed and f"{speed} samples/s"]
    short = [loss, accuracy, quiet, speed and f"{speed}/s"]
    return _first_that_fits([long, short, short[:3], short[:2], short[:1]], width)


def _first_that_fits(lines: Iterable[Sequence[str | None]], width: int | None) -> str:
    return next((text for text in map(_join, lines) if width is None or len(text) <= width), "")


def _join(words: Sequence[str | None]) -> str:
    return "  ".join(word for word in words if word)


def epoch_of(record: LogRecord, epochs: int | None) -> str:
    """`` 3/10``, so that all epochs of a run take the same width."""
    return str(record.epoch) if epochs is None else f"{record.epoch:>{len(str(epochs))}}/{epochs}"


def silent_share(record: EpochRecord) -> float | None:
    """The share of silent neurons over all layers, weighted by the number of ``neurons``; 1 for an unknown number."""
    layers = [layer for layer in record.layers.values() if not math.isnan(layer.silent)]
    weights = [1 if layer.neurons is None else layer.neurons for layer in layers]
    if not sum(weights):
        return None
    return sum(weight * layer.silent for weight, layer in zip(weights, layers, strict=True)) / sum(weights)


def number(value: float) -> str:
    """A loss, to three figures or decimals: 0.412, 12.3, 4.12e-05, nan."""
    size = abs(value)
    if not math.isfinite(size) or size >= 1000 or 0 < size < 0.001:
        return f"{value:.3g}" if not math.isfinite(size) else f"{value:.2e}"
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"
