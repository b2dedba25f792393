"""Made-up words: each event where its draws put it, and words backwards, which counts cannot tell."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.task import Batch, SpokenTones
from support.small import training

EVENTS = 3 * 400
DRAWS = 6 + 3 + 3 * EVENTS + 1
T = 40


def make(draws: Tensor, **options: Any) -> Batch:
    task = SpokenTones(noise=0, **options)
    return task.make(draws, T, *task.words())


def draws_of(samples: int) -> Tensor:
    return torch.rand((samples, DRAWS), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_facts() -> None:
    task = SpokenTones()
    assert (task.input_shape, task.num_outputs, task.has_time, task.has_accuracy) == ((700,), 20, True, True)


def test_the_words_are_those_of_the_vocabulary_and_half_of_them_are_the_others_backwards() -> None:
    (tracks, loudness), (again, _), (other, _) = (SpokenTones(vocabulary=v).words() for v in (0, 0, 1))
    assert torch.equal(tracks, again) and not torch.equal(tracks, other)
    assert tracks.shape == loudness.shape == (20, 3, 5)
    for table in (tracks, loudness):
        assert torch.equal(table[10:], table[:10].flip(2))
    assert tracks.min() > 0 and tracks.max() < 700
    assert bool((tracks.mean((0, 2)).diff() > 100).all())  # low, middle and high formant


def test_an_event_is_where_its_draws_put_it() -> None:
    tracks, loudness = SpokenTones().words()
    draws = draws_of(3)
    # One event each; the others are not heard.
    audible = draws[:, 9 + EVENTS : 9 + 2 * EVENTS]
    audible.fill_(1.0)
    audible[:, 450] = 0.0  # of the second formant
    batch = make(draws)
    assert batch.target is not None
    for sample, row in enumerate(draws.tolist()):
        label, onset, duration, bend, _, pitch = row[:6]
        moment, normal = row[9 + 450], row[9 + 2 * EVENTS + 450]
        word, duration = int(20 * label), 0.6 + 0.4 * duration
        knot = int(4 * moment)
        low, high = tracks[word, 1, knot : knot + 2].tolist()
        track = low + (high - low) * (4 * moment - knot)
        gauss = math.sqrt(2) * torch.erfinv(torch.tensor(2 * normal - 1, dtype=torch.float64)).item()
        channel = round(track + 25 * (2 * pitch - 1) + 12 * (2 * row[7] - 1) + 9 * gauss)
        time = onset * (1 - duration) + duration * (
            moment + 0.4 * (2 * bend - 1) * math.sin(2 * math.pi * moment) / (2 * math.pi)
        )
        assert batch.x[:, sample].nonzero().tolist() == [[int(T * time), channel]]
        assert batch.target[sample] == word
        assert loudness[word, 1].max() > 0


def test_a_sample_backwards_is_the_same_word_backwards() -> None:
    draws = draws_of(100)
    other = draws.clone()
    other[:, 0] = (draws[:, 0] + 0.5) % 1
    other[:, 1] = 1 - draws[:, 1]  # the silence after the word for that before it
    other[:, 9 : 9 + EVENTS] = 1 - draws[:, 9 : 9 + EVENTS]
    batch, backwards = make(draws), make(other)
    assert batch.target is not None and backwards.target is not None
    assert torch.equal((batch.target + 10) % 20, backwards.target)
    assert torch.equal(batch.x.flip(0), backwards.x)


def test_what_falls_outside_is_left_out() -> None:
    draws = draws_of(20)
    draws[:, 9 + 2 * EVENTS :] = 0.0  # five standard deviations below the track
    draws[:, 5] = 0.0
    x = make(draws).x
    assert x.unique().tolist() == [0.0, 1.0]
    assert x[:, :, 690:].sum() == 0


@pytest.mark.long
def test_counts_show_the_word_but_not_which_way_round() -> None:
    task = SpokenTones(train_samples=2000, test_samples=600)
    data = task.load(Path("unused"), 10, torch.device("cpu"), torch.Generator().manual_seed(0))
    (train,), (test,) = data.train.batches(2000), data.test.batches(600)
    assert train.target is not None and test.target is not None
    x, unseen = (part.x.sum(0).view(-1, 70, 10).sum(2) for part in (train, test))
    weights = torch.linalg.solve(x.T @ x + 10 * torch.eye(70), x.T @ torch.eye(20)[train.target])
    predictions = (unseen @ weights).argmax(1)
    word = predictions % 10 == test.target % 10
    assert word.double().mean().item() > 0.7
    assert (predictions == test.target)[word].double().mean().item() == pytest.approx(0.5, abs=0.09)  # 4 deviations


@pytest.mark.long
def test_it_can_be_learnt_but_not_without_memory() -> None:
    options = ("task=spoken_tones", "num_steps=50", "task.train_samples=2000")
    remembers = training(*options, "epochs=4", batches=10**6).fit()
    assert remembers[-1].to_json()["validation_accuracy"] > 0.7
    forgets = training(*options, "epochs=2", "neuron.beta=0", batches=10**6).fit()
    assert forgets[-1].to_json()["validation_accuracy"] < 0.57
