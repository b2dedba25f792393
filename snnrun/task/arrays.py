"""A user's own arrays: inputs, still or with a time axis, and classes or values as targets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnrun import check
from snnrun.augmentation import NONE, SequenceAugmentation, check_sequence_augmentations
from snnrun.config.settings import MAX
from snnrun.errors import ArgumentError, DataError
from snnrun.system.device import fits, upload
from snnrun.task.augmented import augmented
from snnrun.task.base import NO_LABEL, Batch, Data, Task, steps_within
from snnrun.task.npy import LazyArray, Store
from snnrun.task.split import batches_of, stratified_split
from snnrun.task.user_data import STAND_IN, check_path, locate, no_path

_CHUNK = 1 << 25  # bytes of an array that are checked together
_LARGEST = float(np.finfo(np.float32).max)


class ArrayPart:
    """The samples ``indices`` of an array, which may be a map of a file.

    Args:
        inputs: ``[N, *shape]``, or ``[N, T, *shape]`` with ``time``; or such a tensor on the device of the batches.
        targets: ``[N]`` int64 or ``[N, K]`` float32, or with a target for each step ``[N, T]`` or ``[N, T, K]``, on the
            device of the batches.
        indices: ``[n]`` int64, on the CPU: the samples of this part, in their fixed order.
        divide: divisor of the inputs.
        time: the second axis is time.
        lengths: ``[N]`` int64, on the CPU: the steps of each sample, if they differ. A batch is as long as its longest
            sample.
        steps: the targets are for each step.
    """

    stream: torch.Generator | None = None

    def __init__(
        self,
        inputs: np.ndarray | Tensor,
        targets: Tensor,
        indices: Tensor,
        divide: float,
        time: bool,
        *,
        lengths: Tensor | None = None,
        steps: bool = False,
    ) -> None:
        self.lengths = lengths
        self.steps = steps
        self.inputs = inputs
        self.targets = targets
        self.indices = indices
        self.divide = divide
        self.time = time

    def __len__(self) -> int:
        return len(self.indices)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass; ``x [1 or T, B, *shape]``."""
        for chosen in batches_of(self.indices, batch_size, generator):
            device = self.targets.device
            there = upload(chosen, device)
            if isinstance(self.inputs, Tensor):
                x = self.inputs.index_select(0, there).float()
            else:
                # A copy of only these samples, in the machine's byte order.
                x = torch.from_numpy(np.ascontiguousarray(self.inputs[chosen.numpy()], dtype=np.float32))
                x = upload(x, device)
            x = x.div_(self.divide)
            x = x.transpose(0, 1).contiguous() if self.time else x.unsqueeze(0)
            target = self.targets.index_select(0, there)
            yield Batch(x, target) if self.lengths is None else self._cut(x, target, self.lengths[chosen])

    def _cut(self, x: Tensor, target: Tensor, lengths: Tensor) -> Batch:
        """The batch without the steps after the longest sample, and without content after the end of each."""
        longest = int(lengths.max())
        within = steps_within(lengths, longest, x.device)
        x = x[:longest] * within.reshape(*within.shape, *[1] * (x.dim() - 2))
        if self.steps:
            nothing = math.nan if target.is_floating_point() else NO_LABEL
            counts = within.T if target.dim() == 2 else within.T[:, :, None]
            target = torch.where(counts, target[:, :longest], nothing)
        return Batch(x, target, lengths)


