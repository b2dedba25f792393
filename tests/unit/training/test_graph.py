"""A step as CUDA graphs, with a stand-in that records torch's operations on the CPU."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from snnrun.encoder import Rate
from snnrun.errors import ConfigError, NonFiniteError
from snnrun.loss import CECount
from snnrun.run import checkpoint
from snnrun.task import Batch, Part
from snnrun.training import graph
from snnrun.training.records import EpochRecord, LogRecord, StepRecord, WarningRecord
from snnrun.training.state import build_optimizer
from support.device import Tape
from support.small import BatchList, Training, few, same, training, weights

#: Torch's operations alone, which the stand-in can record.
SIZE = ("num_steps=3", "batch_size=16", "model.hidden=[12]", "epochs=2", "backend=reference")
ON = "execution.cuda_graph=true"


@dataclass(frozen=True)
class DeviceRate(Rate):
    """Draws as on a device: with torch's own operation."""

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        return (torch.rand((num_steps, *x.shape[1:]), generator=generator) < self.probability(x)).to(x.dtype)


@dataclass(frozen=True)
class Poisoned:
    """A part whose batches become NaN as soon as the next one is asked for; the last one has 5 samples."""

    part: Part
    size: int

    @property
    def stream(self) -> Generator | None:
        return self.part.stream

    def __len__(self) -> int:
        return self.size

    def batches(self, batch_size: int, generator: Generator | None = None) -> Iterator[Batch]:
        left = self.size
        for batch in self.part.batches(batch_size, generator):
            count = min(left, batch_size)
            x, target = batch.x[:, :count].clone(), batch.target
            yield Batch(x, None if target is None else target[:count].clone())
            x.fill_(float("nan"))
            left -= count
            if not left:
                return


def trainer_of(*words: str, size: int = 6 * 16 + 5) -> Training:
    own = [word for word in SIZE if not ("model=convnet" in words and "hidden" in word)]
    trainer = training(*own, *words, batches=100)
    parts = trainer.parts if "encoder=direct" in words else replace(trainer.parts, encoder=DeviceRate())
    train, validation = Poisoned(trainer.data.train, size), few(trainer.data, 1).validation
    return replace(trainer, parts=parts, data=trainer.data._replace(train=train, validation=validation))


def numbers(records: Sequence[LogRecord]) -> list[Any]:
    """The records without times."""
    beside = ("time", "seconds", "samples_per_second")
    return [{key: value for key, value in record.to_json().items() if key not in beside} for record in records]


def run(*words: str, recorder: Tape | None = None, **options: Any) -> tuple[list[Any], dict[str, Tensor]]:
    trainer = trainer_of(*words, **options)
    records = trainer.fit(recorder=recorder)
    return numbers(records), weights(trainer.model)


VARIANTS: dict[str, tuple[str, ...]] = {
    "the default": (),
    "momentum and clipping": ("optimizer=sgd", "clip_grad_norm=0.1"),
    "decay of weights": ("optimizer=adamw",),
    "dropout": ("model.dropout=0.3",),
    "a norm": ("model=convnet", "model.layers=[2c3,mp2]", "model.norm=batch"),
    "a constant input": ("encoder=direct",),
    "feedback": ("model=recurrent", "loss=ce_membrane", "readout=li"),
    "learnt values": ("neuron.learn_beta=true", "neuron.per_neuron=true", "regulariser=sparsity"),
    "delays": ("delay=gaussian", "model.delay.maximum=3", "model.delay.shrink=1.0", "num_steps=4"),
    "random surrogate": ("surrogate=poisson_pass",),
    "few records": ("report.log_every=3",),
    "warnings only": ("on_nonfinite=warn",),
}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=name, marks=[] if name in ("the default", "a norm") else pytest.mark.long)
        for name, words in VARIANTS.items()
    ],
)
def test_the_bits_are_the_same(words: tuple[str, ...]) -> None:
    tape = Tape()
    torch.manual_seed(0)  # the stream of a random surrogate
    expected = run(*words)
    torch.manual_seed(0)
    result = run(*words, ON, recorder=tape)
    assert result[0] == expected[0]
    assert same(result[1], expected[1])
    # Of 2 x 7 steps, three are ordinary, and so is the smaller batch of each epoch.
    assert (tape.recordings, tape.replays) == (2, 2 * (14 - 3 - 2))


def test_another_learning_rate_is_recorded_again() -> None:
    words = ("scheduler=step", "scheduler.step_size=1", "scheduler.gamma=0.5", "epochs=3")
    tape = Tape()
    expected, result = run(*words), run(*words, ON, recorder=tape)
    assert result[0] == expected[0]
    assert same(result[1], expected[1])
    assert tape.recordings == 1 + 3


