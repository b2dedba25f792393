"""One sample of recorded traces as arrays [T, N], for the raster and membrane figures and ``raster.npz``."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.system.files import make_folder, write_bytes
from snnrun.system.safe_read import printable

Floats = NDArray[np.float32]
LONGEST_NAME = 27  # letters of a class's name in a figure


class Row(NamedTuple):
    """One layer, one sample."""

    name: str
    spikes: Floats  # [T, N]; for an input that is a current: its values
    membrane: Floats | None  # [T, N]; None for the input


class StepLabels(NamedTuple):
    """The class of each step and the predicted class, ``[T]`` each, from 0 on; -1: a step without a label."""

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]

    def score(self) -> tuple[int, int]:
        """Number of steps whose class is correct, and of steps with a label."""
        labelled = self.true >= 0
        return int((labelled & (self.true == self.predicted)).sum()), int(labelled.sum())


class Example(NamedTuple):
    """The test sample that figures show.

    Attributes:
        number: its index in the test set, from 0 on.
        classes: a name for each label; empty if there are no labels.
        label, prediction: its class, and the class predicted from the spikes in the figure; None without labels.
        image: ``[1 or 3, H, W]`` with values in [0, 1], if the sample is a still image.
        tied: number of classes with the largest score; the prediction is the first of them.
        steps: its labels over time; None unless steps have labels.
    """

    number: int = 0
    classes: Sequence[str] = ()
    label: int | None = None
    prediction: int | None = None
    image: Floats | None = None
    tied: int = 1
    steps: StepLabels | None = None

    def words(self) -> str:
        """Index, class and prediction."""
        words = f"test sample {self.number}"
        if self.steps is not None:
            correct, labels = self.steps.score()
            return f"{words}: {correct:,} of {labels:,} steps correct"
        if self.label is None or self.prediction is None:
            return words
        verdict = tie(self.tied) or ("correct" if self.label == self.prediction else "wrong")
        return f"{words}: class {self.name_of(self.label)}, prediction {self.name_of(self.prediction)} ({verdict})"

    def name_of(self, label: int) -> str:
        """The name of a class, or its number."""
        return printable(self.classes[label], LONGEST_NAME) if 0 <= label < len(self.classes) else str(label)


def tie(count: int) -> str:
    """Words about a prediction that is the first of ``count`` classes with the largest score; empty for one."""
    return f"a tie of {count} classes, the first counts" if count > 1 else ""


def rows(traces: Mapping[str, Any], sample: int = 0) -> list[Row]:
    """The layers in order. A value is a trace (spikes and membrane [T, B, *N]) or, for "input", a bare tensor."""
    return [
        Row(name, one_sample(trace.spikes, sample), one_sample(trace.membrane, sample))
        if hasattr(trace, "membrane")
        else Row(name, one_sample(trace, sample), None)
        for name, trace in traces.items()
    ]


def one_sample(sequence: Any, sample: int) -> Floats:
    """[T, B, *N] to [T, N] in float32, whatever the device and dtype of the tensor."""
    values = to_array(sequence[:, sample])
    return values.reshape(len(values), -1)


def to_array(values: Any) -> Floats:
    """A tensor or array in float32 on the CPU."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()  # .float(): numpy has no bfloat16
    return np.asarray(values, dtype=np.float32)


def is_spike_train(values: Floats) -> bool:
    """True if all values are 0, 1, or (the downward events of delta coding) -1."""
    return bool(np.isin(values, (-1.0, 0.0, 1.0)).all())


def thin(count: int, limit: int) -> NDArray[np.intp]:
    """At most ``limit`` of ``count`` indices, spread evenly from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(np.intp))


def save_raster(
    traces: Mapping[str, Any], input_train: Any, path_npz: Path, sample: int = 0, example: Example | None = None
) -> None:
    """Write the numbers behind the raster: "input", and "<layer>.spikes" and "<layer>.membrane" for each layer.

    All are [T, N] of one sample: spikes uint8, membranes float32; the input is int8 if it has downward events and
    float32 if it is a current. ``traces``: layer to trace, ``input_train``: [T, B, *N], both of the same batch.
    ``example`` adds "sample", its index in the test set, and if known "label", "prediction" and "tied", the number of
    classes with the largest score: each one int64. Labels over time are "step_labels" and "step_predictions", int64
    ``[T]``; a label of -1 is none. A still image is "image", uint8 ``[1 or 3, H, W]``, 0 is black.
    """
    train = one_sample(input_train, sample)
    kind = np.float32 if not is_spike_train(train) else np.uint8 if train.min(initial=0) >= 0 else np.int8
    arrays: dict[str, Any] = {"input": train.astype(kind)}
    for name, spikes, membrane in rows(traces, sample):
        if membrane is not None:
            arrays[f"{name}.spikes"] = spikes.astype(np.uint8)
            arrays[f"{name}.membrane"] = membrane
    if example is not None:
        facts = {"sample": example.number, "label": example.label, "prediction": example.prediction}
        facts["tied"] = None if example.prediction is None else example.tied
        if example.steps is not None:
            arrays |= {"step_labels": example.steps.true, "step_predictions": example.steps.predicted}
        if example.image is not None:
            arrays["image"] = np.rint(255 * np.clip(np.nan_to_num(example.image), 0, 1)).astype(np.uint8)
        arrays |= {name: np.int64(value) for name, value in facts.items() if value is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    if not path_npz.parent.exists():
        make_folder(path_npz.parent)
    write_bytes(path_npz, buffer.getvalue())
