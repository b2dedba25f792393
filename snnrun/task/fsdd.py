"""Spoken digits: recordings of sound, by a bank of filters on the mel scale, as values or as spikes."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import check
from snnrun.augmentation import NONE, SequenceAugmentation
from snnrun.errors import ArgumentError, DataError
from snnrun.task.download import search_text
from snnrun.task.event_files import members
from snnrun.task.events import path_exists
from snnrun.task.sequences import SequenceSet, SequenceTask, digest_of

_ARCHIVE, _FOLDER = "recordings.tar.xz", "recordings"
_ORIGIN = "github.com/Jakobovski/free-spoken-digit-dataset"
_NAME = re.compile(r"(\d+)_([^_/]+)_(\d+)\.wav")
_TEST_INDICES = 5  # of each digit and speaker, from 0 on
_MOST_BYTES = 1 << 24  # of a file: 17 minutes at 8 kHz


class FSDD(SequenceTask):
    """Which digit was said? The Free Spoken Digit Dataset: 3,000 recordings of six speakers, 0.14 to 2.3 s at 8 kHz.

    The archive ``recordings.tar.xz``, or the folder ``recordings`` of the set's repository, is searched in
    ``<data_dir>/fsdd`` and in ``data_dir``. Its files are ``{digit}_{speaker}_{index}.wav``, 16 bits, mono. By default
    the recordings with index 0 to 4 are the test set, as usual.

    A step is ``hop`` seconds. ``E[t, k]`` is the energy of a Hann window at step ``t`` in the triangular filter ``k``;
    the filters are equally spaced on the mel scale up to half the sampling rate. The input is ``[T, B, bands]``::

        level[t, k] = 1 + (10 log10 E[t, k] - 10 log10 max E) / dynamic_range, in [0, 1]    features=mel
        spikes[t, k] = ⌊c[t, k]⌋ - ⌊c[t-1, k]⌋,   c[t, k] = rate Σ level[u, k] over u <= t   features=spikes

    ``max E`` is the largest energy of the recording, so loudness does not matter; a silent recording has level 0. The
    spikes are of a neuron for each band that integrates its level and fires at 1: 0 or 1 with a ``rate`` of at most 1.

    Args:
        features: ``mel`` (the levels) or ``spikes``. Default mel.
        bands: number of filters. Default 40.
        window: seconds of the Hann window. Default 0.025.
        hop: seconds of a step. Default 0.01.
        dynamic_range: decibels below the loudest energy that are level 0. Default 60.
        rate: spikes of a step at level 1; only for spikes. Default 1.
        sample_rate: sampling rate of all recordings in hertz. Default 8000.
        test_speaker: name of the speaker whose recordings are the test set, such as ``theo``; null: the recordings with
            index 0 to 4 are. Default null.
        validation: share of the other recordings for validation, in [0, 1); 0: none. Default 0.1.
        split_seed: seed of that split. Default 0.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.
            Default none.

    Raises:
        ValueError: for an argument out of range.
        DataError: the recordings are missing, or one of them is damaged or has another format.

    Source: Z. Jackson et al., Free Spoken Digit Dataset, github.com/Jakobovski/free-spoken-digit-dataset; the mel scale
    m = 2595 log10(1 + f / 700) of D. O'Shaughnessy, Speech communication, 1987.
    """

    name = "fsdd"
    classes = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    num_outputs = len(classes)

    def __init__(
        self,
        *,
        features: str = "mel",
        bands: int = 40,
        window: float = 0.025,
        hop: float = 0.01,
        dynamic_range: float = 60.0,
        rate: float = 1.0,
        sample_rate: int = 8000,
        test_speaker: str | None = None,
        validation: float = 0.1,
        split_seed: int = 0,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
    ) -> None:
        super().__init__(validation=validation, split_seed=split_seed, augmentation=augmentation)
        self.features = check.choice("features", features, ("mel", "spikes"))
        self.sample_rate = check.integer("sample_rate", sample_rate, low=1000, high=1_000_000)
        self.window = round(check.number("window", window, above=0, high=1) * self.sample_rate)
        self.hop = round(check.number("hop", hop, above=0, high=1) * self.sample_rate)
        for key, value, samples in (("window", window, self.window), ("hop", hop, self.hop)):
            if samples < 1:
                raise ArgumentError(key, f"at least {1 / self.sample_rate:g}, one sample", value)
        self.dynamic_range = check.number("dynamic_range", dynamic_range, above=0)
        self.rate = check.number("rate", rate, above=0, high=1000)
        if test_speaker is not None and (not isinstance(test_speaker, str) or not test_speaker):
            raise ArgumentError("test_speaker", "the name of a speaker, or null", test_speaker)
        self.test_speaker = test_speaker
        self.bands = check.integer("bands", bands, low=1, high=1000)
        self.input_shape = (self.bands,)
        self._filters = mel_filters(self.bands, self.window, self.sample_rate)  # [bands, frequencies]

    def read(self, data_dir: Path) -> SequenceSet:
        """All recordings, in the order of their names."""
        recordings = self._recordings(data_dir)
        test = [self._is_test(each) for each in recordings]
        if all(test) or not any(test):
            speakers = ", ".join(sorted({each.speaker for each in recordings}))
            expected = "recordings with index 0 to 4, and others"
            if self.test_speaker is not None:
                expected = (
                    f"a name among the speakers (task.test_speaker), which are {speakers}; got {self.test_speaker}"
                )
            raise DataError(f"{self.name}: expected {expected}")
        labels = [each.label for each in recordings]
        names = [f"{each.speaker} {each.number}" for each in recordings]
        digest = digest_of([each.samples for each in recordings], labels, names)
        return SequenceSet([self._features(each.samples) for each in recordings], labels, test, digest)

    def _is_test(self, recording: Recording) -> bool:
        if self.test_speaker is None:
            return recording.number < _TEST_INDICES
        return recording.speaker == self.test_speaker

    def _recordings(self, data_dir: Path) -> list[Recording]:
        folders = [data_dir / self.name, data_dir]
        places = [folder / name for folder in folders for name in (_ARCHIVE, _FOLDER)]
        path = next((place for place in places if path_exists(place)), None)
        if path is None:
            raise DataError(
                f"{self.name}: the data is missing\n{search_text(data_dir, folders)}\n"
                f"Put the archive {_ARCHIVE} or the folder {_FOLDER} into one of them; the folder is at {_ORIGIN}\n"
                "Or choose a task of made-up words, which needs no files: task=spoken_tones"
            )
        recordings: dict[tuple[int, str, int], Recording] = {}
        try:
            for number, (name, source, content) in enumerate(members(path, ".wav", _MOST_BYTES)):
                recording = self._recording(Path(name).name, f"{source} (recording {number})", content)
                key = (recording.label, recording.speaker, recording.number)
                if key in recordings:
                    raise DataError(f"{source} (recording {number}): expected one recording of this name, got a second")
                recordings[key] = recording
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from None
        if not recordings:
            raise DataError(f"{self.name}: {path}: expected recordings, files *.wav, got none")
        return [recordings[key] for key in sorted(recordings)]

    def _recording(self, name: str, source: str, content: bytes) -> Recording:
        match = _NAME.fullmatch(name)
        if match is None:
            raise DataError(
                f"{source}: expected a name with a label, {{digit}}_{{speaker}}_{{index}}.wav, got {name!r}"
            )
        label = int(match[1])
        if label >= self.num_outputs:
            raise DataError(
                f"{source}: expected a label from 0 to {self.num_outputs - 1} before the first _, got {label}"
            )
        samples = read_wave(content, source, self.sample_rate)
        if len(samples) < self.window:
            raise DataError(
                f"{source}: expected at least {self.window} samples, one window (task.window), got {len(samples)}"
            )
        return Recording(label, match[2], int(match[3]), samples)

    def _features(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """``[steps, bands]``."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.window)[:: self.hop]
        energy = energies(frames, self._filters)
        loudest = energy.max()
        if loudest == 0:
            return np.zeros(energy.shape, np.float32)
        with np.errstate(divide="ignore"):  # no energy is level 0
            level = (1 + 10 * np.log10(energy / loudest) / self.dynamic_range).clip(0, 1)
        return level.astype(np.float32) if self.features == "mel" else fire(level * self.rate)


