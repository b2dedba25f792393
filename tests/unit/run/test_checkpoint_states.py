"""The states that a run goes on from: all of it comes back, no damage is taken for content, and nothing in a stranger's
file is run."""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from snnrun.config.fingerprint import config_hash
from snnrun.errors import ConfigError, DataError
from snnrun.run import checkpoint
from snnrun.run.checkpoint import CannotSave, flatten, unflatten
from support.refusals import fails

LIMIT = 60  # seconds after which a test hangs


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    def too_long(*_: object) -> None:
        raise AssertionError("hung")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def equal(one: Any, other: Any) -> bool:
    """The same kinds and the same bits."""
    if isinstance(one, Tensor):
        return (
            isinstance(other, Tensor)
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and torch.equal(bits(one), bits(other))
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict):
        return [(type(key), key) for key in one] == [(type(key), key) for key in other] and all(
            equal(one[key], other[key]) for key in one
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def bits(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8)


STATE: dict[str, Any] = {
    "floats": [0.1, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308],
    "whole": [0, -1, 2**63, 10**40, True, False, None],
    "text": ["", "é\n\x00\ud800", '{"tensor": "state"}'],
    "nested": ((1, (2.0, [3, ()])), [], {}, [{}], {"a": {"b": {"c": [math.nan]}}}),
    "keys": {1: "a", "1": "b", "": "c", "mapping": 1, "tensor": "state", "float": "nan", "tuple": []},
    "one key": {"tensor": "nowhere"},
    "tensors": {
        0: torch.arange(5),
        "0": torch.arange(6, dtype=torch.uint8),  # the same path as the one before
        "a.b": torch.zeros(2, 3),
        "a": {"b": torch.ones(1)},  # and again
        "bf16": torch.tensor([1.5, math.nan, -math.inf], dtype=torch.bfloat16),
        "half": torch.tensor([0.1], dtype=torch.float16),
        "double": torch.tensor(math.pi, dtype=torch.float64),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "strided": torch.arange(12.0).reshape(3, 4).T,
        "stride 0": torch.zeros(1).expand(7),
        "NaN with a payload": torch.tensor([0x7FC12345], dtype=torch.int32).view(torch.float32),
        "list": [torch.zeros(1), (torch.ones(1),)],
    },
}


def test_all_kinds_come_back(tmp_path: Path) -> None:
    path = checkpoint.save_state(tmp_path, 3, STATE)
    assert equal(checkpoint.load_state(path), STATE)
    assert [file.name for file in tmp_path.iterdir()] == ["step-0000000003.safetensors"]


@pytest.mark.parametrize("state", [{}, {"a": None}, {"a": torch.zeros(())}])
def test_little_comes_back(tmp_path: Path, state: dict[str, Any]) -> None:
    assert equal(checkpoint.load_state(checkpoint.save_state(tmp_path, 0, state)), state)


def test_tensors_that_share_memory_come_back_apart(tmp_path: Path) -> None:
    weight = nn.Linear(2, 2).weight
    state = checkpoint.load_state(checkpoint.save_state(tmp_path, 0, {"a": weight, "b": weight, "c": weight[0]}))
    assert equal(state, {"a": weight.detach(), "b": weight.detach(), "c": weight[0].detach()})
    state["a"].zero_()
    assert torch.equal(state["b"], weight)


def test_a_mapping_of_any_kind_is_a_dict(tmp_path: Path) -> None:
    state = {"a": OrderedDict(b=1)}
    assert equal(checkpoint.load_state(checkpoint.save_state(tmp_path, 0, state)), {"a": {"b": 1}})


def test_optimizers_and_schedulers_come_back(tmp_path: Path) -> None:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        optimizer = torch.optim.Adam(model.parameters(), amsgrad=True)
        return model, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7)

    def train(steps: int, model: nn.Module, optimizer: Any, scheduler: Any) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            (model(torch.arange(12.0).reshape(4, 3)) ** 2).sum().backward()
            optimizer.step()
            scheduler.step()

    whole, first_half = make(), make()
    train(6, *whole)
    train(2, *first_half)
    state = {str(i): part.state_dict() for i, part in enumerate(first_half)}
    content, second_half = checkpoint.load_state(checkpoint.save_state(tmp_path, 2, state)), make()
    for i, part in enumerate(second_half):
        part.load_state_dict(content[str(i)])
    train(4, *second_half)
    for one, other in zip(whole, second_half, strict=True):
        assert equal(dict(one.state_dict()), dict(other.state_dict()))