def test_recording_changes_nothing() -> None:
    """The stand-in is as strict as a graph: recording leaves everything as it was, and Python runs once."""
    x, calls = torch.ones(3), list[None]()
    generator = torch.Generator().manual_seed(0)

    def function() -> Tensor:
        calls.append(None)
        x.mul_(2)
        return x + torch.rand(3, generator=generator)

    expected = [2 * x + torch.rand(3, generator=generator)]
    expected.append(4 * x + torch.rand(3, generator=generator))
    generator.manual_seed(0)
    recording = Tape().record(function)
    assert x.tolist() == [1, 1, 1]
    first = recording.replay()
    assert torch.equal(first, expected[0])
    second = recording.replay()
    assert torch.equal(second, expected[1])
    assert second is first
    assert len(calls) == 1


def test_a_step_that_waits_cannot_be_recorded() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Waiting(CECount):
        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            loss = super().__call__(spikes, membrane, target)
            return loss if loss.item() > 0 else 2 * loss

    trainer = trainer_of(ON)
    trainer = replace(trainer, parts=replace(trainer.parts, loss=Waiting()))
    with pytest.raises(ConfigError, match=re.escape(graph.KEY)):
        trainer.fit(recorder=Tape())


@dataclass(frozen=True, kw_only=True)
class BreaksLater(CECount):
    """Its gradient is not finite for a batch that has a label of the last class only."""

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        assert target is not None
        loss = super().__call__(spikes, membrane, target)
        return loss * torch.where((target == 9).all(), float("inf"), 1.0)


def breaking(*words: str) -> Training:
    trainer = trainer_of(*words, size=7 * 16)
    batches = list(trainer.data.train.part.batches(16))[:7]  # type: ignore[attr-defined]
    batches[5] = batches[5]._replace(target=torch.full((16,), 9))
    parts = replace(trainer.parts, loss=BreaksLater())
    return replace(trainer, parts=parts, data=trainer.data._replace(train=BatchList(batches)))


def test_a_gradient_that_is_not_finite_stops_before_the_update() -> None:
    plain, graphed = breaking(), breaking(ON)
    tape, before = Tape(), dict[str, Tensor]()
    with pytest.raises(NonFiniteError):
        plain.fit()
    with pytest.raises(NonFiniteError):
        for record in graphed.records(graphed.state(), recorder=tape):
            if isinstance(record, StepRecord):
                before = weights(graphed.model)
    assert tape.replays == 2 * 2 + 1
    assert same(before, weights(graphed.model))
    assert same(weights(plain.model), weights(graphed.model))


def test_or_only_warns() -> None:
    words = ("on_nonfinite=warn", "clip_grad_norm=1", "epochs=1")
    plain, graphed = breaking(*words), breaking(*words, ON)
    expected, result = plain.fit(), graphed.fit(recorder=Tape())
    assert any(isinstance(record, WarningRecord) for record in expected)
    assert [str(each) for each in numbers(result)] == [str(each) for each in numbers(expected)]  # NaN is not NaN
    for name, tensor in weights(plain.model).items():
        assert torch.equal(tensor.nan_to_num(7), weights(graphed.model)[name].nan_to_num(7))


def test_a_resumed_training_ends_with_the_same_bits() -> None:
    expected = run(ON, recorder=Tape())
    trainer = trainer_of(ON)
    state, records = trainer.state(), []
    for record in trainer.records(state, recorder=Tape()):
        records.append(record)
        if record.kind == "step" and state.progress.step == 5:  # replayed
            message = checkpoint.pack(state.state_dict())
            break
    again = trainer_of(ON)
    state = again.state()
    state.load_state_dict(checkpoint.unpack(message))
    rest = again.fit(state, recorder=Tape())
    assert numbers(records + rest) == expected[0]
    assert same(weights(again.model), expected[1])


def test_the_counts_of_a_record_are_of_their_epoch() -> None:
    """Counts of spikes are copies: the memory of the graph has those of the next step."""
    epochs = [record for record in trainer_of(ON).fit(recorder=Tape()) if isinstance(record, EpochRecord)]
    plain = [record for record in trainer_of().fit() if isinstance(record, EpochRecord)]
    assert [record.layers for record in epochs] == [record.layers for record in plain]


# --- refusals ----------------------------------------------------------------------------------------------------


def settings_of(*words: str) -> Any:
    return training(*SIZE, *words).settings


@pytest.mark.parametrize(
    ("words", "device", "processes"),
    [((ON,), "cpu", 1), ((ON,), "mps", 1), ((ON,), "cuda", 2), ((ON, "memory=low"), "cuda", 1)],
    ids=["the CPU", "mps", "several processes", "less memory"],
)
def test_settings_that_have_no_graphs(words: tuple[str, ...], device: str, processes: int) -> None:
    with pytest.raises(ConfigError) as refusal:
        graph.check_settings(settings_of(*words), torch.device(device), processes)
    assert refusal.value.fault is not None
    assert refusal.value.fault.path == graph.KEY