class Recording(NamedTuple):
    """A recording of sound."""

    label: int
    speaker: str
    number: int
    samples: NDArray[np.int16]  # [n]


def read_wave(content: bytes, source: str, sample_rate: int) -> NDArray[np.int16]:
    """The samples of a WAV file of 16 bits and one channel, ``[n]``.

    Raises:
        DataError: the file is damaged, cut or empty, or has another format; it names ``source``.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate, count = file.getparams()[:4]
            data = file.readframes(count)
    except (wave.Error, EOFError) as error:
        what = " ".join(str(error).split()) or "it ends too early"
        raise DataError(f"{source}: not a whole WAV file of PCM: {what}") from None
    if channels != 1:
        raise DataError(f"{source}: expected one channel, got {channels}")
    if width != 2:
        raise DataError(f"{source}: expected samples of 16 bits, got {8 * width}")
    if rate != sample_rate:
        raise DataError(f"{source}: expected a sampling rate of {sample_rate} Hz (task.sample_rate), got {rate}")
    if not count:
        raise DataError(f"{source}: expected samples, got an empty recording")
    if len(data) != width * count:
        raise DataError(f"{source}: cut: expected {count} samples, as its header has, got {len(data) // width}")
    return np.frombuffer(data, "<i2").astype(np.int16)


def mel_filters(bands: int, window: int, sample_rate: int) -> NDArray[np.float64]:
    """Triangles on the mel scale from 0 to half the sampling rate, ``[bands, frequencies]``, for :func:`energies`.

    Raises:
        ArgumentError: a triangle is so narrow that it has no frequency.
    """
    frequencies = np.fft.rfftfreq(_points(window), 1 / sample_rate)
    mel = 2595 * np.log10(1 + frequencies / 700)
    width = mel[-1] / (bands + 1)
    centres = width * np.arange(1, bands + 1)
    filters = (1 - np.abs(mel - centres[:, None]) / width).clip(min=0)
    if not filters.any(axis=1).all():
        raise ArgumentError("bands", "fewer, since a band has no frequency", bands, advice="or a longer window")
    return filters


def energies(frames: NDArray[np.int16], filters: NDArray[np.float64]) -> NDArray[np.float64]:
    """The energy of each frame ``[steps, window]`` in each band, ``[steps, bands]``, with a Hann window."""
    window = frames.shape[1]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    spectrum = np.fft.rfft(frames * hann, _points(window))
    return (spectrum.real**2 + spectrum.imag**2) @ filters.T


def fire(current: NDArray[np.float64]) -> NDArray[np.float32]:
    """Spikes of neurons without a leak, threshold 1, whose reset subtracts it; ``current`` is ``[steps, bands]``."""
    fired = np.floor(np.cumsum(current, axis=0))
    return np.diff(fired, axis=0, prepend=0).astype(np.float32)


def _points(window: int) -> int:
    """Length of the Fourier transform: the power of two from twice the window on, for bands of low frequencies."""
    return 1 << (2 * window - 1).bit_length()