class Arrays(Task):
    """A user's own arrays, ``inputs`` ``[N, ...]`` or ``[N, T, ...]`` and ``targets``, in an NPZ file or a folder.

    ``path`` is an NPZ file with arrays of these names, or a folder with a file ``NAME.npy`` for each. An NPZ file is
    read into memory; from an NPY file only the samples of a batch are read, so that it may be larger than memory. If
    there are ``test_inputs`` and ``test_targets``, they are the test set; else it is a share of the samples. A split of
    classes is stratified.

    Args:
        path: the file or folder; a relative one starts in ``data_dir``. Default null, which must be set.
        inputs: name of the inputs, of integers, floats or booleans. Default inputs.
        targets: name of the targets: ``[N]`` integers, the classes 0, 1, …; with ``regress`` ``[N]`` or ``[N, K]``.
            Default targets.
        test_inputs: name of the test set's inputs, of the same shape except for N. Default test_inputs.
        test_targets: name of its targets. Default test_targets.
        time: whether the second axis is time; its length must be ``num_steps``. With ``lengths`` it may be longer, and
            ``num_steps`` may be ``max``. Default false.
        lengths: name of the steps of each sample, ``[N]`` integers of 1 to T. If there is such an array, and ``time``,
            the inputs and targets after them do not count. Default lengths.
        test_lengths: name of the test set's. Default test_lengths.
        steps: whether there is a target for each step: classes ``[N, T]``, -1 for a step without a label, or with
            ``regress`` values ``[N, T]`` or ``[N, T, K]``, NaN for a step without a value. Needs ``time``. Default
            false.
        regress: whether targets are values, for losses such as ``mse``, rather than classes. Default false.
        num_classes: number of classes. Default null: from the targets, which then must have every class.
        divide: divisor of the inputs. Default null: 255 for still inputs of uint8, else 1.
        limits: least and largest input after the division, or null for any number; the description of an encoder has
            its own limits. Default [0, 1].
        validation: share for validation, in [0, 1); 0: none. Default 0.1.
        test: share for the test, in (0, 1); unused if there are test arrays. Default 0.2.
        split_seed: seed of the split. Default 0.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.
            Only for inputs with a time axis, and one target for a sample. Default none.
        num_steps: the run's own ``num_steps``. Default 25.
        data_dir: the run's own ``data_dir``. Default data.

    Raises:
        ValueError: an argument out of range.
        DataError: an array is missing or has a wrong shape, type or label. ``load`` checks the values.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        inputs: str = "inputs",
        targets: str = "targets",
        test_inputs: str = "test_inputs",
        test_targets: str = "test_targets",
        time: bool = False,
        lengths: str = "lengths",
        test_lengths: str = "test_lengths",
        steps: bool = False,
        regress: bool = False,
        num_classes: int | None = None,
        divide: float | None = None,
        limits: Sequence[float] | None = (0.0, 1.0),
        validation: float = 0.1,
        test: float = 0.2,
        split_seed: int = 0,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
        num_steps: int | str = 25,
        data_dir: str = "data",
    ) -> None:
        self.path, self.data_dir = check_path(path), data_dir
        self.names = {"inputs": inputs, "targets": targets, "test_inputs": test_inputs, "test_targets": test_targets}
        self.names |= {"lengths": lengths, "test_lengths": test_lengths}
        for key, value in self.names.items():
            if not isinstance(value, str) or not value or set(value) & set("/\\\0"):
                raise ArgumentError(key, "the name of an array", value)
        self.has_time = check.flag("time", time)
        self.has_steps = check.flag("steps", steps)
        if self.has_steps and not self.has_time:
            raise ArgumentError("steps", "false for inputs without a time axis", steps, advice="set task.time=true")
        self.has_values = check.flag("regress", regress)
        self.has_accuracy = not regress
        self.num_classes = None if num_classes is None else check.integer("num_classes", num_classes, low=2)
        self.divide = None if divide is None else check.number("divide", divide, above=0)
        self.limits = None if limits is None else _limits(limits)
        self.validation = check.number("validation", validation, low=0, below=1)
        self.has_validation = self.validation > 0
        self.test = check.number("test", test, above=0, below=1)
        if self.validation + self.test >= 1:
            raise ArgumentError(
                "validation", "a sum below 1, the rest is trained on", (validation, test), others=("test",)
            )
        self.split_seed = check.integer("split_seed", split_seed, low=0, high=2**63 - 1)
        self.augmentation = check_sequence_augmentations(augmentation)
        if self.augmentation and (self.has_steps or not self.has_time):
            expected = "none for inputs without a time axis, or with a target for each step"
            raise ArgumentError("augmentation", expected, list(augmentation))
        self.num_steps = num_steps if num_steps == MAX else check.integer("num_steps", num_steps, low=1)
        self.has_lengths = False
        self.input_shape, self.num_outputs = STAND_IN
        if self.path is not None:
            self._look()

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: torch.Generator) -> Data:
        """Read or map the arrays, check every value, and split; inputs that fit are stored on the device."""
        digest = hashlib.sha256()
        arrays: list[np.ndarray] = []
        targets: list[Tensor] = []
        divisors: list[float] = []
        lengths: list[Tensor | None] = []
        for stored_inputs, stored_targets, stored_lengths in self._sets():
            inputs = stored_inputs.read()
            lengths.append(None if stored_lengths is None else self._lengths(stored_lengths, stored_inputs, digest))
            divisors.append(self.divide or (255.0 if inputs.dtype == np.uint8 and not self.has_time else 1.0))
            self._check_values(stored_inputs, inputs, divisors[-1], digest)
            arrays.append(inputs)
            targets.append(torch.from_numpy(self._targets(stored_targets)))
            digest.update(targets[-1].numpy().data)
        samples, place = put(arrays, device)
        whole = self.has_values or self.has_steps  # no classes of samples
        labels = torch.zeros(len(targets[0])) if whole else targets[0]
        targets = [each.to(device) for each in targets]

        def part(number: int, indices: Tensor) -> ArrayPart:
            return ArrayPart(
                samples[number],
                targets[number],
                indices,
                divisors[number],
                self.has_time,
                lengths=lengths[number],
                steps=self.has_steps,
            )

        own_test = len(targets) == 2
        try:
            shares = [self.validation] if own_test else [self.test, self.validation]
            *held_out, train = stratified_split(labels, shares, self.split_seed)
        except ValueError as error:
            raise DataError(f"arrays: {error}; choose other shares, or add samples") from None
        test = part(1, torch.arange(len(targets[1]))) if own_test else part(0, held_out[0])
        hashes = {"arrays": digest.hexdigest()}
        shortest = min((int(each.min()) for each in lengths if each is not None), default=None)
        data = Data(part(0, train), part(0, held_out[-1]), test, hashes, place=str(place), shortest=shortest)
        return augmented(data, self.augmentation, generator)

    def _sets(self) -> list[tuple[LazyArray, LazyArray, LazyArray | None]]:
        """Inputs, targets and lengths, if there are any, then the test set's if there is one."""
        if self.path is None:
            raise no_path("arrays", "task.path=my.npz, a file with the arrays inputs and targets")
        path = locate("arrays", self.path, self.data_dir)
        try:
            store = Store(path)
            names = [self.names["inputs"], self.names["targets"]]
            test = [self.names["test_inputs"], self.names["test_targets"]]
            has_test = any(self.names[key] != key for key in ("test_inputs", "test_targets"))
            if has_test or any(name in store.names for name in test):
                names += test  # both, or it is an error
            arrays = [store.array(name) for name in names]
            lengths: list[LazyArray | None] = [None] * (len(names) // 2)
            own = [self.names[key] for key in ("lengths", "test_lengths")][: len(lengths)]
            wanted = any(self.names[key] != key for key in ("lengths", "test_lengths"))
            if self.has_time and (wanted or any(name in store.names for name in own)):
                lengths = [store.array(name) for name in own]
        except DataError as error:
            raise DataError(f"arrays: {error}") from None
        return list(zip(arrays[::2], arrays[1::2], lengths, strict=True))

    def _look(self) -> None:
        """Set the facts, from the headers of the files and the class labels."""
        sets = self._sets()
        form = "[N, T, ...]" if self.has_time else "[N, ...]"
        axes = 1 + self.has_time
        for inputs, targets, lengths in sets:
            if len(inputs.shape) <= axes or 0 in inputs.shape:
                remedy = "; give each sample an axis of values, if only of 1" if len(inputs.shape) <= axes else ""
                raise DataError(f"arrays: {inputs.place}: expected {form}, got {list(inputs.shape)}{remedy}")
            if inputs.shape[1:] != sets[0][0].shape[1:]:
                raise DataError(
                    f"arrays: {inputs.place}: expected samples {list(sets[0][0].shape[1:])}, as in "
                    f"{sets[0][0].place}, got {list(inputs.shape[1:])}"
                )
            self._check_targets(inputs, targets)
            if lengths is not None and (lengths.shape != inputs.shape[:1] or lengths.dtype.kind not in "iu"):
                raise DataError(
                    f"arrays: {lengths.place}: expected {inputs.shape[0]} integers, one for each sample of "
                    f"{inputs.place}, got {lengths.dtype} {list(lengths.shape)}"
                )
        inputs, targets, lengths = sets[0]
        self.has_lengths = lengths is not None
        if self.has_time and not self.has_lengths and inputs.shape[1] != self.num_steps:
            raise ArgumentError(
                "num_steps", f"{inputs.shape[1]}, the steps of {inputs.place} {list(inputs.shape)}", self.num_steps
            )
        self.input_shape = inputs.shape[axes:]
        if self.has_values:
            self.num_outputs = 1 if len(targets.shape) == 1 + self.has_steps else targets.shape[-1]
            return
        self.num_outputs = self.num_classes or self._count(targets)
        for _, each, _ in sets:
            self._check_labels(each, self._targets(each))

    def _lengths(self, stored: LazyArray, inputs: LazyArray, digest: Any) -> Tensor:
        """The steps of each sample, ``[N]`` int64, at most ``num_steps``."""
        lengths, steps = np.array(stored.read(), dtype=np.int64), inputs.shape[1]  # what is read may be read-only
        if len(wrong := np.argwhere((lengths < 1) | (lengths > steps))):
            got = lengths[tuple(wrong[0])]
            raise DataError(
                f"arrays: {_at(stored, wrong[0])}: expected 1 to {steps}, the steps of {inputs.place}, got {got}"
            )
        digest.update(lengths.data)
        most = steps if isinstance(self.num_steps, str) else self.num_steps
        return torch.from_numpy(lengths).clamp(max=most)

    def _check_targets(self, inputs: LazyArray, targets: LazyArray) -> None:
        """Shape and type, by the header."""
        place, shape, kind = targets.place, list(targets.shape), targets.dtype.kind
        extra = int(self.has_steps)
        if self.has_values:
            if len(shape) not in (1 + extra, 2 + extra) or 0 in shape[1:]:
                form = "[N, T] or [N, T, K]" if self.has_steps else "[N] or [N, K]"
                raise DataError(f"arrays: {place}: expected values {form}, got {shape}")
        elif len(shape) != 1 + extra and self.has_steps:
            raise DataError(f"arrays: {place}: expected class labels [N, T], one for each step, got {shape}")
        elif len(shape) != 1 + extra:
            remedy = "a single column needs reshape(-1)" if shape[-1:] == [1] else "of one-hot rows take argmax(axis=1)"
            raise DataError(f"arrays: {place}: expected class labels [N], got {shape}; {remedy}")
        elif kind not in "iub":
            raise DataError(
                f"arrays: {place}: expected class labels, which are integers, got {targets.dtype}; "
                "use astype(int), or set task.regress=true if these are values"
            )
        if self.has_steps and shape[1:2] != list(inputs.shape[1:2]):
            raise DataError(
                f"arrays: {place}: expected a target for each of the {inputs.shape[1]} steps of {inputs.place}, "
                f"got {shape[1]}"
            )
        if shape[0] != inputs.shape[0]:
            raise DataError(
                f"arrays: {place}: expected {inputs.shape[0]} targets, one for each sample of {inputs.place}, "
                f"got {shape[0]}"
            )

    def _targets(self, stored: LazyArray) -> np.ndarray:
        """``[N]`` int64 or ``[N, K]`` float32; with a target for each step ``[N, T]`` or ``[N, T, K]``."""
        values = stored.read()
        if not self.has_values:
            return values.astype(np.int64)
        wide = values.astype(np.float64)
        valid = (np.abs(wide) <= _LARGEST) | (np.isnan(wide) & self.has_steps)
        if len(wrong := np.argwhere(~valid)):
            raise DataError(f"arrays: {_at(stored, wrong[0])}: expected a finite number, got {wide[tuple(wrong[0])]}")
        values = wide.astype(np.float32).reshape(*wide.shape[: 1 + self.has_steps], -1)
        self._check_targets_of_samples(stored, ~np.isnan(values))
        return values

    def _count(self, stored: LazyArray) -> int:
        """The number of classes, if every class occurs."""
        labels = np.unique(self._targets(stored))
        labels = labels[labels != NO_LABEL] if self.has_steps else labels
        if labels[0] >= 0 and len(missing := np.flatnonzero(labels != np.arange(len(labels)))):
            gap, last = int(missing[0]), int(labels[-1])
            begin = "; labels begin with 0, so subtract 1" if gap == 0 and labels[0] == 1 else ""
            raise DataError(
                f"arrays: {stored.place}: expected every label from 0 to the largest, {last}, but none is {gap}{begin}"
                f"; set task.num_classes={last + 1} if that is meant"
            )
        if len(labels) < 2 and labels[0] >= 0:
            raise DataError(f"arrays: {stored.place}: expected labels of at least 2 classes, got {labels[0]} alone")
        return len(labels)

    def _check_labels(self, stored: LazyArray, labels: np.ndarray) -> None:
        missing = (labels == NO_LABEL) & self.has_steps
        if len(wrong := np.argwhere(((labels < 0) | (labels >= self.num_outputs)) & ~missing)):
            none = ", or -1 for none" if self.has_steps else ""
            raise DataError(
                f"arrays: {_at(stored, wrong[0])}: expected a label of 0 to {self.num_outputs - 1}{none}, "
                f"got {labels[tuple(wrong[0])]}"
            )
        self._check_targets_of_samples(stored, ~missing)

    def _check_targets_of_samples(self, stored: LazyArray, there: np.ndarray) -> None:
        """Every sample has a target at one step at least."""
        empty = np.flatnonzero(~there.reshape(len(there), -1).any(axis=1))
        if self.has_steps and len(empty):
            raise DataError(f"arrays: {_at(stored, empty[:1])}: expected a target at one step at least, got none")

    def _check_values(self, stored: LazyArray, inputs: np.ndarray, divide: float, digest: Any) -> None:
        """Check every value, a piece at a time, and hash it."""
        digest.update(f"{inputs.dtype} {list(inputs.shape)}\n".encode())
        low, high = self.limits or (-_LARGEST, _LARGEST)
        step = max(1, _CHUNK // max(1, inputs[0].nbytes))
        for start in range(0, len(inputs), step):
            piece = np.ascontiguousarray(inputs[start : start + step])
            digest.update(piece.data)
            least, most = float(piece.min()) / divide, float(piece.max()) / divide
            if low <= least and most <= high:  # false for NaN as well
                continue
            scaled = piece.astype(np.float64) / divide
            wrong = np.argwhere(~((low <= scaled) & (scaled <= high)))[0]
            value, where = scaled[tuple(wrong)], _at(stored, wrong + np.array([start, *[0] * (piece.ndim - 1)]))
            if not abs(value) <= _LARGEST:
                raise DataError(f"arrays: {where}: expected a finite number, got {value}")
            raise DataError(
                f"arrays: {where}: expected a value of {low:g} to {high:g} (task.limits), got {value:g}; scale it with "
                "task.divide, or set task.limits=null where the encoder takes any number, as encoder=direct does"
            )


def _stored_dtype(inputs: np.ndarray) -> torch.dtype:
    return torch.uint8 if inputs.dtype == np.uint8 else torch.float32


def put(arrays: Sequence[np.ndarray], device: torch.device) -> tuple[Sequence[np.ndarray | Tensor], torch.device]:
    """The inputs of all parts, on the device if they fit there together, and the place where they are."""
    if device.type == "cpu" or not fits(sum(map(_stored_bytes, arrays)), device):
        return arrays, torch.device("cpu")
    return [_on_device(inputs, device) for inputs in arrays], device


def _stored_bytes(inputs: np.ndarray) -> int:
    """The size of the inputs on a device."""
    return inputs.size * _stored_dtype(inputs).itemsize


def _on_device(inputs: np.ndarray, device: torch.device) -> Tensor:
    """The inputs on the device, in uint8 or float32, copied a piece at a time."""
    dtype = _stored_dtype(inputs)
    stored = torch.empty(inputs.shape, dtype=dtype, device=device)
    step = max(1, _CHUNK // max(1, inputs[0].nbytes))
    for start in range(0, len(inputs), step):
        # A copy, since a map of a file is read-only.
        piece = np.array(inputs[start : start + step], dtype=np.uint8 if dtype == torch.uint8 else np.float32)
        stored[start : start + step].copy_(torch.from_numpy(piece))
    return stored


def _at(stored: LazyArray, index: np.ndarray) -> str:
    return f"{stored.place}[{', '.join(str(int(i)) for i in index)}]"


def _limits(limits: Any) -> tuple[float, float]:
    if not isinstance(limits, (list, tuple)) or len(limits) != 2:
        raise ArgumentError("limits", "two numbers such as [0, 1], or null", limits)
    low = check.number("limits[0]", limits[0])
    return low, check.number("limits[1]", limits[1], above=low)