def test_without_a_recorder_the_cpu_is_refused() -> None:
    with pytest.raises(ConfigError) as refusal:
        trainer_of(ON).fit()
    assert refusal.value.fault is not None
    assert refusal.value.fault.path == graph.KEY


def test_settings_that_have() -> None:
    graph.check_settings(settings_of(ON), torch.device("cuda"))
    for device in ("cpu", "cuda", "mps"):
        graph.check_settings(settings_of(), torch.device(device), 2)


class Own(torch.optim.SGD):
    """An optimizer of a user."""


@pytest.mark.parametrize(
    ("kind", "works"),
    [
        (torch.optim.SGD, True),
        (torch.optim.Adam, True),
        (torch.optim.AdamW, True),
        (torch.optim.RMSprop, True),
        (torch.optim.Adamax, True),
        (torch.optim.Adagrad, False),
        (torch.optim.LBFGS, False),
        (Own, False),
    ],
)
def test_optimizers_that_can_be_recorded(kind: Any, works: bool) -> None:
    trainer = training(*SIZE, ON)
    trainer = replace(trainer, parts=replace(trainer.parts, optimizer=lambda parameters: kind(parameters, lr=0.01)))
    if works:
        trainer.records(trainer.state(), recorder=Tape())
        graph.check_optimizer(trainer.state().optimizer)
        return
    with pytest.raises(ConfigError) as refusal:
        next(iter(trainer.records(trainer.state(), recorder=Tape())))
    assert refusal.value.fault is not None
    assert refusal.value.fault.path == graph.KEY


def test_a_checkpoint_does_not_decide_on_graphs() -> None:
    trainer = training(*SIZE)
    make = functools.partial(torch.optim.RMSprop, lr=0.1)
    trainer = replace(trainer, parts=replace(trainer.parts, optimizer=make))
    state = trainer.state()
    saved = state.state_dict()
    for group in saved["optimizer"]["param_groups"]:
        group["capturable"] = True
    state.load_state_dict(saved)
    assert [group["capturable"] for group in state.optimizer.param_groups] == [False]


def test_an_optimizer_without_a_fused_step_has_its_state_on_the_device() -> None:
    model = training(*SIZE).model
    assert build_optimizer(functools.partial(torch.optim.RMSprop, lr=0.1), model, capturable=True).defaults[
        "capturable"
    ]
    assert not build_optimizer(functools.partial(torch.optim.RMSprop, lr=0.1), model).defaults["capturable"]
    fused = build_optimizer(functools.partial(torch.optim.Adam, lr=0.1), model, capturable=True)
    assert fused.defaults["fused"]
    assert not fused.defaults["capturable"]  # only while it is recorded


# --- the real recorder, with torch's functions replaced -------------------------------------------------------------


class FakeGraph:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def register_generator_state(self, generator: Generator) -> None:
        self.calls.append(("register", generator))

    def replay(self) -> None:
        self.calls.append("replay")


def test_calls_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generators are registered before the recording, which is on the stream of the warm-up, in a shared pool."""
    calls: list[Any] = []

    class Context:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.arguments, self.options = arguments, options

        def __enter__(self) -> None:
            calls.append((type(self).__name__, *self.arguments, self.options))

        def __exit__(self, *error: Any) -> None:
            calls.append(f"end of {type(self).__name__}")

    class Stream:
        def __init__(self, *_: Any) -> None:
            self.waits: list[Any] = []

        def wait_stream(self, other: Any) -> None:
            self.waits.append(other)

    current = Stream()
    for name, value in {
        "Stream": Stream,
        "CUDAGraph": FakeGraph,
        "graph_pool_handle": lambda: "pool",
        "current_stream": lambda: current,
        "graph": type("graph", (Context,), {}),
        "stream": type("stream", (Context,), {}),
        "device": type("device", (Context,), {}),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    generator = Generator()
    recorder = graph.CudaRecorder(torch.device("cuda:1"), (generator,))

    def function() -> int:
        calls.append("function")
        return 7

    assert recorder.warm_up(function) == 7
    (stream,) = current.waits
    assert stream.waits == [current]
    names = [call if isinstance(call, str) else call[0] for call in calls]
    assert names == ["device", "stream", "function", "end of stream", "end of device"]
    calls.clear()
    recordings = [recorder.record(function) for _ in range(2)]
    begins = [call for call in calls if call[0] == "graph"]
    for recording, (_, of, options) in zip(recordings, begins, strict=True):
        assert of is recording.graph  # type: ignore[attr-defined]
        assert options == {"pool": "pool", "stream": stream}
        assert of.calls == [("register", generator)]
        assert recording.replay() == 7
        assert of.calls[1:] == ["replay"]
