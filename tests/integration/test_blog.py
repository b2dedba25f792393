"""The blog series' integrate-and-fire model: its demonstration, its traces, and its zero-target training.

As published the training breaks five neurons without anybody noticing; the runner must notice.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR

from snnrun.config.settings import Checkpoint, Report, Settings
from snnrun.encoder import Identity
from snnrun.errors import NonFiniteError
from snnrun.loss import MeanSquare
from snnrun.model import MLP
from snnrun.neuron import IF, State
from snnrun.report import summary
from snnrun.sequence import run
from snnrun.surrogate import Heaviside
from snnrun.task import Data
from snnrun.training.loop import fit
from snnrun.training.records import StepRecord, WarningRecord
from snnrun.training.state import TrainingState
from snnrun.training.streams import Streams
from support import references
from support.blog import InputsOfArticle, ModelWithSpikes, ZeroInputs, load
from support.references import tensor

BLOG: dict[str, Any] = {"surrogate": Heaviside(), "fires_at": ">", "reset": "zero"}


@pytest.mark.parametrize("name", ["article", "variant"])
def test_the_ramp_of_forty_neurons(name: str) -> None:
    entry = references.entry("blog", f"blog.ramp/{name}")
    neuron = IF(threshold=entry["params"]["threshold"], detach_reset=False, **BLOG)
    x, v, s = (tensor(entry[key]).requires_grad_() for key in ("vt", "v_previous", "s_previous"))
    spikes, _ = neuron.step(x, State(v, s))
    assert spikes.tolist() == entry["spikes"]
    grads = torch.autograd.grad(spikes.sum(), (x, v, s))
    for grad, key in zip(grads, ("vt_grad", "v_previous_grad", "s_previous_grad"), strict=True):
        assert grad.tolist() == entry[key]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_traces_and_gradients_of_a_layer(dtype: torch.dtype, backend: str) -> None:
    entry = references.entry("blog", f"blog.layer/{str(dtype).removeprefix('torch.')}")
    neuron = IF(threshold=entry["params"]["threshold"], detach_reset=False, **BLOG)
    x = tensor(entry["input"], dtype).requires_grad_()
    trace, _ = run(neuron, x[:, None], backend=backend)
    loss = (tensor(entry["w"], dtype) * trace.spikes[:, 0]).sum()
    loss = loss + 0.1 * (tensor(entry["u"], dtype) * trace.membrane[:, 0]).sum()
    assert trace.spikes[:, 0].tolist() == entry["spikes"]
    tolerance: dict[str, Any] = (
        {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    )
    torch.testing.assert_close(trace.membrane[:, 0], tensor(entry["membrane"], dtype), **tolerance)
    torch.testing.assert_close(loss.item(), entry["loss"], **tolerance)
    (grad,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(grad, tensor(entry["grad_input"], dtype), **tolerance)


class Training:
    """The zero-target experiment through the runner's own training loop, with the weights and inputs of an entry."""

    def __init__(self, identifier: str, backend: str = "auto", on_nonfinite: str = "stop") -> None:
        self.entry = entry = references.entry("blog", identifier)
        params, dtype = entry["params"], getattr(torch, entry["dtype"])
        generator = torch.Generator().manual_seed(params["seed"])
        neuron = functools.partial(IF, threshold=params["threshold"], detach_reset=params["detach_reset"], **BLOG)
        mlp = MLP((params["size_input"],), params["size_hidden"], neuron, backend, hidden=[])
        synapse: Any = mlp.get_submodule("layers.output.synapse")
        load(synapse, entry, generator)
        self.synapse, self.model = synapse, ModelWithSpikes(mlp.to(dtype))
        self.train = InputsOfArticle(entry, generator, dtype)
        held_out = ZeroInputs(entry, dtype)
        optimizer = torch.optim.SGD(self.model.parameters(), lr=params["lr"], momentum=params["momentum"])
        settings = Settings(
            seed=0,
            device="cpu",
            threads="auto",
            precision="fp32",
            deterministic=True,
            backend=backend,
            memory="full",
            matmul="auto",
            events_below="auto",
            num_steps=params["n_time"],
            epochs=1,
            batch_size=1,
            drop_last=False,
            max_steps=None,
            data_dir="",
            output_dir="",
            on_nonfinite=on_nonfinite,
            clip_grad_norm=None,
            early_stopping=None,
            max_seconds=None,
            checkpoint=Checkpoint(None, None),
            report=Report(figures=False, summary=False, progress=False, log_every=1),
        )
        streams = Streams(0, torch.device("cpu"))
        state = TrainingState(self.model, optimizer, ConstantLR(optimizer, factor=1.0), streams)
        self.records = fit(state, Data(self.train, held_out, held_out, {}), Identity(), MeanSquare(), settings)

    def spikes_per_step(self) -> list[list[int]]:
        return [spikes.sum(1).int().tolist() for spikes in self.model.spikes]

    def means(self) -> list[float]:
        return [spikes.mean().item() for spikes in self.model.spikes]


