"""Small sets of events in the formats in which the real ones come, written by the tests."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Events(NamedTuple):
    """One recording: t in µs, in ascending order; x, y and p."""

    t: Any
    x: Any
    y: Any
    p: Any


def random_events(seed: int, sensor: int, label: int, classes: int, num: int = 150, span: int = 300_000) -> Events:
    """Events in a stripe that tells the class."""
    random = np.random.default_rng(seed)
    t = np.sort(random.integers(0, span, num))
    low = label * sensor // classes
    x = random.integers(low, max(low + sensor // classes, low + 1), num)
    return Events(t, x, random.integers(0, sensor, num), random.integers(0, 2, num))


def nmnist(events: Events) -> bytes:
    """5 bytes an event; y = 240 wherever 2¹³ µs more went by than 23 bits of time can say."""
    rows = []
    overflows = 0
    for t, x, y, p in zip(*(column.tolist() for column in events), strict=True):
        while t - (overflows << 13) >= 1 << 23:
            rows.append(bytes([0, 240, 0, 0, 0]))
            overflows += 1
        rows.append(bytes([x, y]) + (p << 23 | t - (overflows << 13)).to_bytes(3, "big"))
    return b"".join(rows)


def gesture(events: Events) -> bytes:
    """tonic's NPY: x, y, polarity, time in ms."""
    file = io.BytesIO()
    np.save(file, np.stack([events.x, events.y, events.p, events.t // 1000], axis=1).astype(np.float64))
    return file.getvalue()


def aedat2(events: Events) -> bytes:
    """The authors' CIFAR10-DVS; these addresses are those that are read as x, y and p."""
    address = (127 - events.x) << 8 | (127 - events.y) << 1 | (1 - events.p)
    rows = np.stack([address, events.t], axis=1).astype(">u4")
    return b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# 8 bytes\r\n" + rows.tobytes()


def aedat3(events: Events, packet: int = 64) -> bytes:
    """AEDAT 3.1 in packets of 64 events, with one of another kind, and one event that is not valid."""
    content = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    content += struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 1, 1, 1) + bytes(8)
    word = events.x << 17 | events.y << 2 | events.p << 1 | 1
    for start in range(0, len(word), packet):
        rows = np.stack([word, events.t & 0x7FFFFFFF], axis=1)[start : start + packet].astype("<u4")
        rows = np.concatenate([rows, [[0, 0]]]).astype("<u4")
        overflow = int(events.t[start]) >> 31
        content += struct.pack("<hhiiiiii", 1, 1, 8, 4, overflow, len(rows), len(rows), len(rows) - 1) + rows.tobytes()
    return content


def original_gestures() -> dict[str, bytes]:
    """DVS Gesture of two people, one of whom is tested, as the authors give it: gestures of 0.3 s in a row."""
    files = {}
    for user, part in ((1, "train"), (2, "test")):
        name = f"user{user:02}_led"
        each = [random_events(100 * user + i, 128, i % 11, 11) for i in range(22)]
        later = [one._replace(t=one.t + 10_000 + 300_000 * i) for i, one in enumerate(each)]
        files[f"{name}.aedat"] = aedat3(Events(*(np.concatenate(columns) for columns in zip(*later, strict=True))))
        lines = [f"{i % 11 + 1},{10_000 + 300_000 * i},{310_000 + 300_000 * i}" for i in range(22)]
        files[f"{name}_labels.csv"] = "\n".join(["class,startTime_usec,endTime_usec", *lines, ""]).encode()
        files[f"trials_to_{part}.txt"] = f"{name}.aedat\n".encode()
    return files


def aedat4(events: Events, compress: Callable[[bytes], bytes] | None = None) -> bytes:
    """AEDAT 4: a header and one packet, both FlatBuffers with a size before them; the packet may be compressed."""
    info = (
        b'<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" path="/0/">'
        b'<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">EVTS</attr>'
        b'<node name="info" path="/0/info/"><attr key="sizeX" type="int">128</attr>'
        b'<attr key="sizeY" type="int">128</attr></node></node></node></dv>'
    )
    # Offsets are from where they stand. Table of the header: a vtable, then compression, position of a table, text.
    text = struct.pack("<I", len(info)) + info + b"\0"
    header = struct.pack("<I4s", 20, b"IOHE") + struct.pack("<HHHHHH", 10, 20, 16, 8, 4, 0)
    header += struct.pack("<iIqi", 12, 16, -1, int(compress is not None)) + text
    content = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header
    rows = np.zeros(len(events.t), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?"), ("_", "V3")])
    for name, column in zip(("t", "x", "y", "p"), events, strict=True):
        rows[name] = column
    packet = struct.pack("<I4s", 16, b"EVTS") + struct.pack("<HHHH", 6, 8, 4, 0)
    packet += struct.pack("<iI", 8, 8) + struct.pack("<II", 0, len(rows)) + rows.tobytes()
    body = struct.pack("<I", len(packet)) + packet
    body = compress(body) if compress else body
    return content + struct.pack("<ii", 0, len(body)) + body


def folder_of(path: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def zip_of(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def tar_of(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in reversed(list(files.items())):  # an archive has any order
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def nmnist_files(part: str, each: int, seed: int = 0) -> dict[str, bytes]:
    return {
        f"{part}/{label}/{10 * number + label:05}.bin": nmnist(random_events(seed + 10 * number + label, 34, label, 10))
        for label in range(10)
        for number in range(each)
    }


def gesture_files(part: str, users: int, seed: int = 0) -> dict[str, bytes]:
    return {
        f"{part}/user{user + 1:02}_{light}/{label}.npy": gesture(
            random_events(seed + 11 * user + label, 128, label, 11)
        )
        for user in range(users)
        for light in ("fluorescent", "led")
        for label in range(11)
    }


def cifar10_files(each: int, suffix: str = "aedat") -> dict[str, bytes]:
    encode = {"aedat": aedat2, "aedat4": aedat4}[suffix]
    return {
        f"{name}/cifar10_{name}_{number}.{suffix}": encode(random_events(10 * number + label, 128, label, 10))
        for label, name in enumerate(CIFAR10)
        for number in range(each)
    }


def random_speech(labels: Any, seed: int, classes: int) -> tuple[list[Any], list[Any]]:
    """Times in s, in half precision as the real ones, and units of as many recordings as there are labels."""
    recordings = [random_events(seed + i, 700, int(label), classes, 80 + i % 7) for i, label in enumerate(labels)]
    return [(one.t * 3e-6).astype(np.float16) for one in recordings], [one.x for one in recordings]


def write_hdf5(path: Path, labels: Any, times: list[Any], units: list[Any]) -> None:
    """A file of the Heidelberg sets."""
    h5py = pytest.importorskip("h5py", reason="the extra events is not installed")

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, kind, columns in (("times", np.float16, times), ("units", np.uint16, units)):
            dataset = file.create_dataset(f"spikes/{name}", (len(columns),), h5py.vlen_dtype(np.dtype(kind)))
            for i, column in enumerate(columns):
                dataset[i] = column.astype(kind)
        file["labels"] = np.asarray(labels, dtype=np.uint16)
        file["extra/speaker"] = np.zeros(len(labels), dtype=np.uint16)
        file["extra/keys"] = np.array([b"zero", b"one"])


def write_speech(folder: Path, name: str, parts: Mapping[str, int], classes: int) -> None:
    for seed, (part, each) in enumerate(parts.items()):
        labels = np.arange(classes * each) % classes
        write_hdf5(folder / f"{name}_{part}.h5", labels, *random_speech(labels, 1000 * seed, classes))


def write_event_set(data_dir: Path, name: str) -> None:
    """The set of a task by that name, large enough for two training batches of 32; nothing for any other task."""
    if name == "nmnist":
        zip_of(data_dir / "NMNIST/train.zip", nmnist_files("Train", 10))
        zip_of(data_dir / "NMNIST/test.zip", nmnist_files("Test", 2, seed=500))
    elif name == "dvs_gesture":
        tar_of(data_dir / "DVSGesture/ibmGestureTrain.tar.gz", gesture_files("ibmGestureTrain", 4))
        tar_of(data_dir / "DVSGesture/ibmGestureTest.tar.gz", gesture_files("ibmGestureTest", 1, seed=500))
    elif name == "cifar10_dvs":
        folder_of(data_dir / "CIFAR10DVS", cifar10_files(10))
    elif name == "shd":
        write_speech(data_dir / "SHD", "shd", {"train": 6, "test": 2}, 20)
    elif name == "ssc":
        write_speech(data_dir / "SSC", "ssc", {"train": 3, "valid": 1, "test": 1}, 35)
