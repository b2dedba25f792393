"""What stands in ``metrics.jsonl`` and ``result.json``: every field once, with its type, in the order of the file.

``to_json`` gives the object of the file. ``from_json`` reads any object, a stranger's or one of an earlier version, and
never fails: a number that is missing or of another type becomes NaN (a count 0), an optional field None.
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

    NULL: ClassVar[float | None] = math.nan  # what null means in an optional number

    def to_json(self) -> dict[str, Any]:
        """The object, as strict JSON."""
        return {name: _json(value) for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_json(cls: type[T], values: Mapping[str, Any]) -> T:
        """The object as it was, as far as ``values`` has its fields."""
        return cls(**{name: read(values[name]) if name in values else none for name, read, none in _readers(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class LayerActivity(Entry):
    """What the neurons of a layer did in an epoch.

    Attributes:
        neurons: how many there are; None in records that do not say so.
        firing_rate: spikes per neuron and time step.
        silent: share of neurons that never fired.
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
    """The values of a parameter that the neurons of a layer learn.

    Attributes:
        sd: standard deviation over the layer.
        histogram: how many values lie in each of 20 equal bins from ``min`` to ``max``; None where all are equal.
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
        accuracy: share of the batch that was right; None where the task has no classes.
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
        train_accuracy, train_r2, validation_accuracy, validation_r2: None where the task has none.
        validation_loss: None, like the other two, without a validation part.
        learning_rate: of the epoch's last step.
        seconds: of training, without validation.
        best: whether the validation loss is the lowest so far.
        time: seconds since training began.
        layers: what the neurons of each layer that fires did.
        gradients: of the last batch, by layer.
        neuron_parameters: what neurons learn, by layer and name.
    """

    kind: ClassVar[str] = "epoch"

    train_loss: float
    train_accuracy: float | None = None
    train_r2: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_r2: float | None = None
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
        lost: for each parameter that training has broken, how many neurons.
    """

    kind: ClassVar[str] = "warning"

    message: str
    lost: Mapping[str, int]


KINDS: Mapping[Any, type[LogRecord]] = {each.kind: each for each in (StepRecord, EpochRecord, WarningRecord)}


def record_of(values: Mapping[str, Any]) -> LogRecord | None:
    """The record that a line of ``metrics.jsonl`` holds; None for a kind that there is not."""
    kind = values.get("kind")
    return KINDS[kind].from_json(values) if isinstance(kind, str) and kind in KINDS else None


def of_kind(records: Iterable[LogRecord], kind: type[T]) -> list[T]:
    """The records of one kind, in order."""
    return [record for record in records if isinstance(record, kind)]


def best_of(epochs: Iterable[EpochRecord]) -> int | None:
    """The index of the best epoch: every one that was the best so far is marked, and the last mark counts."""
    return max((i for i, record in enumerate(epochs) if record.best), default=None)


@dataclass(frozen=True, kw_only=True)
class Result(Entry):
    """``result.json``: how a command ended, and what it found, in the fields of a subclass.

    Attributes:
        status: finished, failed or interrupted; empty while it runs.
        error: why it failed.
        pruned: whether a search ended the run early.
    """

    NULL: ClassVar[float | None] = None
    #: Fields that stand in the file even where they are None: of a command that finished, and of one that did not.
    NULLS: ClassVar[tuple[str, ...]] = ()
    NULLS_UNFINISHED: ClassVar[tuple[str, ...]] = ("error",)

    status: str = ""
    error: str | None = None
    pruned: bool = False

    @property
    def finished(self) -> bool:
        """Whether the command came to its end."""
        return self.status == "finished"

    def to_json(self) -> dict[str, Any]:
        """The content of the file, as strict JSON."""
        there, nulls = super().to_json(), self.NULLS if self.finished else self.NULLS_UNFINISHED
        names = [each.name for each in fields(self) if each.name in there or each.name in nulls]
        return {name: there.get(name) for name in names if name != "pruned" or self.pruned}


@dataclass(frozen=True, kw_only=True)
class RunResult(Result):
    """The result of a training run.

    Attributes:
        test_accuracy, test_loss, test_r2: of the test set; None where the task has none.
        best_epoch: whose weights were tested; None without a validation part, where those of the last epoch were.
        epochs: that were trained.
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
    best_epoch: int | None = None
    epochs: int | None = None
    samples_per_second: float | None = None
    seconds: float | None = None
    parameters: int | None = None
    weights_sha256: str | None = None
    test_accuracy_by_class: Mapping[str, float | None] | None = None
    test_confusion: tuple[tuple[int, ...], ...] | None = None


#: What depends on the clock, in records and results.
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
    """Of each field its name, what reads it, and what it is where it is missing."""
    hints = get_type_hints(cls)
    readers = ((each.name, hints[each.name], _reader(hints[each.name], cls.NULL)) for each in fields(cls))
    return tuple((name, read, None if isinstance(hint, UnionType) else read(None)) for name, hint, read in readers)


def _reader(hint: Any, null: float | None) -> Read:
    """What reads a value of a type: anything else becomes the type's nought, or None where that is allowed."""
    if isinstance(hint, UnionType):
        (kind,) = (each for each in get_args(hint) if each is not type(None))
        return _or(number, null) if kind is float else _found(kind, null)
    return _or(_found(hint, null), _NOUGHT.get(hint, {}))


def _found(kind: Any, null: float | None) -> Read:
    """What reads a value of a type: anything else becomes None."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, type) and issubclass(kind, Entry):
        return lambda value: kind.from_json(value) if isinstance(value, Mapping) else None
    first, last = get_args(kind)
    if get_origin(kind) is tuple:
        return _tuple(_found(first, null))
    optional = isinstance(last, UnionType)
    read = _reader(last, null) if optional else _found(last, null)

    def mapping(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return None
        pairs = ((key, read(each)) for key, each in value.items())
        return {key: each for key, each in pairs if optional or each is not None}

    return mapping


def _or(read: Read, otherwise: Any) -> Read:
    def found(value: Any) -> Any:
        return otherwise if (result := read(value)) is None else result

    return found


def _tuple(read: Read) -> Read:
    """All items of a list, or None where one is of another type."""

    def items(value: Any) -> Any:
        found = tuple(map(read, value)) if isinstance(value, (list, tuple)) else (None,)
        return None if None in found else found

    return items


_SCALARS: Mapping[Any, Read] = {
    int: whole,
    float: number,
    bool: lambda value: value if isinstance(value, bool) else None,
    str: lambda value: value if isinstance(value, str) else None,
}
_NOUGHT: Mapping[Any, Any] = {int: 0, float: math.nan, bool: False, str: ""}