FINITE = [
    f"blog.zero_target/{name}.{dtype}"
    for name in ("article_detached", "small", "small_detached")
    for dtype in ("float32", "float64")
]


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("identifier", FINITE)
def test_zero_target_training(identifier: str, backend: str) -> None:
    training = Training(identifier, backend)
    entry, params = training.entry, training.entry["params"]
    first = entry["first_iteration"]
    start = training.synapse.weight.detach().double().sum().item()
    assert start == pytest.approx(first["weight_sum"], rel=1e-6)

    steps = [record for record in training.records if isinstance(record, StepRecord)]
    assert training.train.ones[0] == first["input_ones_per_step"]
    assert training.spikes_per_step() == entry["spikes_per_step"]
    assert training.model.spikes[0].sum(0).int().tolist() == first["spikes_per_neuron"]
    assert [record.step for record in steps] == list(range(1, params["iterations"] + 1))
    torch.testing.assert_close(
        torch.tensor([record.loss for record in steps]).double(),
        tensor(entry["loss"], torch.float64),
        rtol=1e-5,
        atol=0,
    )
    norms = [math.hypot(*pair) for pair in entry["gradient_norms"]]
    ours = [record.gradient_norm for record in steps]
    torch.testing.assert_close(torch.tensor(ours).double(), tensor(norms, torch.float64), rtol=1e-4, atol=0)
    final = entry["final"]
    for name in ("weight", "bias"):
        values = getattr(training.synapse, name).detach().double()
        assert values.norm().item() == pytest.approx(final[f"{name}_norm"], rel=1e-5)
        assert values.sum().item() == pytest.approx(final[f"{name}_sum"], rel=1e-4)
    # float32 and float64 agree to here; a different number of spikes would have shown long ago
    assert final["neurons_not_finite"] == []


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_as_published_five_neurons_are_lost_and_the_loss_falls_all_the_same(dtype: str, backend: str) -> None:
    training = Training(f"blog.zero_target/article.{dtype}", backend, on_nonfinite="warn")
    records = list(training.records)
    entry = training.entry
    assert training.spikes_per_step()[:5] == entry["spikes_per_step"][:5]
    means = torch.tensor(training.means())
    torch.testing.assert_close(means, tensor(entry["pred_mean"]), rtol=0, atol=0.005)
    assert means[-1] < means[0] / 4

    non_finite = (~training.synapse.weight.isfinite()).any(1).nonzero().flatten().tolist()
    assert non_finite == entry["final"]["neurons_not_finite"]
    warnings = [record for record in records if isinstance(record, WarningRecord)]
    first = warnings[0]
    # The reference's norms end where one is not finite.
    assert first.step == len(entry["gradient_norms"]) + 1
    assert "gradient of model.layers.output.synapse.weight in " in first.message
    assert "of 500 neurons" in first.message
    assert "neuron.detach_reset=true" in first.message
    # One warning for each time that neurons were lost, not for each step with a broken gradient.
    assert len(warnings) == len(set(entry["neurons_not_finite"]))


@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_as_published_the_runner_stops_before_a_neuron_is_lost(backend: str) -> None:
    training = Training("blog.zero_target/article.float32", backend)
    with pytest.raises(NonFiniteError) as error:
        list(training.records)
    iteration = len(training.entry["gradient_norms"]) + 1
    message = str(error.value)
    assert message.startswith(
        f"iteration {iteration}: not finite: the gradient of model.layers.output.synapse.weight in "
    )
    assert "of 500 neurons" in message
    assert "Try: neuron.detach_reset=true" in message
    assert training.synapse.weight.isfinite().all()


def test_the_summary_counts_its_parameters() -> None:
    training = Training("blog.zero_target/article_detached.float32")
    table = summary(training.model.model, torch.zeros(10, 1, 300))
    entry = references.entry("blog", "blog.summary/article")
    assert f"Total params: {entry['total_params']:,}" in table
    assert f"Trainable params: {entry['trainable_params']:,}" in table
    # torchinfo counts the biases too, and on a sequence other things; the line below it says what is multiplied
    assert "Units" not in table