@pytest.mark.parametrize("value", [object(), {1.5: 0}, {(1, 2): 0}, {1, 2}, b"bytes", 1j, len, [[{"a": object()}]]])
def test_what_cannot_be_saved_is_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(CannotSave, match=r"state\.here(\.0\.0\.a)? is a (object|dict|set|bytes|complex|builtin)"):
        checkpoint.save_state(tmp_path, 0, {"here": value})
    assert not list(tmp_path.iterdir())


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    (tmp_path / "step-0000000000.safetensors").mkdir()  # of no concern
    (tmp_path / "best.safetensors").write_text("")
    for step in (1, 2, 10, 9, 11):
        path = checkpoint.save_state(tmp_path, step, {"step": step})
        assert path.exists()
        assert len(checkpoint.states(tmp_path)) <= checkpoint.STATES
    assert [checkpoint.load_state(path)["step"] for path in checkpoint.states(tmp_path)] == [11, 10]
    assert (tmp_path / "best.safetensors").exists()


# --- damage --------------------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "config": "x",
    "progress": {"step": 3, "best_loss": math.inf},
    "model": {"weight": torch.arange(8.0), "count": torch.tensor(3)},
    "optimizer": [torch.arange(4, dtype=torch.bfloat16)],
}


def is_refused(path: Path, content: bytes) -> bool:
    """Whether the damage is refused; if it is not, no content may have changed."""
    path.write_bytes(content)
    try:
        state = checkpoint.load_state(path)
    except DataError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return True
    assert equal(state, SMALL)
    return False


def test_any_byte_that_is_flipped_is_detected(tmp_path: Path) -> None:
    path = checkpoint.save_state(tmp_path, 0, SMALL)
    whole = path.read_bytes()
    assert 300 < len(whole) < 3000
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    padding = set(range(len(whole[:header].rstrip(b" ")), header))
    random = Random(0)
    for at, byte in enumerate(whole):
        for mask in (1 << random.randrange(8), 0xFF, 0x20):
            content = whole[:at] + bytes([byte ^ mask]) + whole[at + 1 :]
            # Spaces after the header are no content: one that became another kind of space changes nothing.
            assert is_refused(path, content) or at in padding, (at, mask)


def test_a_file_that_is_cut_or_grew_is_detected(tmp_path: Path) -> None:
    path = checkpoint.save_state(tmp_path, 0, SMALL)
    whole = path.read_bytes()
    for length in range(len(whole)):
        assert is_refused(path, whole[:length]), length
        if length % 16 == 0:
            assert is_refused(path, whole[:length] + bytes(len(whole) - length)) or not any(whole[length:]), length
            assert is_refused(path, whole[length:]) or not length
    assert is_refused(path, whole + b"\0")


def test_the_one_before_is_used_with_a_warning(tmp_path: Path) -> None:
    config, messages = {"seed": 1}, list[str]()
    state = {"config": config_hash(config)}
    assert checkpoint.latest(tmp_path, config, messages.append) is None
    first, last = (checkpoint.save_state(tmp_path, step, {**state, "step": step}) for step in (4, 8))
    latest = checkpoint.latest(tmp_path, config, messages.append)
    assert latest is not None and latest["step"] == 8 and not messages

    whole = last.read_bytes()
    last.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    latest = checkpoint.latest(tmp_path, config, messages.append)
    assert latest is not None and latest["step"] == 4
    (warning,) = messages
    assert str(last) in warning and warning.endswith("; trying the one before")

    first.write_bytes(b"")
    assert checkpoint.latest(tmp_path, config, messages.append) is None
    assert len(messages) == 3

    checkpoint.save_state(tmp_path, 9, {**state, "step": 9})
    with fails(ConfigError, "config.yaml ", "another one"):
        checkpoint.latest(tmp_path, {"seed": 2}, messages.append)


