"""Small data sets in the formats of the published ones, and of one's own, written by the tests."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat
from torch import Tensor

from support.small import write_mnist


def random_pixels(count: int, *shape: int, seed: int = 0) -> Tensor:
    """``[count, *shape]`` uint8."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)


def cyclic(count: int, classes: int) -> Tensor:
    """Labels 0, 1, …, 0, 1, …: ``[count]`` int64."""
    return torch.arange(count) % classes


def write_idx(path: Path, array: Tensor) -> None:
    """An IDX file of a uint8 tensor, gzipped where the path ends in .gz."""
    content = bytes([0, 0, 8, array.dim()]) + struct.pack(f">{array.dim()}I", *array.shape) + array.numpy().tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_emnist(folder: Path, split: str, images: Tensor, labels: Tensor, num_test: int, suffix: str = "") -> None:
    """A split of EMNIST; ``images`` ``[N, 28, 28]`` upright, ``labels`` as the files have them."""
    for part, rows in (("train", slice(None, -num_test)), ("test", slice(-num_test, None))):
        stem = f"emnist-{split}-{part}"
        write_idx(folder / f"{stem}-images-idx3-ubyte{suffix}", images[rows].transpose(1, 2).contiguous())
        write_idx(folder / f"{stem}-labels-idx1-ubyte{suffix}", labels[rows].to(torch.uint8))


