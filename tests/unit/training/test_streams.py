"""Random streams: one for each purpose, all from the seed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from snnrun.training.streams import Streams

CPU = torch.device("cpu")


def draws(seed: int) -> list[float]:
    streams = Streams(seed, CPU)
    every = [streams.order, streams.data, streams.encoding, streams.dropout, streams.evaluation()]
    values = [torch.rand(1, generator=generator).item() for generator in every]
    with streams.initialisation():
        values.append(torch.rand(1).item())
    return values


def test_each_purpose_and_each_seed_has_a_stream_of_its_own() -> None:
    assert draws(0) == draws(0)
    assert len({*draws(0), *draws(1), *draws(2)}) == 18


def test_evaluation_starts_anew_each_time() -> None:
    streams = Streams(3, CPU)
    first = torch.rand(4, generator=streams.evaluation())
    torch.rand(9, generator=streams.encoding)
    assert torch.equal(torch.rand(4, generator=streams.evaluation()), first)


def test_initialisation_leaves_the_global_generator_as_it_was() -> None:
    before = torch.get_rng_state()
    with Streams(0, CPU).initialisation():
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_draws_without_a_generator_has_a_stream_too() -> None:
    streams = Streams(0, CPU)
    before = torch.get_rng_state()
    with streams.global_stream("training"):
        first = torch.rand(3)
        with streams.global_stream("evaluation"):
            other = torch.rand(3)
        second = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, other)
    with Streams(0, CPU).global_stream("training"):
        assert torch.equal(torch.rand(3), first)
        assert torch.equal(torch.rand(3), second)


def test_isolated_items_draw_from_a_stream_that_nobody_else_moves() -> None:
    """By torch's global generator, whatever the caller draws from it in between; and the caller's is left alone."""
    streams = Streams(3, torch.device("cpu"))

    def draw() -> Iterator[float]:
        yield from (torch.rand(()).item() for _ in range(3))

    alone = list(streams.isolate(draw, "data 1"))
    torch.manual_seed(1)
    expected = torch.rand(4).tolist()
    torch.manual_seed(1)
    between = [torch.rand(()).item()]
    items = []
    for item in streams.isolate(draw, "data 1"):
        items.append(item)
        between.append(torch.rand(()).item())
    assert items == alone and len(set(items)) == 3
    assert between == expected
    assert list(streams.isolate(draw, "data 2")) != alone
    assert list(Streams(4, torch.device("cpu")).isolate(draw, "data 1")) != alone


def test_an_error_in_isolated_items_leaves_the_global_generator_as_it_was() -> None:
    def fail() -> Iterator[float]:
        yield torch.rand(()).item()
        torch.rand(())
        raise ValueError("broken")

    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="broken"):
        list(Streams(3, torch.device("cpu")).isolate(fail, "data 1"))
    assert torch.equal(torch.get_rng_state(), before)
