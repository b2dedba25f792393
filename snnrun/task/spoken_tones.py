"""Artificial spoken words in a cochlea: sweeping tones; half of the classes are the others played backwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.augmentation import NONE, SequenceAugmentation, check_sequence_augmentations
from snnrun.task.augmented import augmented
from snnrun.task.base import Batch, Data, Task
from snnrun.task.generated import generate
from snnrun.task.noise import add_noise, most_noise

_CHANNELS = 700
_WORDS = 10
_KNOTS = 5
#: The ranges of the formants of all words, as shares of the channels.
_BANDS = ((0.08, 0.42), (0.33, 0.72), (0.6, 0.94))
# The largest deviations of a speaker from the mean: pitch and each formant in channels, and a bend of time.
_PITCH, _FORMANT, _BEND = 25.0, 12.0, 0.4
_DURATION = (0.6, 1.0)  # of a word, as a share of the sample
_LOUDNESS = (0.5, 1.0)
_BANDWIDTH = 9.0  # channels: standard deviation around the formant
_EVENTS = 400  # of each formant, at full loudness


class SpokenTones(Task):
    """Which of 20 made-up words was said? Events ``[T, B, 700]``, in the shape of the Spiking Heidelberg Digits (SHD).

    A word is three formants: tones that sweep over the channels, and swell and fade. Its track ``f`` and loudness ``a``
    are drawn once, from ``vocabulary``, as values at 5 moments of the word with linear interpolation. Classes 10 to 19
    are the words 0 to 9 played backwards, ``f(1 - τ)`` and ``a(1 - τ)``. A formant of a sample has at most 400 events,
    each drawn independently::

        τ ~ U(0, 1)                                              its moment in the word
        present with probability g a(τ)
        t = t0 + D (τ + h sin(2πτ) / 2π)                         time, as a share of the sample
        k = round(f(τ) + p + p_f + 9 n),   n ~ N(0, 1)           channel

    The speaker is drawn for each sample: duration D (0.6 to 1), onset t0 (0 to 1 - D), haste h (±0.4), loudness g (0.5
    to 1), pitch p (±25 channels) and a shift of each formant p_f (±12 channels), all uniform. Then noise is added, on
    average ``noise`` events for each channel in a sample, at random moments. Events are 0 or 1: at most one for each
    channel and step. A step is a T-th of the sample; taken for a second, as an SHD digit lasts about one, it is 10 ms
    with 100 steps.

    A word played backwards, with the same haste, is as likely as the word itself: a network that counts the events of
    each channel but ignores their order is right for at most half of the samples.

    Args:
        vocabulary: seed of the words; the same in every run, whatever its seed. Default 0.
        noise: events of noise for each channel, over the whole sample. Default 0.1.
        train_samples: of an epoch, fresh in every epoch. Default 4000.
        validation_samples, test_samples: fixed by the run's seed. Default 500 and 1000.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.
            Default none.

    Raises:
        ValueError: for an argument out of range.

    Source: only the shape is from Cramer, Stradmann, Schemmel and Zenke 2020, "The Heidelberg spiking data sets for the
    systematic evaluation of spiking neural networks", not the data.
    """

    has_time = True
    has_accuracy = True
    input_shape = (_CHANNELS,)
    num_outputs = 2 * _WORDS
    classes = (*(f"word {i}" for i in range(_WORDS)), *(f"word {i} backwards" for i in range(_WORDS)))

    def __init__(
        self,
        *,
        vocabulary: int = 0,
        noise: float = 0.1,
        train_samples: int = 4000,
        validation_samples: int = 500,
        test_samples: int = 1000,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
    ) -> None:
        self.vocabulary = check.integer("vocabulary", vocabulary, low=0, high=2**63 - 1)
        self.noise = check.number("noise", noise, low=0, high=10)
        self.train_samples = check.integer("train_samples", train_samples, low=1)
        self.validation_samples = check.integer("validation_samples", validation_samples, low=1)
        self.test_samples = check.integer("test_samples", test_samples, low=1)
        self.augmentation = check_sequence_augmentations(augmentation)

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: Generator) -> Data:
        """Three parts, each with a random stream seeded by ``generator``; reads nothing."""
        tracks, loudness = (table.to(device) for table in self.words())
        sizes = (self.train_samples, self.validation_samples, self.test_samples)
        formants = len(_BANDS)
        # The class, the speaker, three numbers for each event, and the amount and places of the noise.
        num_draws = 6 + formants + 3 * formants * _EVENTS + 1 + most_noise(_CHANNELS * self.noise)

        def make(draws: Tensor) -> Batch:
            return self.make(draws, num_steps, tracks, loudness)

        data = generate(sizes, num_draws, make, device, generator)
        return augmented(data, self.augmentation, generator)

    def words(self) -> tuple[Tensor, Tensor]:
        """Tracks in channels and loudness of all classes, each ``[20, formants, knots]``."""
        generator = Generator().manual_seed(self.vocabulary)
        low, high = torch.tensor(_BANDS).T[:, :, None] * _CHANNELS
        tracks = low + (high - low) * torch.rand((_WORDS, len(_BANDS), _KNOTS), generator=generator)
        loudness = torch.rand((_WORDS, len(_BANDS), _KNOTS), generator=generator)
        return torch.cat((tracks, tracks.flip(2))), torch.cat((loudness, loudness.flip(2)))

    def make(self, draws: Tensor, num_steps: int, tracks: Tensor, loudness: Tensor) -> Batch:
        """The samples of uniform draws ``[B, K]``."""
        samples, formants = len(draws), len(_BANDS)
        label, onset, duration, bend, gain, pitch = draws[:, :6].T[:, :, None, None]
        first = 6 + formants
        last = first + 3 * formants * _EVENTS
        own = draws[:, 6:first, None]
        moment, presence, normal = draws[:, first:last].view(samples, 3, formants, _EVENTS).unbind(1)
        target = (label * self.num_outputs).long().flatten()

        place = moment * (_KNOTS - 1)
        knot = place.long().clamp_(max=_KNOTS - 2)
        share = place - knot

        def at(table: Tensor) -> Tensor:
            values = table[target].to(draws.dtype)
            return values.gather(2, knot).lerp(values.gather(2, knot + 1), share)

        gain = _LOUDNESS[0] + gain * (_LOUDNESS[1] - _LOUDNESS[0])
        duration = _DURATION[0] + duration * (_DURATION[1] - _DURATION[0])
        bend = _BEND * (2 * bend - 1)
        time = onset * (1 - duration) + duration * (moment + bend * (2 * math.pi * moment).sin() / (2 * math.pi))
        step = (time * num_steps).long().clamp_(0, num_steps - 1)
        # The draws have 24 bits, so that the normal ones stay within ±5.3.
        normal = math.sqrt(2) * torch.erfinv((2 * normal - 1).clamp_(min=2**-24 - 1))
        channel = at(tracks) + _PITCH * (2 * pitch - 1) + _FORMANT * (2 * own - 1) + _BANDWIDTH * normal
        channel = channel.round().long()
        there = (presence < gain * at(loudness)) & (channel >= 0) & (channel < _CHANNELS)
        sample = torch.arange(samples, device=draws.device)[:, None, None]
        size = num_steps * samples * _CHANNELS
        # Absent events go to one extra place, which is dropped: faster than a selection.
        index = torch.where(there, (step * samples + sample) * _CHANNELS + channel, size)
        flat = torch.zeros(size + 1, dtype=draws.dtype, device=draws.device).index_fill_(0, index.flatten(), 1.0)
        events = flat[:size].view(num_steps, samples, _CHANNELS)
        add_noise(events, draws[:, last], draws[:, last + 1 :], _CHANNELS * self.noise)
        return Batch(events, target)
