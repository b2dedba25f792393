"""Files are whole or absent; checkpoints are verified."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from snnrun.errors import DataError
from snnrun.run import checkpoint
from snnrun.system import files
from support.refusals import fails


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    files.write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_strict(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_matrix_has_a_line_for_each_row(tmp_path: Path) -> None:
    value = {"m": [[1, -20], [3, 4]], "e": [], "f": [0.5, 1], "t": "[\n  1\n]", "n": [None, 1], "one": [7]}
    files.write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == value
    lines = [line.strip() for line in text.splitlines()]
    assert {"[1, -20],", "[3, 4]", '"one": [7]', '"f": ['} <= set(lines)


def test_weights_round_trip_and_hash(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2).double())
    model.register_buffer("count", torch.tensor(3))
    checkpoint.save(tmp_path / "a.safetensors", model.state_dict())
    state = checkpoint.load(tmp_path / "a.safetensors")
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    expected = checkpoint.weights_sha256(model.state_dict())
    assert checkpoint.weights_sha256(dict(reversed(state.items()))) == expected
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-7
    assert checkpoint.weights_sha256(model.state_dict()) != expected
    assert checkpoint.weights_sha256({"a": torch.zeros(2)}) != checkpoint.weights_sha256({"a": torch.zeros(1, 2)})


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, nn.Linear(3, 2).state_dict())
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match="do not match their checksum"):
        checkpoint.load(path)
    path.write_bytes(content[:-5])
    with fails(DataError, "safetensors"):
        checkpoint.load(path)
    with fails(DataError, "safetensors"):
        checkpoint.load(tmp_path / "none.safetensors")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(DataError, match="was not written by snnrun"):
        checkpoint.load(path)


@pytest.mark.parametrize(("tensors", "name"), [(400_000, "a" * 20), (checkpoint.MOST_TENSORS + 1, "a")])
def test_too_many_tensors_are_refused_by_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensors: int, name: str
) -> None:
    """None of them is looked at."""
    entry = '"%s%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = ("{" + ",".join(entry % (name, i) for i in range(tensors)) + "}").encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    monkeypatch.setattr(checkpoint, "safe_open", None)
    with pytest.raises(DataError, match=r"expected (a header of at most|at most 20,000 tensors)"):
        checkpoint.load(path)


def test_a_state_may_contain_dtype_any_number_of_times(tmp_path: Path) -> None:
    path = checkpoint.save_state(tmp_path, 1, {"words": ['"dtype"'] * (checkpoint.MOST_TENSORS + 1)})
    assert len(checkpoint.load_state(path)["words"]) == checkpoint.MOST_TENSORS + 1


def test_weights_of_another_model_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one tensor of many gigabytes, in a file of nothing but a hole."""
    path, model = tmp_path / "a.safetensors", nn.Linear(3, 2)
    checkpoint.save(path, model.state_dict())
    assert checkpoint.load(path, like=model.state_dict()).keys() == {"weight", "bias"}

    def refuse(tensors: object, text: str) -> str:
        raise AssertionError("the values were looked at")

    monkeypatch.setattr(checkpoint, "_checksum", refuse)
    for other in (nn.Linear(3, 3), nn.Linear(3, 2, bias=False), nn.Sequential(nn.Linear(3, 2)), nn.Bilinear(3, 2, 2)):
        with pytest.raises(DataError, match="the weights of this config's model"):
            checkpoint.load(path, like=other.state_dict())
    entry = json.dumps({"weight": {"dtype": "F32", "shape": [1 << 28], "data_offsets": [0, 1 << 30]}})
    path.write_bytes(len(entry).to_bytes(8, "little") + entry.encode())
    os.truncate(path, 8 + len(entry) + (1 << 30))
    with pytest.raises(DataError, match="the weights of this config's model"):
        checkpoint.load(path, like=model.state_dict())
