"""Spoken digits: recordings made up here in the set's format, and the real ones where they lie."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.errors import DataError
from snnrun.task import FSDD, Data
from snnrun.task.fsdd import energies, fire, mel_filters
from support.paths import real_data
from support.refusals import fails, refuses
from support.written import digit_files, tone, wave_file, write_digits

CPU = torch.device("cpu")


def load(data_dir: Path, num_steps: int | str = 20, **options: Any) -> Data:
    return FSDD(**options).load(data_dir, num_steps, CPU, torch.Generator())


@pytest.mark.parametrize("place", ["", "fsdd"])
def test_archive_and_folder_have_the_same_recordings(tmp_path: Path, place: str) -> None:
    files = digit_files()
    write_digits(tmp_path / "packed" / place, files)
    write_digits(tmp_path / "plain" / place, files, packed=False)
    packed, plain = load(tmp_path / "packed"), load(tmp_path / "plain")
    assert packed.hashes == plain.hashes
    assert [len(part) for part in packed[:3]] == [30, 10, 100]
    for one, other in zip(packed[:3], plain[:3], strict=True):
        assert all(torch.equal(a.x, b.x) for a, b in zip(one.batches(9), other.batches(9), strict=True))
    files["0_ann_0.wav"] = wave_file(tone(0, 99))
    write_digits(tmp_path / "plain" / place, files, packed=False)
    assert load(tmp_path / "plain").hashes != packed.hashes


def test_lengths_are_the_steps_of_the_windows_and_later_steps_are_0(tmp_path: Path) -> None:
    files = digit_files()
    write_digits(tmp_path, files)
    windows = {name: 1 + ((len(content) - 44) // 2 - 200) // 80 for name, content in files.items()}
    expected = sorted(count for name, count in windows.items() if int(name[6]) < 5)
    (batch,) = load(tmp_path).test.batches(200)
    assert batch.lengths is not None and batch.lengths.dtype is torch.int64
    assert sorted(batch.lengths.tolist()) == [min(count, 20) for count in expected]
    assert batch.x.shape == (20, 100, 40) and 0 <= batch.x.min() < batch.x.max() == 1
    after = torch.arange(20)[:, None] >= batch.lengths
    assert after.any() and not batch.x[after].any()
    (whole,) = load(tmp_path, "max").test.batches(200)
    assert whole.lengths is not None and sorted(whole.lengths.tolist()) == expected
    assert len(whole.x) == max(expected) and torch.equal(whole.x[:13], batch.x[:13])
    (short,) = load(tmp_path, 5).test.batches(200)
    assert short.lengths is not None and short.lengths.tolist() == [5] * 100
    assert torch.equal(short.x, whole.x[:5])


def test_a_tone_is_loudest_in_the_band_of_its_pitch(tmp_path: Path) -> None:
    write_digits(tmp_path, digit_files())
    (batch,) = load(tmp_path).test.batches(200)
    assert batch.target is not None
    edges = np.arange(41) * 2595 * np.log10(1 + 4000 / 700) / 41
    pitch = 2595 * np.log10(1 + (300 + 300 * np.arange(10)) / 700)
    expected = torch.tensor([int(np.abs(edges[1:] - each).argmin()) for each in pitch])
    # A pitch between two bands may be in either.
    assert (batch.x[2].argmax(1) - expected[batch.target]).abs().max() <= 1
    assert (batch.x[2].argmax(1) == expected[batch.target]).float().mean() > 0.8
    louder = {name: wave_file(np.frombuffer(content[44:], np.int16) * 2) for name, content in digit_files().items()}
    write_digits(tmp_path / "louder", louder)
    (again,) = load(tmp_path / "louder").test.batches(200)
    torch.testing.assert_close(again.x, batch.x, rtol=1e-4, atol=1e-4)


def test_the_energy_of_a_window_is_parseval_s(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(-999, 999, (3, 200)).astype(np.int16)
    flat = energies(frames, np.ones((1, 257)))[:, 0]
    hann = np.hanning(201)[:-1]
    both = 2 * flat - (np.abs(np.fft.rfft(frames * hann, 512))[:, [0, -1]] ** 2).sum(1)
    np.testing.assert_allclose(both, 512 * ((frames * hann) ** 2).sum(1))
    filters = mel_filters(40, 200, 8000)
    assert filters.shape == (40, 257) and (filters.max(1) > 0.5).all()
    inside = filters[:, filters.argmax(1)[0] + 1 : filters.argmax(1)[-1]]
    np.testing.assert_allclose(inside.sum(0), 1)  # neighbouring triangles add up to 1


def test_spikes_are_of_neurons_that_add_up_their_level(tmp_path: Path) -> None:
    level = np.random.default_rng(0).random((50, 3))
    voltage, expected = np.zeros(3), []
    for current in level:
        voltage += current
        expected.append(np.floor(voltage))
        voltage -= expected[-1]
    np.testing.assert_array_equal(fire(level), expected)
    write_digits(tmp_path, digit_files())
    (spikes,) = load(tmp_path, features="spikes").test.batches(200)
    assert spikes.x.unique().tolist() == [0, 1]
    (many,) = load(tmp_path, features="spikes", rate=3.0).test.batches(200)
    assert many.x.max() == 3 and many.x.sum() > 2.5 * spikes.x.sum()


def test_a_speaker_may_be_the_test_set(tmp_path: Path) -> None:
    write_digits(tmp_path, digit_files(4, ("ann", "bob", "cy")))
    with fails(DataError, "index 0 to 4"):
        load(tmp_path)
    data = load(tmp_path, test_speaker="bob")
    assert [len(part) for part in data[:3]] == [70, 10, 40]
    with fails(DataError, "task.test_speaker", "ann, bob, cy", "eve"):
        load(tmp_path, test_speaker="eve")


def test_a_silent_recording_has_level_0(tmp_path: Path) -> None:
    write_digits(tmp_path, digit_files() | {"3_ann_1.wav": wave_file(np.zeros(1000, np.int16))})
    (batch,) = load(tmp_path).test.batches(200)
    assert (batch.x.amax((0, 2)) == 0).sum() == 1


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("name", "content", "facts"),
    [
        ("0_ann_0.wav", wave_file(tone(0, 0))[:999], ("cut", "1200", "477")),
        ("0_ann_0.wav", wave_file(tone(0, 0))[:30], ("WAV",)),
        ("0_ann_0.wav", b"", ("WAV",)),
        ("0_ann_0.wav", wave_file(tone(0, 0, 0)), ("empty",)),
        ("0_ann_0.wav", wave_file(tone(0, 0), 16000), ("task.sample_rate", "8000", "16000")),
        ("0_ann_0.wav", wave_file(tone(0, 0), channels=2), ("channel", "2")),
        ("0_ann_0.wav", wave_file(tone(0, 0).astype(np.uint8)), ("16 bits", "8")),
        ("0_ann_0.wav", wave_file(tone(0, 0, 199)), ("200", "task.window", "199")),
        ("10_ann_0.wav", wave_file(tone(0, 0)), ("label", "10")),
        ("ann_0.wav", wave_file(tone(0, 0)), ("label", "ann_0.wav")),
        ("0_ann_00.wav", wave_file(tone(0, 0)), ("second",)),
    ],
)
def test_a_bad_recording_is_refused_by_file_and_number(
    tmp_path: Path, name: str, content: bytes, facts: tuple[str, ...], packed: bool
) -> None:
    files = digit_files(2) | {name: content}
    write_digits(tmp_path, files, packed=packed)
    order = list(files) if packed else sorted(files)
    with fails(DataError, "fsdd", f"recordings/{name}", f"recording {order.index(name)}", *facts):
        load(tmp_path)


def test_missing_and_damaged_archives(tmp_path: Path) -> None:
    with fails(DataError, "the data is missing", "recordings.tar.xz"):
        load(tmp_path)
    write_digits(tmp_path, digit_files())
    whole = (tmp_path / "recordings.tar.xz").read_bytes()
    for content in (whole[: len(whole) // 2], b"no archive", b"", whole[:-1]):
        (tmp_path / "recordings.tar.xz").write_bytes(content)
        with fails(DataError, "recordings.tar.xz"):
            load(tmp_path)


def test_links_of_an_archive_are_not_followed_and_large_files_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(wave_file(tone(0, 0)))
    with tarfile.open(tmp_path / "recordings.tar.xz", "w:xz", preset=0) as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            member = tarfile.TarInfo("recordings/0_ann_0.wav")
            member.type, member.linkname = kind, str(tmp_path / "secret.wav")
            archive.addfile(member)
    with fails(DataError, "got none"):
        load(tmp_path)
    with tarfile.open(tmp_path / "recordings.tar.xz", "w:xz", preset=0) as archive:
        member = tarfile.TarInfo("../../0_ann_0.wav")
        member.size = (1 << 24) + 1
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    before = sorted(tmp_path.parent.rglob("*"))
    with fails(DataError, "0_ann_0.wav", "at most 16777216 bytes"):
        load(tmp_path)
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_arguments() -> None:
    with refuses("bands", 300, "a band has no frequency"):
        FSDD(bands=300)
    with refuses("hop", 1e-9, "one sample"):
        FSDD(hop=1e-9)
    with refuses("features", "mfcc"):
        FSDD(features="mfcc")


def test_the_real_set() -> None:
    data = load(real_data("fsdd"), "max")
    assert [len(part) for part in data[:3]] == [2430, 270, 300]
    (batch,) = data.test.batches(300)
    assert batch.lengths is not None and batch.target is not None
    assert batch.target.bincount().tolist() == [30] * 10
    assert len(batch.x) == batch.lengths.max() and batch.lengths.min() >= 10
    speaker = load(real_data("fsdd"), 100, test_speaker="theo")
    assert [len(part) for part in speaker[:3]] == [2250, 250, 500]