def write_cifar10(folder: Path, images: Tensor, labels: Tensor) -> None:
    """CIFAR-10's six files; ``images`` ``[N, 3, 32, 32]``, in six parts of one size, the test images last."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels, numbers in zip(names, images.chunk(6), labels.chunk(6), strict=True):
        content = {"data": pixels.flatten(1).numpy(), "labels": numbers.tolist(), "batch_label": name}
        (folder / name).write_bytes(python2(content))
    (folder / "batches.meta").write_bytes(python2({"label_names": [f"class {i}" for i in range(10)]}))


def write_cifar100(folder: Path, images: Tensor, fine: Tensor, num_test: int) -> None:
    """CIFAR-100's two files; the coarse label is a fifth of the fine one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", slice(None, -num_test)), ("test", slice(-num_test, None))):
        content = {
            "data": images[rows].flatten(1).numpy(),
            "fine_labels": fine[rows].tolist(),
            "coarse_labels": (fine[rows] // 5).tolist(),
        }
        (folder / name).write_bytes(python2(content))
    (folder / "meta").write_bytes(python2({"fine_label_names": [f"class {i}" for i in range(100)]}))


def write_svhn(path: Path, images: Tensor, labels: Tensor) -> None:
    """A MATLAB file as SVHN's: X ``[32, 32, 3, N]``, y ``[N, 1]`` with 10 for the digit 0; compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = torch.where(labels == 0, 10, labels).to(torch.uint8)
    savemat(path, {"X": images.permute(2, 3, 1, 0).numpy(), "y": numbers[:, None].numpy()}, do_compression=True)


def write_folder(folder: Path, images: Tensor, labels: Tensor, suffix: str = ".png") -> None:
    """Images ``[N, C, H, W]`` as files, a sub-folder for each label."""
    for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        path = folder / str(label) / f"{i:04d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = image.permute(1, 2, 0).numpy()
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)


def write_ecg(folder: Path, name: str = "QTDB_train.mat", count: int = 10, **changes: Any) -> dict[str, np.ndarray]:
    """A file in the format of the set: every third step of a sequence has no label."""
    random = np.random.default_rng(count)
    labels = random.integers(0, 6, (count, 1301))
    y = np.eye(6, dtype=np.uint8)[labels]
    y[:, ::3] = 0
    arrays = {"x": random.integers(-1, 2, (count, 1301, 4)).astype(np.int16), "y": y, **changes}
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / name, {"max_i": np.full((count, 1), 1301), **arrays}, do_compression=True)
    return arrays


def tone(digit: int, seed: int, count: int = 1200) -> np.ndarray:
    """A sound of ``count`` samples at 8 kHz, whose pitch has the digit."""
    random = np.random.default_rng(seed)
    time = np.arange(count) / 8000
    wave = 8000 * np.sin(2 * np.pi * (300 + 300 * digit) * time) + random.normal(0, 300, count)
    return wave.astype(np.int16)


def wave_file(samples: np.ndarray, rate: int = 8000, channels: int = 1) -> bytes:
    """A WAV file of 16 bits."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((channels, samples.dtype.itemsize, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return content.getvalue()


def digit_files(indices: int = 7, speakers: Sequence[str] = ("ann", "bob")) -> dict[str, bytes]:
    """Recordings of all digits as FSDD has them, by their names; each is 4 samples longer than the one before."""
    names = [(d, s, i) for i in range(indices) for s in speakers for d in range(10)]
    return {f"{d}_{s}_{i}.wav": wave_file(tone(d, n, 1200 + 4 * n)) for n, (d, s, i) in enumerate(names)}


def write_digits(folder: Path, files: Mapping[str, bytes], *, packed: bool = True) -> None:
    """Recordings as the archive of FSDD, or as its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not packed:
        (folder / "recordings").mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / "recordings" / name).write_bytes(content)
        return
    with tarfile.open(folder / "recordings.tar.xz", "w:xz", preset=0) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"recordings/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def ts_lines(count: int, dimensions: int, classes: Sequence[str], seed: int = 0) -> list[str]:
    """Series of 3 to 7 steps as lines of a .ts file; their level has the class."""
    random = np.random.default_rng(seed)
    lines = []
    for n in range(count):
        level = random.normal(n % len(classes), 0.3, (dimensions, 3 + n % 5))
        lines.append(":".join([*(",".join(f"{v:.4f}" for v in row) for row in level), classes[n % len(classes)]]))
    return lines


def write_ts(folder: Path, name: str, train: Sequence[str], test: Sequence[str], header: str) -> None:
    """Both files of a set; ``header`` are lines without ``@data``."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, lines in (("TRAIN", train), ("TEST", test)):
        content = [header, "@data", *lines]
        (folder / f"{name}_{part}.ts").write_text("\n".join(content) + "\n", encoding="utf-8")


def ts_header(dimensions: int, classes: Sequence[str]) -> str:
    """The header of a set of series."""
    keys = (
        "@timeStamps false",
        f"@dimension {dimensions}",
        "@equalLength false",
        f"@classLabel true {' '.join(classes)}",
    )
    return "\n".join(("# made up", "@problemName own", *keys))


def write_everything(folder: Path, scale: int = 1) -> None:
    """A small set for every task that reads files from ``data_dir``; ``own`` is one for the tasks of one's own data."""
    write_mnist(folder, train=200 * scale)
    write_emnist(folder / "emnist", "balanced", random_pixels(235 * scale, 28, 28), cyclic(235 * scale, 47), 47)
    write_cifar10(folder / "cifar-10-batches-py", random_pixels(240 * scale, 3, 32, 32), cyclic(240 * scale, 10))
    write_cifar100(folder / "cifar-100-python", random_pixels(400 * scale, 3, 32, 32), cyclic(400 * scale, 100), 100)
    for seed, part in enumerate(("train", "test")):
        images = random_pixels(100 * scale, 3, 32, 32, seed=seed + 1)
        write_svhn(folder / f"{part}_32x32.mat", images, cyclic(100 * scale, 10))
    write_ecg(folder / "ecg_qtdb", count=60 * scale)
    write_ecg(folder / "ecg_qtdb", "QTDB_test.mat", 40 * scale)
    write_digits(folder, digit_files(7 + scale))
    write_ts(
        folder / "ucr", "own", ts_lines(80 * scale, 3, "abcd"), ts_lines(40 * scale, 3, "abcd", 1), ts_header(3, "abcd")
    )
    write_folder(folder / "own", random_pixels(100 * scale, 1, 8, 8), cyclic(100 * scale, 4))
    inputs = random_pixels(100 * scale, 7)
    inputs[:, 0] = 255
    np.save(folder / "own" / "inputs.npy", inputs.numpy())
    np.save(folder / "own" / "targets.npy", cyclic(100 * scale, 4).numpy())


def of_lengths(folder: Path) -> tuple[str, ...]:
    """The words for a task in ``folder`` whose samples differ in length: 80 of 3 to 12 steps, of two inputs.

    The class is the input that fires; after the end of a sample both fire, which must not be seen.
    """
    random = np.random.default_rng(0)
    labels, lengths = random.integers(0, 2, 80), random.integers(3, 13, 80)
    inputs = np.repeat(np.eye(2)[labels][:, None], 12, 1)
    inputs[np.arange(12) >= lengths[:, None]] = 1
    path = folder / "lengths.npz"
    np.savez(path, inputs=inputs, targets=labels, lengths=lengths)
    return "task=arrays", "task.time=true", f"task.path={path}", "num_steps=max", "encoder=none", "model.hidden=[20]"


def python2(content: dict[str, Any]) -> bytes:
    """A pickle of protocol 2 as Python 2's cPickle and numpy 1 write it, the bytes of an array in a text."""
    return b"\x80\x02}(" + b"".join(_text(key) + _value(value) for key, value in content.items()) + b"u."


def _value(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, str):
        return _text(value)
    assert isinstance(value, Sequence)
    return b"](" + b"".join(_text(item) if isinstance(item, str) else _number(item) for item in value) + b"e"


def _text(text: str | bytes) -> bytes:
    raw = text.encode("latin1") if isinstance(text, str) else text
    return (b"U" + bytes([len(raw)]) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))) + raw


def _number(value: int) -> bytes:
    return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)


def _array(array: np.ndarray) -> bytes:
    header = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + _number(0) + b"\x85" + _text("b") + b"\x87R"
    shape = b"(" + b"".join(map(_number, array.shape)) + b"t"
    kind = b"cnumpy\ndtype\n" + _text("u1") + _number(0) + _number(1) + b"\x87R"
    kind += b"(" + _number(3) + _text("|") + b"NNN" + _number(-1) + _number(-1) + _number(0) + b"tb"
    return header + b"(" + _number(1) + shape + kind + b"\x89" + _text(array.tobytes()) + b"tb"
