"""The fields of ``metrics.jsonl`` and ``result.json``, with their types, in the order of the file.

``to_json`` returns the object of the file. ``from_json`` reads any object, such as a stranger's or an earlier
version's, and never fails: a number that is missing or of another type becomes NaN (a count 0), an optional field None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from types import UnionType
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from snnrun.system.files import plain
from snnrun.system.safe_read import number, whole

T = TypeVar("T", bound="Entry")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A JSON object whose fields are known. A field that is None is left out; null stands for NaN and infinity."""

    NULL: ClassVar[float | None] = math.nan  # the meaning of null in an optional number

    def to_json(self) -> dict[str, Any]:
        """The object, as strict JSON."""
        return {name: _json(value) for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_json(cls: type[T], values: Mapping[str, Any]) -> T:
        """The object with the fields that ``values`` has."""
        return cls(**{name: read(values[name]) if name in values else none for name, read, none in _readers(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class LayerActivity(Entry):
    """The activity of a layer in an epoch.

    Attributes:
        neurons: their number; None in records without it.
        firing_rate: spikes per neuron and time step.
        silent: share of neurons without a spike.
        saturated: share of neurons that fired at every step.
    """

    neurons: int | None = None
    firing_rate: float
    silent: float
    saturated: float


@dataclass(frozen=True, kw_only=True)
class LayerGradient(Entry):
    """The gradient of the last batch of an epoch in a layer.

    Attributes:
        norm: 2-norm over all parameters of the layer.
        zero: share of its neurons that the gradient does not reach.
    """

    norm: float
    zero: float


@dataclass(frozen=True, kw_only=True)
class ParameterSummary(Entry):
    """The values of a learnable parameter of the neurons of a layer.

    Attributes:
        sd: standard deviation over the layer.
        histogram: number of values in each of 20 equal bins from ``min`` to ``max``; None if all are equal.
    """

    mean: float
    sd: float
    min: float
    max: float
    histogram: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class LogRecord(Entry):
    """A line of ``metrics.jsonl``, which begins with its kind.

    Attributes:
        epoch: from 1 on.
        step: training steps since the start of the run.
    """

    kind: ClassVar[str]

    epoch: int
    step: int

    def to_json(self) -> dict[str, Any]:
        """The line, as strict JSON."""
        return {"kind": self.kind, **super().to_json()}


@dataclass(frozen=True, kw_only=True)
class StepRecord(LogRecord):
    """A training step.

    Attributes:
        accuracy: share of correct samples in the batch; None for a task without classes.
        gradient_norm: of all gradients together, before clipping.
        time: seconds since training began.
    """

    kind: ClassVar[str] = "step"

    loss: float
    accuracy: float | None = None
    learning_rate: float
    samples_per_second: float
    gradient_norm: float
    time: float


@dataclass(frozen=True, kw_only=True)
class EpochRecord(LogRecord):
    """An epoch.

    Attributes:
        train_accuracy, train_r2, validation_accuracy, validation_r2: None if the task has none.
        validation_loss: None, like the other two, without a validation set.
        test_loss, test_accuracy, test_r2: after the epoch; None unless ``report.test_every_epoch``.
        learning_rate: of the epoch's last step.
        seconds: of training, without validation.
        best: True if the validation loss is the lowest so far.
        time: seconds since training began.
        layers: activity of each layer that fires.
        gradients: of the last batch, by layer.
        neuron_parameters: learnable parameters of neurons, by layer and name.
    """

    kind: ClassVar[str] = "epoch"

    train_loss: float
    train_accuracy: float | None = None
    train_r2: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_r2: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_r2: float | None = None
    learning_rate: float
    samples_per_second: float
    seconds: float
    best: bool
    time: float
    layers: Mapping[str, LayerActivity]
    gradients: Mapping[str, LayerGradient] | None = None
    neuron_parameters: Mapping[str, Mapping[str, ParameterSummary]] | None = None


@dataclass(frozen=True, kw_only=True)
class WarningRecord(LogRecord):
    """Something that is not finite, where ``on_nonfinite=warn`` lets training go on.

    Attributes:
        lost: number of neurons with values that are not finite, by parameter.
    """

    kind: ClassVar[str] = "warning"

    message: str
    lost: Mapping[str, int]


KINDS: Mapping[Any, type[LogRecord]] = {each.kind: each for each in (StepRecord, EpochRecord, WarningRecord)}


def record_of(values: Mapping[str, Any]) -> LogRecord | None:
    """The record in a line of ``metrics.jsonl``; None for an unknown kind."""
    kind = values.get("kind")
    return KINDS[kind].from_json(values) if isinstance(kind, str) and kind in KINDS else None


def of_kind(records: Iterable[LogRecord], kind: type[T]) -> list[T]:
    """The records of one kind, in order."""
    return [record for record in records if isinstance(record, kind)]


def best_of(epochs: Iterable[EpochRecord]) -> int | None:
    """The index of the best epoch: the last with ``best``."""
    return max((i for i, record in enumerate(epochs) if record.best), default=None)


@dataclass(frozen=True, kw_only=True)
class Result(Entry):
    """``result.json``: how a command ended, and its results in the fields of a subclass.

    Attributes:
        status: finished, failed or interrupted; empty while it runs.
        error: why it failed.
        pruned: True if a search ended the run early.
    """

    NULL: ClassVar[float | None] = None
    #: Fields that the file has even if they are None: after a command that finished, and after any other.
    NULLS: ClassVar[tuple[str, ...]] = ()
    NULLS_UNFINISHED: ClassVar[tuple[str, ...]] = ("error",)

    status: str = ""
    error: str | None = None
    pruned: bool = False

    @property
    def finished(self) -> bool:
        """True if the command came to its end."""
        return self.status == "finished"

    def to_json(self) -> dict[str, Any]:
        """The content of the file, as strict JSON."""
        values, nulls = super().to_json(), self.NULLS if self.finished else self.NULLS_UNFINISHED
        names = [each.name for each in fields(self) if each.name in values or each.name in nulls]
        return {name: values.get(name) for name in names if name != "pruned" or self.pruned}


@dataclass(frozen=True, kw_only=True)
class RunResult(Result):
    """The result of a training run.

    Attributes:
        test_accuracy, test_loss, test_r2: of the test set; None if the task has none.
        last_test_accuracy, last_test_loss, last_test_r2: the same with the weights of the last epoch.
        best_test_accuracy, best_test_r2, best_test_epoch: the best of all epochs on the test set, which a choice by the
            test set would report; None unless ``report.test_every_epoch``.
        best_epoch: its weights were tested; None without a validation set, then the last epoch's were.
        epochs: their number.
        samples_per_second: of the median epoch.
        parameters: number of trainable values.
        weights_sha256: of the weights after the last step.
        test_accuracy_by_class: None for a class without samples.
        test_confusion: samples; a row for each class, in it a column for each prediction.
    """

    NULLS: ClassVar[tuple[str, ...]] = ("test_accuracy", "test_loss", "best_epoch")
    NULLS_UNFINISHED: ClassVar[tuple[str, ...]] = ("error", "test_accuracy", "test_loss")

    test_accuracy: float | None = None
    test_loss: float | None = None
    test_r2: float | None = None
    last_test_accuracy: float | None = None
    last_test_loss: float | None = None
    last_test_r2: float | None = None
    best_test_accuracy: float | None = None
    best_test_r2: float | None = None
    best_test_epoch: int | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    samples_per_second: float | None = None
    seconds: float | None = None
    parameters: int | None = None
    weights_sha256: str | None = None
    test_accuracy_by_class: Mapping[str, float | None] | None = None
    test_confusion: tuple[tuple[int, ...], ...] | None = None


#: Fields of records and results that depend on the clock.
TIMES = ("time", "seconds", "samples_per_second")


def _json(value: Any) -> Any:
    if type(value) in (int, str, bool):  # most are
        return value
    if isinstance(value, Entry):
        return value.to_json()
    return {key: _json(item) for key, item in value.items()} if isinstance(value, Mapping) else plain(value)


Read = Callable[[Any], Any]


@lru_cache
def _readers(cls: type[Entry]) -> tuple[tuple[str, Read, Any], ...]:
    """The name of each field, the function that reads it, and its value if it is missing."""
    hints = get_type_hints(cls)
    readers = ((each.name, hints[each.name], _reader(hints[each.name], cls.NULL)) for each in fields(cls))
    return tuple((name, read, None if isinstance(hint, UnionType) else read(None)) for name, hint, read in readers)


def _reader(hint: Any, null: float | None) -> Read:
    """Returns a function that reads a value of a type: anything else becomes the type's zero, or None if optional."""
    if isinstance(hint, UnionType):
        (kind,) = (each for each in get_args(hint) if each is not type(None))
        return _with_default(number, null) if kind is float else _optional_reader(kind, null)
    return _with_default(_optional_reader(hint, null), _ZEROS.get(hint, {}))


def _optional_reader(kind: Any, null: float | None) -> Read:
    """Returns a function that reads a value of a type: anything else becomes None."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, type) and issubclass(kind, Entry):
        return lambda value: kind.from_json(value) if isinstance(value, Mapping) else None
    first, last = get_args(kind)
    if get_origin(kind) is tuple:
        return _tuple_reader(_optional_reader(first, null))
    optional = isinstance(last, UnionType)
    read = _reader(last, null) if optional else _optional_reader(last, null)

    def mapping(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return None
        pairs = ((key, read(each)) for key, each in value.items())
        return {key: each for key, each in pairs if optional or each is not None}

    return mapping


def _with_default(read: Read, default: Any) -> Read:
    def value_or_default(value: Any) -> Any:
        return default if (result := read(value)) is None else result

    return value_or_default


def _tuple_reader(read: Read) -> Read:
    """All items of a list, or None where one is of another type."""

    def items(value: Any) -> Any:
        values = tuple(map(read, value)) if isinstance(value, (list, tuple)) else (None,)
        return None if None in values else values

    return items


_SCALARS: Mapping[Any, Read] = {
    int: whole,
    float: number,
    bool: lambda value: value if isinstance(value, bool) else None,
    str: lambda value: value if isinstance(value, str) else None,
}
_ZEROS: Mapping[Any, Any] = {int: 0, float: math.nan, bool: False, str: ""}