def test_best_never_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every call to the system while it is replaced the file is there, and whole."""
    path = tmp_path / "best.safetensors"
    model = nn.Linear(3, 2)
    checkpoint.save(path, model.state_dict())
    looks = []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            assert set(checkpoint.load(path)) == {"weight", "bias"}
            result = real(*arguments, **options)
            assert set(checkpoint.load(path)) == {"weight", "bias"}
            looks.append(name)
            return result

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "replace", "rename", "unlink", "remove"):
        watch(name)
    checkpoint.save(path, model.state_dict())
    assert {"fsync", "replace"} <= set(looks)


# --- strangers -----------------------------------------------------------------------------------------------------


def write(path: Path, text: str, tensors: dict[str, Tensor] | None = None) -> None:
    """A file that we might have written, with a checksum that holds, and ``text`` for its state."""
    tensors = {"none": torch.zeros(0)} if tensors is None else tensors
    path.write_bytes(to_bytes(tensors, metadata={"weights_sha256": checkpoint._checksum(tensors, text), "state": text}))


def with_header(header: str, data: bytes = b"") -> Callable[[Path], object]:
    content = header.encode()
    return lambda path: path.write_bytes(struct.pack("<Q", len(content)) + content + data)


def with_state(text: str) -> Callable[[Path], object]:
    return lambda path: write(path, text)


def one(dtype: str, shape: str, offsets: str, data: int = 16) -> Callable[[Path], object]:
    about = f'{{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}'
    return with_header(f'{{"__metadata__": {{"weights_sha256": "0"}}, "x": {about}}}', bytes(data))


class Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("canary",)


def as_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    write(target, '{"mapping": []}')
    path.symlink_to(target)


def in_a_holey_file(path: Path) -> None:
    """A tensor of 8 EiB that the file does not have."""
    one("U8", "[9223372036854775807]", "[0, 9223372036854775807]", 0)(path)
    with path.open("r+b") as file:
        file.truncate(1 << 20)


DEEP = 100_000
#: Texts in a file of ours that is in order otherwise.
STATES = {
    "a state that is deep": "[" * 1_000_000 + "]" * 1_000_000,
    "a mapping that is deep": '{"mapping":[["a",' * 300_000 + "1" + "]]}" * 300_000,
    "a state deep enough for JSON alone": '{"tuple":[' * 900 + "]}" * 900,
    "a state that is a list": "[]",
    "a state that is a number": "1" * 400,
    "a number of a million digits": f'{{"mapping": [["a", {"1" * 1_000_000}]]}}',
    "a float that is none": '{"float": "one"}',
    "a float of a list": '{"float": []}',
    "a float that overflows": f'{{"float": {"1" * 400}}}',
    "a tensor that is not there": '{"mapping": [["a", {"tensor": "there"}]]}',
    "a tensor that is a list": '{"mapping": [["a", {"tensor": []}]]}',
    "a tuple of a number": '{"tuple": 3}',
    "a mapping of numbers": '{"mapping": [1, 2]}',
    "a mapping with lists for keys": '{"mapping": [[[], 1]]}',
    "a kind of its own": '{"os.system": "touch canary"}',
    "two kinds at once": '{"tuple": [], "float": "nan"}',
    "no kind": "{}",
    "no JSON": "cos\nsystem\n(S'touch canary'\ntR.",
}
CASES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "a header of 2^64 bytes": lambda path: path.write_bytes(b"\xff" * 8 + b"{}"),
    "a header of 2^40 bytes": lambda path: path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}"),
    "a header of 99 MB that is not there": lambda path: path.write_bytes(struct.pack("<Q", 99_000_000) + b"{}"),
    "a header of spaces": with_header(" " * 1_000_000),
    "a header that is deep": with_header('{"a":' * DEEP + "1" + "}" * DEEP),
    "a header that is a deep list": with_header("[" * DEEP + "]" * DEEP),
    "a header that is no JSON": with_header("\x00\xff"),
    "a header that is no UTF-8": lambda path: path.write_bytes(struct.pack("<Q", 3) + b'{"\xff'),
    "metadata that are no text": with_header('{"__metadata__": {"weights_sha256": [1]}}'),
    "a shape that overflows": one("F32", "[4294967296, 4294967296, 4294967296]", "[0, 16]"),
    "a shape of 2^63": one("F32", "[9223372036854775807]", "[0, 16]"),
    "a shape that is negative": one("F32", "[-4]", "[0, 16]"),
    "a shape that is too large": one("F32", "[5]", "[0, 16]"),
    "a thousand dimensions": one("F32", f"[4{', 1' * 1000}]", "[0, 16]"),
    "offsets out of range": one("F32", "[4]", "[1000, 1016]"),
    "offsets that are negative": one("F32", "[4]", "[-16, 0]"),
    "offsets backwards": one("F32", "[4]", "[16, 0]"),
    "offsets of 2^64": one("U8", "[16]", "[18446744073709551600, 18446744073709551616]"),
    "an unknown type": one("PICKLE", "[16]", "[0, 16]"),
    "a tensor in a hole": in_a_holey_file,
    **{f"the type {name}": one(name, "[4]", f"[0, {size}]", size) for name, size in (("F8_E4M3", 4), ("F8_E8M0", 4))},
    **{f"the type {name}": one(name, "[4]", f"[0, {size}]", size) for name, size in (("F4", 2), ("C64", 32))},
    "no checksum": lambda path: path.write_bytes(to_bytes({"a": torch.zeros(1)}, metadata={"state": "{}"})),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Payload())),
    "torch's own format": lambda path: torch.save({"state": Payload()}, path),
    "torch's old format": lambda path: torch.save(Payload(), path, _use_new_zipfile_serialization=False),
    "a link": as_link,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "nothing": lambda path: None,
}


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
@pytest.mark.parametrize("case", CASES)
def test_a_strangers_file(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "step-0000000007.safetensors"
    CASES[case](path)
    check_refusal(path, monkeypatch, checkpoint.load_state, checkpoint.load)


@pytest.mark.parametrize("case", STATES)
def test_a_strangers_state(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "step-0000000007.safetensors"
    write(path, STATES[case])
    check_refusal(path, monkeypatch, checkpoint.load_state)
    assert list(checkpoint.load(path)) == ["none"], "the file is in order, and only what it says is not"


def test_weights_are_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "step-0000000007.safetensors"
    checkpoint.save(path, nn.Linear(2, 2).state_dict())
    check_refusal(path, monkeypatch, checkpoint.load_state)


def check_refusal(path: Path, monkeypatch: pytest.MonkeyPatch, *readers: Callable[[Path], object]) -> None:
    import resource

    monkeypatch.chdir(path.parent)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for reader in readers:
        with pytest.raises(DataError) as error:
            reader(path)
        assert str(path) in str(error.value)
        assert len(str(error.value)) < 1000 and "\n" not in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "kilobytes"
    assert not Path("canary").exists()
    messages: list[str] = []
    assert checkpoint.latest(path.parent, {}, messages.append) is None
    assert len(messages) == path.is_file()


def test_join_is_only_what_split_makes() -> None:
    tensors: dict[str, Tensor] = {}
    flat = flatten(STATE, "state", tensors)
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat
    assert equal(unflatten(flat, tensors), STATE)
