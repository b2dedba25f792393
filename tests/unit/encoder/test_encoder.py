"""Encoders: snnTorch's trains, and what an encoder promises."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.config.catalogue import name_of
from snnrun.encoder import (
    Burst,
    Delta,
    DeterministicPopulation,
    Direct,
    Encoder,
    FirstSpike,
    Identity,
    IntegrateFire,
    Latency,
    LatencyPopulation,
    LIFCurrent,
    LIFLatency,
    Periodic,
    Poisson,
    Population,
    RankOrder,
    Rate,
    TimeToFirstSpike,
    WeightedPhase,
)
from snnrun.errors import ArgumentError
from snnrun.loss.target import levels, ramp
from support import references
from support.references import tensor


def named(*names: str) -> list[dict[str, Any]]:
    return [e for e in references.entries("encoders") if e["name"] in names]


LATENCY = named("latency")
DELTA = named("delta")
RATE = named("rate")
LATENCY_ENCODER = named("LatencyEncoder")
PHASE = named("WeightedPhaseEncoder")


def latency(entry: dict[str, Any]) -> Latency:
    params = {"normalize": False, **entry["params"]}
    for key in ("num_steps", "on_target", "off_target", "interpolate"):
        params.pop(key, None)
    params["curve"] = "linear" if params.pop("linear", False) else "rc"
    # snnTorch divides by the largest time of the batch. Where a value lies below the threshold that is our scale too.
    if params["normalize"] and params["curve"] == "rc" and "without_small_values" in entry["id"]:
        params["normalize"] = "batch"
    return Latency(**params)


@pytest.mark.parametrize("entry", LATENCY, ids=lambda e: e["id"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_latency(entry: dict[str, Any], dtype: torch.dtype) -> None:
    params = entry["params"]
    x = tensor(entry["input"], dtype)[None]
    num_steps = params.get("num_steps") or len(entry["output"])
    encoder = latency(entry)
    times = tensor(entry["spike_time_float64"], torch.float64)
    torch.testing.assert_close(encoder.spike_time(x, num_steps)[0], times, rtol=1e-6, atol=1e-12)
    if "raises" in entry:
        with pytest.raises(
            ValueError, match=r"every spike within num_steps=3, got one at step 12.*encoder\.bypass=true"
        ):
            encoder(x, num_steps)
        return
    train = encoder(x, num_steps)
    assert train.dtype == dtype  # snnTorch returns float32 for float64
    level = (params.get("on_target", 1), params.get("off_target", 0))
    if params.get("interpolate"):
        torch.testing.assert_close(ramp(train, *level), tensor(entry["output"], dtype), rtol=0, atol=1e-6)
        return
    # snnTorch loses a negative off_target.
    expected = tensor(entry.get("intended_output", entry["output"]), dtype)
    assert torch.equal(levels(train, *level), expected)


@pytest.mark.parametrize("entry", LATENCY_ENCODER, ids=lambda e: e["id"])
def test_spikingjellys_latency(entry: dict[str, Any]) -> None:
    num_steps, curve = entry["params"]["T"], entry["params"]["enc_function"]
    encoder = Latency(curve=curve, threshold=0)
    x = tensor(entry["input"])
    batch = x[None] if x.dim() == 2 else x[None, None]
    # The peer's times are float32.
    times = tensor(entry["spike_time"], torch.float64).view(batch.shape)
    torch.testing.assert_close(encoder.spike_time(batch, num_steps), times, rtol=1e-5, atol=1e-5)
    train = encoder(batch, num_steps)
    assert torch.equal(train.view(num_steps, *x.shape), tensor(entry["output"]))
    # The peer answers further samples with the first one's spikes until it is reset.
    assert torch.equal(encoder(1 - batch, num_steps), Latency(curve=curve, threshold=0)(1 - batch, num_steps))


def test_the_log_curve_fills_all_steps_however_many() -> None:
    x = torch.tensor([[[0.0, 1e-3, 1.0]]])
    for num_steps in (1, 2, 100, 2000):  # e^1999 is no float64
        times = Latency(curve="log").spike_time(x, num_steps)[0, 0].tolist()
        assert times[0] == num_steps - 1
        assert times[0] >= times[1] >= times[2]
        assert abs(times[2]) < 1e-9
    late = Latency(curve="log", first_spike_time=4).spike_time(x, 10)[0, 0].tolist()
    assert late == pytest.approx([9, 9 - math.log(math.expm1(5) * 1e-3 + 1), 4])


def test_latency_codes_each_sample_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 9, 5, generator=generator) * 0.8 + 0.1  # no value below the threshold
    together = Latency()(x, 20)
    for i in range(9):
        assert torch.equal(Latency()(x[:, i : i + 1], 20)[:, 0], together[:, i])
    assert not torch.equal(Latency(normalize="batch")(x[:, :1], 20)[:, 0], together[:, 0])
    assert Latency()(torch.tensor([[[0.0, 1.0]]]), 20)[:, 0].nonzero().tolist() == [[0, 1], [19, 0]]
    assert together.sum(0).eq(1).all()


@pytest.mark.parametrize("entry", DELTA, ids=lambda e: e["id"])
def test_delta(entry: dict[str, Any]) -> None:
    x = tensor(entry["input"])
    assert Delta(**entry["params"])(x, len(x)).tolist() == entry["output"]


@pytest.mark.parametrize("entry", RATE, ids=lambda e: e["id"])
def test_rate(entry: dict[str, Any]) -> None:
    params = entry["params"]
    encoder = Rate(*(params.get(key, default) for key, default in (("gain", 1.0), ("offset", 0.0))))
    late = params.get("first_spike_time", 0)
    x = tensor(entry["input"])
    # snnTorch ignores gain and offset for input with a time axis; the right probabilities stand beside its own.
    expected = tensor(entry.get("intended_probability", entry["probability"]))
    num_steps = len(expected)
    # Where it makes a delayed sequence longer, we cut its end; so the input is given that much longer.
    x = torch.cat([x, torch.ones_like(x[:late])]) if params.get("time_var_input") else x[None]
    probability = encoder.probability(x).expand_as(expected)[: num_steps - late]
    torch.testing.assert_close(probability, expected[late:], rtol=0, atol=1e-6)
    assert_frequency(Rate(encoder.gain, encoder.offset, late), x, expected)


def assert_frequency(encoder: Encoder, x: Tensor, expected: Tensor) -> None:
    """Spikes of 0 or 1 (or their negatives) come with the expected probabilities ``[T, B, N]``."""
    trials = 4000
    many = x[:, None].expand(-1, trials, *x.shape[1:]).flatten(1, 2)
    train = encoder(many, len(expected), torch.Generator().manual_seed(7))
    assert set(train.abs().unique().tolist()) <= {0.0, 1.0}
    frequency = train.unflatten(1, (trials, -1)).mean(1)
    # 5 standard deviations of a mean of `trials` draws; certain events have none.
    deviation = (expected.abs() * (1 - expected.abs()) / trials).sqrt()
    assert ((frequency - expected).abs() <= 5 * deviation + 1e-6).all()


def test_spikingjellys_poisson_is_rate() -> None:
    (entry,) = named("PoissonEncoder")
    x = tensor(entry["input"])
    torch.testing.assert_close(Rate().probability(x), tensor(entry["probability"]), rtol=0, atol=1e-6)


def test_norses_poisson() -> None:
    (entry,) = named("poisson_encode")
    x, encoder = tensor(entry["input"]), Poisson(**entry["params"])
    expected = tensor(entry["probability"])
    torch.testing.assert_close(encoder.probability(x), expected, rtol=0, atol=1e-6)
    assert_frequency(encoder, x[None, None], expected.expand(3, 1, -1))
    signed = Poisson(f_max=400.0, signed=True)
    x = torch.tensor([[[-1.0, -0.25, 0.0, 0.5]]])
    assert_frequency(signed, x, (0.4 * x).expand(3, -1, -1))
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got -1 to 0.5"):
        Poisson()(x, 4)


@pytest.mark.parametrize("entry", PHASE, ids=lambda e: e["id"])
def test_weighted_phase(entry: dict[str, Any]) -> None:
    dtype = torch.float64 if "float64" in entry["id"] else torch.float32
    x, period = tensor(entry["input"], dtype), entry["params"]["K"]
    train = WeightedPhase(period)(x[None] if x.dim() == 2 else x[None, None], len(entry["output"]))
    assert train.dtype == dtype  # SpikingJelly returns float32 for float64
    assert torch.equal(train.view(len(train), *x.shape), tensor(entry["output"], dtype))
    weights = 2.0 ** -torch.arange(1, period + 1, dtype=dtype)
    error = x - torch.tensordot(weights, train[:period].view(period, *x.shape), 1)
    assert error.min() >= 0
    assert error.max() < 2.0**-period


def test_a_white_pixel_has_every_bit() -> None:
    """SpikingJelly refuses 1, which needs one bit more than there are."""
    assert WeightedPhase(5)(torch.ones(1, 1, 2), 7).eq(1).all()
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got 1.5 to 1.5"):
        WeightedPhase()(torch.full((1, 1, 2), 1.5), 7)


def test_periodic() -> None:
    (entry,) = named("PeriodicEncoder")
    x, expected = tensor(entry["input"]), tensor(entry["output"])
    # The peer forgets the spikes that it was made with; ours are the input.
    assert torch.equal(Periodic()(x, entry["params"]["steps"]), expected)
    longer = torch.cat([x, torch.rand(5, *x.shape[1:])])
    assert torch.equal(Periodic(period=entry["params"]["T"])(longer, 9), expected)
    with pytest.raises(ValueError, match="period: expected at most the 4 steps of the input, got 5"):
        Periodic(period=5)(x, 9)


POPULATION: dict[str, Any] = {"neurons": 4, "low": -1.4, "high": 1.92, "width": 0.67}


def test_population_of_spikingjelly() -> None:
    (activity,) = named("PopEncoder")
    (spikes,) = named("PopSpikeEncoderDeterministic")
    assert activity["params"] == spikes["params"]
    params = activity["params"]
    keys = (params["pop_dim"], *params["mean_range"], params["std"])
    assert keys == tuple(POPULATION.values())
    x, num_steps = tensor(activity["input"])[None], params["spike_ts"]

    direct = Population(code=Direct(), **POPULATION)
    expected = tensor(activity["output"])
    torch.testing.assert_close(direct(x, num_steps), expected, rtol=0, atol=1e-6)
    assert direct.centres() == pytest.approx(spikes["mean"][0][0])
    assert direct.output_shape((2,)) == (8,)
    assert DeterministicPopulation(**POPULATION)(x, num_steps).tolist() == spikes["output"]
    assert_frequency(Population(**POPULATION), x[:, :1], expected[:, :1])


def test_population_of_norse() -> None:
    for entry in named("population_encode"):
        x, params = tensor(entry["input"]), entry["params"]
        # The peer's scale is by default the largest value of the batch; a code must not depend on its neighbours.
        scale = params.get("scale", x.max().item())
        encoder = Population(neurons=params["out_features"], high=scale, width=scale**-0.5, code=Direct())
        torch.testing.assert_close(encoder(x.view(1, -1, 1), 1)[0], tensor(entry["output"]), rtol=0, atol=1e-6)


def test_gaussian_tuning_of_spikingjelly() -> None:
    (entry,) = named("GaussianTuning")
    params, x = entry["params"], tensor(entry["input"], torch.float64)
    duration, size = params["duration"], params["m"]
    times = tensor(entry["spike_time"], torch.float64).view(2, params["n"], 2, size)  # [B, feature, sample, field]
    code = Latency(curve="linear", threshold=0)
    for feature, (low, high) in enumerate(zip(params["x_min"], params["x_max"], strict=True)):
        encoder = LatencyPopulation(neurons=size, low=low, high=high, code=code)
        assert encoder.centres() == pytest.approx(entry["mu"][feature])
        response = encoder.response(x[:, feature].reshape(1, -1, 1))  # [1, B sample, field]
        ours = code.spike_time(response, int(duration) + 1)  # of T - 1 = duration
        torch.testing.assert_close(ours.view(2, 2, size), times[:, feature], rtol=1e-6, atol=1e-6)
        train = encoder(x[:, feature].reshape(1, -1, 1), int(duration) + 1)
        assert torch.equal(train.argmax(0).view(2, 2, size), times[:, feature].round().long())
    # A response below 1 % never fires, unless asked to.
    far = torch.full((1, 1, 1), 0.0)
    assert LatencyPopulation(neurons=8)(far, 20).sum(0)[0].tolist() == [1.0] * 3 + [0.0] * 5


def test_a_population_widens_the_channels_of_an_image() -> None:
    encoder = Population(neurons=3, code=Direct())
    x = torch.rand(1, 5, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    y = encoder(x, 7)
    assert y.shape == (7, 5, *encoder.output_shape((2, 4, 6))) == (7, 5, 6, 4, 6)
    torch.testing.assert_close(y[3, :, 4], torch.exp(-0.5 * ((x[0, :, 1] - 0.5) / 0.5) ** 2))
    assert Population().takes_sequence
    assert not LatencyPopulation().takes_sequence
    assert Population(code=Population(neurons=2)).output_shape((3, 1)) == (48, 1)


def test_first_spike_of_norse() -> None:
    (entry,) = named("spike_latency_encode")
    x = tensor(entry["input"])
    assert FirstSpike()(x, len(x)).tolist() == entry["output"]


@pytest.mark.parametrize("name", ["constant_current_lif_encode", "spike_latency_lif_encode"])
def test_lif_of_norse(name: str) -> None:
    (entry,) = named(name)
    params, x = entry["params"], tensor(entry["input"])
    kind = LIFCurrent if name.startswith("constant") else LIFLatency
    encoder = kind(gain=1.0, tau=1 / params["tau_mem_inv"], dt=params["dt"], threshold=params["v_th"])
    assert encoder(x[None], params["seq_length"]).tolist() == entry["output"]


def test_lif_fires_at_the_rate_of_the_closed_form() -> None:
    x = torch.tensor([[[0.3, 0.5, 1.0]]], dtype=torch.float64)
    encoder = LIFCurrent(dt=0.001)  # a thousandth of the unit of tau
    train = encoder(x, 40_000)
    for value, spikes in zip(x.flatten().tolist(), train[:, 0].T, strict=True):
        interval = spikes.nonzero().flatten().diff().double().mean().item() * 0.001
        drive = encoder.gain * value
        assert interval == pytest.approx(encoder.tau * math.log(drive / (drive - 1)), rel=2e-3)
    assert LIFCurrent()(torch.full((1, 1, 3), 0.25), 50).sum() == 0


def test_every_entry_is_used() -> None:
    used = {
        "latency": 27,
        "delta": 7,
        "rate": 7,
        "LatencyEncoder": 5,
        "WeightedPhaseEncoder": 3,
        "population_encode": 2,
    }
    once = """PeriodicEncoder PoissonEncoder PopSpikeEncoderDeterministic PopEncoder GaussianTuning spike_latency_encode
        constant_current_lif_encode spike_latency_lif_encode poisson_encode"""
    used |= dict.fromkeys(once.split(), 1)
    # The others are of labels, in test_target.
    assert {name: len(named(name)) for name in used} == used


def test_time_to_first_spike_is_the_first_step_above_the_threshold() -> None:
    encoder, num_steps = TimeToFirstSpike(tau=4.0, threshold=0.9), 12
    x = torch.tensor([[[0.0, -1.0, 0.01, 0.05, 0.2, 0.5, 0.899, 0.9, 3.0]]], dtype=torch.float64)
    threshold = 0.9 * torch.exp(-torch.arange(num_steps, dtype=torch.float64) / 4).view(-1, 1, 1)
    above = x >= threshold
    expected = (above & (above.cumsum(0) == 1)).double()
    assert torch.equal(encoder(x, num_steps), expected)
    assert expected.sum(0)[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_rank_order() -> None:
    x = torch.tensor([[[0.1, 0.9, 0.0, 0.5, 0.9], [3.0, 4.0, 5.0, 6.0, 7.0]]])
    step = RankOrder()(x, 10).argmax(0).tolist()
    assert step == [[6, 0, 0, 4, 0], [8, 6, 4, 2, 0]]  # equal values fire together, and a 0 not at all
    assert RankOrder()(x, 10).sum(0).tolist() == [[1, 1, 0, 1, 1], [1, 1, 1, 1, 1]]
    image = torch.rand(1, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    train = RankOrder()(image, 8)
    assert torch.equal(train, RankOrder()(image**3, 8))  # the order alone counts
    assert train.sum((2, 3, 4)).eq(32 / 8).all()  # as many at each step


def test_burst() -> None:
    x = torch.tensor([[[0.0, 0.01, 0.2, 0.5, 1.0]]])
    train = Burst(max_spikes=5, min_interval=2, max_interval=8)(x, 25)[:, 0].T
    steps = [spikes.nonzero().flatten().tolist() for spikes in train]
    assert steps == [[], [0], [0], [0, 5, 10], [0, 2, 4, 6, 8]]
    assert Burst()(x, 4).sum(0)[0].tolist() == [0, 1, 1, 1, 2]  # cut by the last step


def test_integrate_fire_fires_at_the_rate_of_the_value() -> None:
    x = torch.tensor([[[0.0, 0.125, 0.5, 0.75, 1.0]]])
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        train = IntegrateFire()(x.to(dtype), 64)
        assert train.dtype == dtype
        assert train.sum(0)[0].tolist() == [0, 8, 32, 48, 64]
        assert train[:, 0, 2].tolist() == [0, 1] * 32


def test_the_generator_decides_and_nothing_else() -> None:
    x = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(1))
    a = Rate()(x, 10, torch.Generator().manual_seed(3))
    torch.rand(5)
    Rate()(x[:, :2], 3, torch.Generator().manual_seed(4))
    assert torch.equal(Rate()(x, 10, torch.Generator().manual_seed(3)), a)
    assert not torch.equal(Rate()(x, 10, torch.Generator().manual_seed(5)), a)
    before = torch.get_rng_state()
    Rate()(x, 10, torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_direct_stands_in_memory_once() -> None:
    x = torch.rand(1, 4, 6)
    y = Direct(gain=2.0, offset=0.5)(x, 25)
    assert y.shape == (25, 4, 6)
    assert y.stride(0) == 0
    torch.testing.assert_close(y[7], 2 * x[0] + 0.5)


def test_input_that_does_not_fit_is_refused() -> None:
    still, sequence = torch.rand(1, 2, 3), torch.rand(5, 2, 3)
    assert Identity()(sequence, 5) is sequence
    encoder: Encoder
    for encoder in (Identity(), Delta()):
        with pytest.raises(ArgumentError, match=f"x: expected .* {name_of(encoder, 'encoder')} needs") as caught:
            encoder(still, 5)
        assert caught.value.got == "a still input"
    for encoder in (Direct(), Latency()):
        with pytest.raises(ArgumentError, match=rf"x: expected still input.* {name_of(encoder, 'encoder')}") as caught:
            encoder(sequence, 5)
        assert caught.value.got == "a sequence of 5 steps"
    with pytest.raises(ValueError, match="expected 1 or num_steps=7 time steps, got 5"):
        Rate()(sequence, 7)
    with pytest.raises(ValueError, match=r"expected \[T, B, \*N\], got shape \[3\]"):
        Rate()(torch.rand(3), 7)
    with pytest.raises(ValueError, match=r"expected values of at least 0, got -0\.5 to 0\.5"):
        Latency()(torch.tensor([[[-0.5, 0.5]]]), 7)
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got 0.5 to 2"):
        Latency(curve="linear")(torch.tensor([[[0.5, 2.0]]]), 7)
    with pytest.raises(ValueError, match="first_spike_time: expected less than num_steps=7, got 7"):
        Latency(first_spike_time=7)(still, 7)
    with pytest.raises(ValueError, match=r"expected \[T, B, \*N\] with a feature axis, got shape \[1, 5\]"):
        Population()(torch.rand(1, 5), 7)


WRONG: Any = "yes"
NOTHING: Any = None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Latency(tau=0), "tau: expected a number above 0, got 0"),
        (lambda: Latency(threshold=1), "threshold: expected a number above 0 and below 1, got 1"),
        (lambda: Latency(curve="steep"), "curve: expected 'rc' or 'linear' or 'log', got 'steep'"),
        (lambda: Latency(clip=WRONG), "clip: expected true or false, got 'yes'"),
        (lambda: Latency(curve="log", threshold=-1), "threshold: expected a number at least 0 and below 1, got -1"),
        (lambda: Latency(normalize="all"), "normalize: expected true, false or 'batch', got 'all'"),
        (lambda: Rate(gain=math.inf), "gain: expected a number, got inf"),
        (lambda: Direct(offset=NOTHING), "offset: expected a number, got None"),
        (lambda: Delta(threshold=-1), "threshold: expected a number at least 0, got -1"),
        (lambda: Population(neurons=2, layout="inset"), "neurons: expected a whole number of at least 3, got 2"),
        (lambda: Population(high=-1), "high: expected a number above 0, got -1"),
        (lambda: Population(code=WRONG), "code: expected an encoder such as Rate"),
        (lambda: LIFCurrent(v_rest=2), "threshold: expected a number above 2, got 1"),
        (lambda: LIFCurrent(dt=11), "dt: expected a number at most 10 and above 0, got 11"),
        (lambda: Burst(min_interval=9), "max_interval: expected a whole number of at least 9, got 8"),
        (lambda: WeightedPhase(31), "period: expected a whole number of at least 1 and at most 30, got 31"),
        (lambda: TimeToFirstSpike(tau=0), "tau: expected a number above 0, got 0"),
        (lambda: Rate()(torch.rand(1, 1), 0), "num_steps: expected a whole number of at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
