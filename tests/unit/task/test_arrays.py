"""Arrays of one's own: what is made of them, and what is said of arrays that are not as they should be."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.errors import DataError
from snnrun.task import NO_LABEL, ArrayPart, Arrays, Data
from support.refusals import fails, refuses

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.random((40, 2, 3))
LABELS = np.arange(40) % 4


def write(root: Path, kind: str = "npz", **arrays: Any) -> None:
    """``own.npz``, or the folder ``own`` of NPY files."""
    if kind == "npz":
        np.savez(root / "own.npz", **arrays)
        return
    (root / "own").mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(root / "own" / f"{name}.npy", array)


def task(root: Path, **options: Any) -> Arrays:
    path = "own.npz" if (root / "own.npz").exists() else "own"
    return Arrays(path=path, data_dir=str(root), **options)


def load(root: Path, **options: Any) -> Data:
    return task(root, **options).load(Path("unused"), 25, CPU, torch.Generator())


def samples(data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """All samples ``[N, 1 or T, *shape]`` in the order of the arrays, and their targets."""
    rows = []
    for part in data[:3]:
        assert isinstance(part, ArrayPart)
        for batch, index in zip(part.batches(1), part.indices.tolist(), strict=True):
            rows.append((index, batch.x[:, 0], batch.target))
    rows.sort(key=lambda each: each[0])
    return torch.stack([x for _, x, _ in rows]), torch.cat([y for _, _, y in rows if y is not None])


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_classes(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, inputs=INPUTS, targets=LABELS)
    arrays, data = task(tmp_path), load(tmp_path)
    assert (arrays.input_shape, arrays.num_outputs, arrays.has_time) == ((2, 3), 4, False)
    assert (arrays.has_accuracy, arrays.has_values) == (True, False)
    assert [len(part) for part in data[:3]] == [28, 4, 8]
    x, y = samples(data)
    assert x.dtype == torch.float32 and y.dtype == torch.int64
    assert torch.equal(x[:, 0], torch.from_numpy(INPUTS).float())
    assert y.tolist() == LABELS.tolist()
    (batch,) = data.test.batches(100)
    assert batch.x.shape == (1, 8, 2, 3)
    assert batch.target is not None and batch.target.bincount().tolist() == [2] * 4


@pytest.mark.parametrize(
    "array",
    [
        INPUTS.astype(">f4"),
        INPUTS.astype(np.float16),
        np.asfortranarray(INPUTS),
        INPUTS > 0.5,
        (255 * INPUTS).astype(np.uint8),
        (INPUTS > 0.5).astype(np.int64),
    ],
    ids=["big-endian", "float16", "column by column", "bool", "uint8", "int64"],
)
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_every_type_of_number(tmp_path: Path, kind: str, array: np.ndarray) -> None:
    write(tmp_path, kind, inputs=array, targets=LABELS.astype(np.uint8))
    x, _ = samples(load(tmp_path))
    expected = array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1)
    assert np.array_equal(x[:, 0].numpy(), expected)


def test_a_time_axis_is_the_second(tmp_path: Path) -> None:
    counts = RANDOM.integers(0, 3, (40, 5, 7), dtype=np.uint8)
    write(tmp_path, inputs=counts, targets=LABELS)
    options: dict[str, Any] = {"time": True, "num_steps": 5, "limits": None}
    arrays = task(tmp_path, **options)
    assert (arrays.input_shape, arrays.has_time) == ((7,), True)
    x, _ = samples(load(tmp_path, **options))
    assert np.array_equal(x.numpy(), counts)  # not divided: these are no pixels
    batch = next(load(tmp_path, **options).train.batches(3))
    assert batch.x.shape == (5, 3, 7) and batch.x.is_contiguous()
    with refuses("num_steps", 25, "5", "npz: inputs [40, 5, 7]"):
        task(tmp_path, time=True, limits=None)


@pytest.mark.parametrize("targets", [RANDOM.random(40), RANDOM.random((40, 3)).astype(np.float32), np.arange(40)])
def test_values_to_regress(tmp_path: Path, targets: np.ndarray) -> None:
    write(tmp_path, inputs=INPUTS, targets=targets)
    arrays, data = task(tmp_path, regress=True), load(tmp_path, regress=True)
    assert arrays.num_outputs == (1 if targets.ndim == 1 else 3)
    assert (arrays.has_accuracy, arrays.has_values) == (False, True)
    _, y = samples(data)
    assert y.dtype == torch.float32
    assert torch.equal(y, torch.from_numpy(targets.astype(np.float32)).reshape(40, -1))


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_test_part_of_its_own(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, inputs=INPUTS, targets=LABELS, test_inputs=INPUTS[:6] / 2, test_targets=LABELS[:6])
    data = load(tmp_path, validation=0.25)
    assert [len(part) for part in data[:3]] == [32, 8, 6]
    (batch,) = data.test.batches(10)
    assert torch.equal(batch.x[0], torch.from_numpy(INPUTS[:6] / 2).float())
    write(tmp_path, kind, x=INPUTS, y=LABELS, x_test=INPUTS[:6] / 2, y_test=LABELS[:6])
    with_names = load(tmp_path, validation=0.25, inputs="x", targets="y", test_inputs="x_test", test_targets="y_test")
    assert with_names.hashes == data.hashes


def test_the_hash_is_that_of_all_there_is(tmp_path: Path) -> None:
    hashes = set()
    other_inputs, other_labels = INPUTS.copy(), LABELS.copy()
    other_inputs[39, 1, 2] = 0
    other_labels[0] = 1
    for inputs, targets in (
        (INPUTS, LABELS),
        (other_inputs, LABELS),
        (INPUTS, other_labels),
        (INPUTS.reshape(40, 6), LABELS),
    ):
        write(tmp_path, inputs=inputs, targets=targets)
        hashes.add(load(tmp_path).hashes["arrays"])
    assert len(hashes) == 4
    write(tmp_path, "npy", inputs=INPUTS, targets=LABELS)
    assert Arrays(path="own", data_dir=str(tmp_path)).load(
        Path("unused"), 25, CPU, torch.Generator()
    ).hashes["arrays"] in hashes  # fmt: skip


def test_npy_files_are_mapped_and_each_batch_is_a_copy(tmp_path: Path) -> None:
    write(tmp_path, "npy", inputs=INPUTS.astype(np.float32), targets=LABELS)
    part = load(tmp_path).train
    assert isinstance(part, ArrayPart) and isinstance(part.inputs, np.memmap)
    first = next(part.batches(4)).x
    first.zero_()
    assert next(part.batches(4)).x.any()


def test_passes_are_shuffled_by_the_generator_alone(tmp_path: Path) -> None:
    write(tmp_path, inputs=INPUTS, targets=LABELS)
    part = load(tmp_path).train
    one, other, plain = (
        torch.cat([batch.x[0] for batch in part.batches(size, generator)])
        for size, generator in (
            (5, torch.Generator().manual_seed(1)),
            (28, torch.Generator().manual_seed(1)),
            (9, None),
        )
    )
    assert torch.equal(one, other) and not torch.equal(one, plain)


def with_value(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
    copy = array.copy()
    copy[index] = value
    return copy


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "nan": (
        {"inputs": with_value(INPUTS, (17, 0, 2), np.nan)},
        {},
        "inputs[17, 0, 2]: expected a finite number, got nan",
    ),
    "infinity": (
        {"inputs": with_value(INPUTS, (17, 0, 2), np.inf)},
        {"limits": None},
        "inputs[17, 0, 2]: expected a finite number, got inf",
    ),
    "beyond float32": (
        {"inputs": with_value(INPUTS, (0, 0, 0), -1e39)},
        {"limits": None},
        "inputs[0, 0, 0]: expected a finite number, got -1e+39",
    ),
    "range": (
        {"inputs": with_value(INPUTS, (39, 1, 1), 1.5)},
        {},
        "inputs[39, 1, 1]: expected a value of 0 to 1 (task.limits), got 1.5; scale it with task.divide, or set "
        "task.limits=null",
    ),
    "range after division": (
        {"inputs": (255 * INPUTS).astype(np.uint8) | 128},
        {"divide": 100},
        "inputs[0, 0, 0]: expected a value of 0 to 1 (task.limits), got ",
    ),
    "value": (
        {"targets": with_value(INPUTS[:, 0, 0], 5, np.nan)},
        {"regress": True},
        "targets[5]: expected a finite number, got nan",
    ),
    "gap": (
        {"targets": np.where(LABELS == 2, 5, LABELS)},
        {},
        "targets: expected every label from 0 to the largest, 5, but none is 2; set task.num_classes=6",
    ),
    "from 1 on": (
        {"targets": LABELS + 1},
        {},
        "targets: expected every label from 0 to the largest, 4, but none is 0; labels begin with 0, so subtract 1",
    ),
    "negative": ({"targets": LABELS - 1}, {}, "targets[0]: expected a label of 0 to 3, got -1"),
    "too large": ({}, {"num_classes": 3}, "targets[3]: expected a label of 0 to 2, got 3"),
    "one class": ({"targets": 0 * LABELS}, {}, "targets: expected labels of at least 2 classes, got 0 alone"),
    "one-hot": (
        {"targets": np.eye(4)[LABELS]},
        {},
        "targets: expected class labels [N], got [40, 4]; of one-hot rows take argmax(axis=1)",
    ),
    "a column": (
        {"targets": LABELS[:, None]},
        {},
        "targets: expected class labels [N], got [40, 1]; a single column needs reshape(-1)",
    ),
    "a number": ({"targets": np.array(3)}, {}, "targets: expected class labels [N], got []"),
    "floats": (
        {"targets": LABELS / 1},
        {},
        "targets: expected class labels, which are integers, got float64; use astype(int), or set task.regress=true",
    ),
    "lengths": ({"targets": LABELS[:39]}, {}, "targets: expected 40 targets, one for each sample of "),
    "values of three axes": ({"targets": INPUTS}, {"regress": True}, "targets: expected values [N] or [N, K], got "),
    "no values": ({"inputs": INPUTS[:, 0, 0]}, {}, "inputs: expected [N, ...], got [40]; give each sample an axis"),
    "no time": ({"inputs": INPUTS[:, 0]}, {"time": True}, "inputs: expected [N, T, ...], got [40, 3]; give each"),
    "nothing": ({"inputs": INPUTS[:0], "targets": LABELS[:0]}, {}, "inputs: expected [N, ...], got [0, 2, 3]"),
    "text": (
        {"inputs": np.full((40, 2), "a")},
        {},
        "inputs: expected an array of integers, floats or booleans, got <U",
    ),
    "complex": ({"inputs": INPUTS + 1j}, {}, "inputs: expected an array of integers, floats or booleans, got complex"),
    "objects": ({"inputs": np.array([{}] * 40)}, {}, "inputs: expected numbers, got Python objects, which are never"),
    "test shape": (
        {"test_inputs": INPUTS[:, :1], "test_targets": LABELS},
        {},
        "test_inputs: expected samples [2, 3], as in ",
    ),
    "test label": (
        {"test_inputs": INPUTS[:2], "test_targets": np.array([0, 7])},
        {},
        "test_targets[1]: expected a label of 0 to 3, got 7",
    ),
    "test value": (
        {"test_inputs": INPUTS[:2] - 1, "test_targets": LABELS[:2]},
        {},
        "test_inputs[0, 0, 0]: expected a value of 0 to 1",
    ),
}


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_file_and_index(tmp_path: Path, name: str, kind: str) -> None:
    arrays, options, fault = FAULTS[name]
    write(tmp_path, kind, **{"inputs": INPUTS, "targets": LABELS, **arrays})
    with pytest.raises(DataError) as error:
        load(tmp_path, **options)
    match = re.fullmatch(r"(\w+)(.*)", fault)
    assert match
    array, rest = match.groups()
    place = f"{tmp_path / 'own.npz'}: {array}" if kind == "npz" else str(tmp_path / "own" / f"{array}.npy")
    assert str(error.value).startswith(f"arrays: {place}{rest}")


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"inputs": INPUTS, "labels": LABELS}, {}, "expected an array targets; there are inputs, labels"),
        ({"inputs": INPUTS, "targets": LABELS, "test_inputs": INPUTS}, {}, "expected an array test_targets; there are"),
        ({"inputs": INPUTS, "targets": LABELS}, {"test_inputs": "x"}, "expected an array x; there are inputs, targets"),
    ],
)
def test_a_missing_array_is_named(
    tmp_path: Path, kind: str, arrays: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    write(tmp_path, kind, **arrays)
    place = tmp_path / ("own.npz" if kind == "npz" else "own")
    with pytest.raises(DataError) as error:
        load(tmp_path, **options)
    assert str(error.value).startswith(f"arrays: {place}: {message}")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self) -> Any:
            return Path.mkdir, (canary,)

    write(tmp_path, inputs=np.array([Payload()] * 40, dtype=object), targets=LABELS)
    with pytest.raises(DataError, match=r"Python objects"):
        load(tmp_path)
    (tmp_path / "own.npz").unlink()
    write(tmp_path, "npy", inputs=INPUTS, targets=LABELS)
    (tmp_path / "own" / "inputs.npy").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(DataError, match=r"inputs.npy: cannot be read: the magic string is not correct"):
        load(tmp_path)
    assert not canary.exists()


@pytest.mark.parametrize("keep", [0, 4, 60, 200, -1])
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_truncated_file_is_not_taken_for_data(tmp_path: Path, kind: str, keep: int) -> None:
    write(tmp_path, kind, inputs=INPUTS, targets=LABELS)
    path = tmp_path / "own.npz" if kind == "npz" else tmp_path / "own" / "inputs.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"arrays: {path}: ")


def test_a_byte_that_was_changed_in_an_npz_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, inputs=INPUTS, targets=LABELS)
    content = bytearray((tmp_path / "own.npz").read_bytes())
    content[1000] ^= 1
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"own.npz: inputs: cannot be read: Bad CRC-32"):
        load(tmp_path)


def test_a_header_with_too_large_a_shape_takes_no_memory(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 3), }"
    header = header.ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("inputs.npy", content)
    write_to = tmp_path / "own" / "inputs.npy"
    for kind in ("npz", "npy"):
        with fails(DataError, "truncated", "[1000000000000, 3] of float64", "0 bytes"):
            load(tmp_path)
        (tmp_path / "own.npz").unlink(missing_ok=True)
        if kind == "npz":
            write_to.parent.mkdir()
            write_to.write_bytes(content)
            np.save(tmp_path / "own" / "targets.npy", LABELS)


@pytest.mark.parametrize("shape", ["(40, True)", "(True, 6)", "(-40, -6)", "(40.0, 6)", "(" * 50 + ")" * 50, "None"])
def test_a_shape_that_is_none(shape: str, tmp_path: Path) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(181) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 960
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("inputs.npy", content)
    with pytest.raises(DataError, match=r"own.npz: inputs: "):
        load(tmp_path)


def test_what_is_no_file_of_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "own.npy", INPUTS)
    with fails(DataError, "own.npy: ", "an .npz file", "a folder with an .npy file"):
        Arrays(path="own.npy", data_dir=".")
    (tmp_path / "own.npz").write_bytes(b"<html>")
    with fails(DataError, "own.npz: ", "not a zip file", "np.savez"):
        Arrays(path="own.npz", data_dir=".")
    with pytest.raises(DataError) as error:
        Arrays(path="own.npz", data_dir="data")
    assert f"There is own.npz in the working directory: set task.path={tmp_path / 'own.npz'}" in str(error.value)
    with fails(DataError, "arrays: ", "task.path"):
        Arrays().load(tmp_path, 25, CPU, torch.Generator())


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"path": ""}, ("path", "", "data_dir")),
        ({"inputs": "a/b"}, ("inputs", "a/b", "name")),
        ({"time": 1}, ("time", 1, "true or false")),
        ({"num_classes": 1}, ("num_classes", 1, "whole number of at least 2")),
        ({"divide": 0}, ("divide", 0, "above 0")),
        ({"limits": [1, 0]}, ("limits[1]", 0, "above 1")),
        ({"limits": 1}, ("limits", 1, "two numbers", "null")),
        ({"validation": 0.5, "test": 0.6}, ("validation, test", (0.5, 0.6), "below 1")),
    ],
)
def test_options_are_checked(options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal):
        Arrays(**options)


def test_a_target_for_each_step(tmp_path: Path) -> None:
    labels = np.arange(80).reshape(40, 2) % 4
    labels[::3, 0] = NO_LABEL
    write(tmp_path, inputs=INPUTS, targets=labels)
    options: dict[str, Any] = {"time": True, "steps": True, "num_steps": 2}
    arrays, data = task(tmp_path, **options), load(tmp_path, **options)
    assert (arrays.input_shape, arrays.num_outputs, arrays.has_steps) == ((3,), 4, True)
    x, y = samples(data)
    assert torch.equal(y, torch.from_numpy(labels))
    torch.testing.assert_close(x, torch.from_numpy(INPUTS).float())

    values = np.random.default_rng(1).normal(size=(40, 2, 5)).astype(np.float32)
    values[::3, 0] = np.nan
    write(tmp_path, inputs=INPUTS, targets=values)
    arrays, data = task(tmp_path, regress=True, **options), load(tmp_path, regress=True, **options)
    assert (arrays.num_outputs, arrays.has_steps, arrays.has_values) == (5, True, True)
    assert torch.equal(samples(data)[1].isnan(), torch.from_numpy(np.isnan(values)))


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        (np.zeros(40, int), ["targets", "[N, T]", "[40]"]),
        (np.zeros((40, 3), int), ["targets", "each of the 2 steps", "got 3"]),
        (np.full((40, 2), -2), ["targets[0, 0]", "-1 for none", "got -2"]),
        (np.where(np.arange(40)[:, None] == 7, -1, np.arange(80).reshape(40, 2) % 2), ["targets[7]", "got none"]),
    ],
)
def test_wrong_targets_for_each_step(tmp_path: Path, labels: np.ndarray, facts: list[str]) -> None:
    write(tmp_path, inputs=INPUTS, targets=labels)
    with fails(DataError, *facts):
        load(tmp_path, time=True, steps=True, num_steps=2)
    with refuses("steps", True, "false"):
        Arrays(steps=True)


def of_lengths(root: Path, **options: Any) -> tuple[np.ndarray, Arrays]:
    """Forty samples of up to six steps; the steps after the end of each have content that must not be seen."""
    lengths = np.arange(40) % 6 + 1
    write(root, inputs=RANDOM.random((40, 6, 3)) + 0.1, targets=LABELS, lengths=lengths)
    return lengths, task(root, time=True, limits=None, **options)


def test_samples_of_different_length(tmp_path: Path) -> None:
    lengths, arrays = of_lengths(tmp_path, num_steps="max")
    assert arrays.has_lengths
    data = arrays.load(Path("unused"), 25, CPU, torch.Generator())
    assert data.shortest == lengths.min()
    train = data.train
    assert isinstance(train, ArrayPart)
    batch = next(train.batches(8))
    assert batch.lengths is not None
    assert batch.lengths.tolist() == lengths[train.indices[:8].numpy()].tolist()
    assert len(batch.x) == batch.lengths.max(), "a batch is as long as its longest sample"
    for i, length in enumerate(batch.lengths.tolist()):
        assert (batch.x[:length, i] > 0).all()
        assert not batch.x[length:, i].any()


def test_longer_samples_are_cut_to_the_steps_of_the_run(tmp_path: Path) -> None:
    _, arrays = of_lengths(tmp_path, num_steps=4)
    batch = next(arrays.load(Path("unused"), 4, CPU, torch.Generator()).train.batches(40))
    assert batch.lengths is not None and len(batch.x) == batch.lengths.max() == 4


@pytest.mark.parametrize("regress", [False, True])
def test_steps_after_the_end_have_no_target(tmp_path: Path, regress: bool) -> None:
    lengths = np.full(40, 6) - np.arange(40) % 3
    targets = RANDOM.random((40, 6)) if regress else np.arange(240).reshape(40, 6) % 4
    write(tmp_path, inputs=RANDOM.random((40, 6, 3)), targets=targets, lengths=lengths)
    arrays = task(tmp_path, time=True, steps=True, regress=regress, num_steps="max")
    batch = next(arrays.load(Path("unused"), 6, CPU, torch.Generator()).train.batches(40))
    assert batch.target is not None and batch.lengths is not None
    missing = batch.target.isnan()[:, :, 0] if regress else batch.target == NO_LABEL
    assert missing.tolist() == (torch.arange(6) >= batch.lengths[:, None]).tolist()


@pytest.mark.parametrize(("lengths", "facts"), [([0] * 40, ("1 to 6", "lengths[0]")), ([7] * 40, ("1 to 6", "7"))])
def test_lengths_out_of_range_are_named(tmp_path: Path, lengths: list[int], facts: tuple[str, ...]) -> None:
    write(tmp_path, inputs=RANDOM.random((40, 6, 3)), targets=LABELS, lengths=np.array(lengths))
    with pytest.raises(DataError) as error:
        load(tmp_path, time=True, num_steps=6)
    assert all(fact in str(error.value) for fact in facts)


def test_lengths_of_another_number_of_samples_are_named(tmp_path: Path) -> None:
    write(tmp_path, inputs=RANDOM.random((40, 6, 3)), targets=LABELS, lengths=np.ones(39, dtype=int))
    with pytest.raises(DataError, match=r"lengths.*40"):
        task(tmp_path, time=True, num_steps=6)
