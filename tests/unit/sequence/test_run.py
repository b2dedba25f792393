"""The fused execution equals the reference loop: spikes, membranes, last state and every gradient."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import IF, LIF, Lapicque, Neuron, State
from snnrun.sequence import fused, resolve_backend, run
from snnrun.sequence.kernel import llvm
from snnrun.surrogate import ATan

NEURONS: dict[str, Any] = {
    "if": lambda **o: IF(**o),
    "lif": lambda **o: LIF(0.9, learn_beta=True, **o),
    "lif with everything": lambda **o: LIF(
        tau=5.0, decay_input=True, v_rest=-0.2, learn_beta=True, per_neuron=True, shape=(7,), **o
    ),
    "lapicque": lambda **o: Lapicque(R=5.0, C=0.4, dt=0.2, **o),
}
FORMS = [
    {"reset": reset, "reset_timing": timing, "detach_reset": detach, "fires_at": fires, "v_reset": v_reset}
    for reset, timing, detach, fires, v_reset in itertools.product(
        ("subtract", "zero", "none"), ("same", "delayed"), (True, False), (">", ">="), (0.0, -0.3)
    )
]


def everything(neuron: Neuron, x: Tensor, state: State, weights: list[Tensor], backend: str) -> dict[str, Tensor]:
    leaves = [value.clone().requires_grad_() for value in (x, *state)]
    trace, last = run(neuron, leaves[0], State(leaves[1], leaves[2]), backend=backend)
    loss = sum((w * value).sum() for w, value in zip(weights, (*trace[:2], *last), strict=True))
    names = ["x", "membrane", "spikes", *(name for name, _ in neuron.named_parameters())]
    grads = torch.autograd.grad(loss, [*leaves, *neuron.parameters()], allow_unused=True, materialize_grads=True)
    return {"trace.spikes": trace.spikes, "trace.membrane": trace.membrane, **dict(zip(names, grads, strict=True))}


def compare(make: Any, form: dict[str, Any], steps: int, dtype: torch.dtype, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(steps)
    neuron = make(surrogate=ATan(), learn_threshold=True, **form).to(dtype)
    x = torch.randn(steps, 4, 7, generator=generator, dtype=dtype) * 0.8 + 0.3
    u0 = torch.randn(4, 7, generator=generator, dtype=dtype)
    shapes = [x.shape, x.shape, u0.shape, u0.shape]
    weights = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    state = State(u0, (u0 > 0.5).to(dtype))
    expected, actual = (everything(neuron, x, state, weights, backend) for backend in ("reference", "fused"))
    assert torch.equal(actual["trace.spikes"], expected["trace.spikes"])
    assert torch.equal(actual["trace.membrane"], expected["trace.membrane"])
    for name, value in expected.items():
        scale = value.detach().abs().max().item() + 1e-9
        torch.testing.assert_close(actual[name], value, rtol=0, atol=tolerance * scale, msg=name)


@pytest.mark.parametrize("kernel", ["llvm", "torch"])
@pytest.mark.parametrize("name", NEURONS)
def test_every_form(name: str, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "torch":
        monkeypatch.setattr(llvm, "supports", lambda x: False)
    for form, steps in itertools.product(FORMS, (1, 6)):
        compare(NEURONS[name], form, steps, torch.float64, 1e-10)
    compare(NEURONS[name], FORMS[0], 40, torch.float32, 1e-5)


def test_blocks_and_shapes() -> None:
    """More neurons than a block holds, strange shapes, strides and dtypes: the same as the loop."""
    neuron = LIF(0.8)
    for shape in [(5, 3, 511), (3, 2, 4, 9, 11), (4, 1, 513), (2, 6)]:
        x = torch.rand(shape, generator=torch.Generator().manual_seed(1))
        for view in (x, x.transpose(1, -1), x[..., ::2], x[:1].expand(shape), x.double()):
            a, b = (run(neuron, view, backend=backend) for backend in ("reference", "fused"))
            assert torch.equal(a[0].spikes, b[0].spikes)
            assert torch.equal(a[0].membrane, b[0].membrane)
            assert b[0].spikes.dtype == view.dtype


def test_an_empty_batch_and_bfloat16() -> None:
    neuron = LIF(0.8, learn_beta=True)
    trace, _ = run(neuron, torch.zeros(3, 0, 5, requires_grad=True), backend="fused")
    assert trace.spikes.shape == (3, 0, 5)
    trace.spikes.sum().backward()
    x = torch.rand(6, 2, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    a, b = (run(neuron.bfloat16(), x, backend=backend)[0] for backend in ("reference", "fused"))
    assert torch.equal(a.spikes, b.spikes)
    assert b.spikes.dtype == torch.bfloat16


def test_a_sequence_may_be_run_in_pieces() -> None:
    x = torch.rand(10, 3, 5, generator=torch.Generator().manual_seed(0))
    neuron = LIF(0.9, reset_timing="delayed")
    for backend in ("reference", "fused"):
        whole, _ = run(neuron, x, backend=backend)
        first, state = run(neuron, x[:4], backend=backend)
        second, _ = run(neuron, x[4:], state, backend=backend)
        assert torch.equal(whole.spikes, torch.cat([first.spikes, second.spikes]))
        assert torch.equal(whole.membrane, torch.cat([first.membrane, second.membrane]))


def test_infinite_and_nan_input_behave_alike() -> None:
    """A neuron that has become nan falls silent (nan > θ is false), in both executions."""
    x = torch.ones(6, 1, 4)
    x[2, 0, 1], x[3, 0, 2] = float("nan"), float("inf")
    for reset in ("subtract", "zero"):
        a, b = (run(IF(threshold=0.5, reset=reset), x, backend=backend)[0] for backend in ("reference", "fused"))
        assert torch.equal(a.spikes, b.spikes)
        torch.testing.assert_close(a.membrane, b.membrane, equal_nan=True)
        assert not b.spikes[2:, 0, 1].any()


def test_only_the_reference_can_be_differentiated_twice() -> None:
    neuron, x = LIF(0.9), torch.rand(4, 1, 3, dtype=torch.float64, requires_grad=True)
    trace, _ = run(neuron, x, backend="reference")
    (grad,) = torch.autograd.grad(trace.spikes.sum() ** 2, x, create_graph=True)
    assert torch.autograd.grad(grad.sum(), x)[0].isfinite().all()
    trace, _ = run(neuron, x, backend="fused")
    (grad,) = torch.autograd.grad(trace.spikes.sum() ** 2, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


class Noisy(LIF):
    """A LIF with noise, drawn anew at every step."""

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        return super().integrate(v, x + torch.rand(()))


class Mixed(LIF):
    """A LIF whose neurons hear each other."""

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        return super().integrate(v, x - x.mean(1, keepdim=True))


class Doubled(LIF):
    """A LIF that takes its input twice."""

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        return super().integrate(v, 2 * x)


def test_a_changed_step_is_the_one_that_runs() -> None:
    x = torch.full((4, 1, 1), 0.3)
    assert resolve_backend(Doubled(), "auto") == "fused"
    assert torch.equal(run(Doubled(), x, backend="fused")[0].membrane, run(LIF(), 2 * x)[0].membrane)


@pytest.mark.parametrize(("kind", "reason"), [(Noisy, "another one each time"), (Mixed, "the attribute 'mean'")])
def test_what_cannot_be_fused_is_run_step_by_step(kind: Any, reason: str) -> None:
    assert resolve_backend(kind(), "auto") == "reference"
    assert run(kind(), torch.ones(3, 1, 2))[0].spikes.shape == (3, 1, 2)
    with pytest.raises(ValueError, match=f"backend: .* fused .* of {kind.__name__} has .*{reason}.*use backend=auto"):
        run(kind(), torch.ones(3, 1, 2), backend="fused")


def test_the_backend_asked_for_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the fused execution was called")

    x = torch.ones(3, 1, 2)
    with pytest.raises(ValueError, match="backend: expected 'auto' or 'reference' or 'fused', got 'fast'"):
        run(IF(), x, backend="fast")
    with pytest.raises(ValueError, match=r"x: expected a sequence \[T, B, \*N\] of at least one step"):
        run(IF(), x[:0])
    with pytest.raises(ValueError, match=r"x: expected 1 or steps=5 steps, got 3"):
        run(IF(), x, steps=5)
    with pytest.raises(ValueError, match=r"state.membrane: expected the shape of a step, \[1, 2\], got \[1, 3\]"):
        run(IF(), x, State(torch.zeros(1, 3), torch.zeros(1, 3)), backend="fused")
    with pytest.raises(ValueError, match=r"state.spikes: expected spikes of 0 and 1, got other values"):
        run(IF(), x, State(torch.zeros(1, 2), torch.full((1, 2), 0.5)), backend="fused")
    monkeypatch.setattr(fused, "run", refuse)
    run(IF(), x, backend="reference")
    with pytest.raises(AssertionError, match="the fused execution was called"):
        run(IF(), x, backend="auto")


@pytest.mark.parametrize("kernel", ["llvm", "torch"])
def test_an_input_of_one_step_may_be_held(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "torch":
        monkeypatch.setattr(llvm, "supports", lambda x: False)
    neuron = LIF(0.9, learn_beta=True, reset="zero", reset_timing="delayed", detach_reset=False)
    x = torch.rand(1, 3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    grads = []
    for given, steps, backend in ((x.expand(9, 3, 5), None, "reference"), (x, 9, "reference"), (x, 9, "fused")):
        trace, _ = run(neuron, given, steps=steps, backend=backend)
        assert trace.spikes.shape == (9, 3, 5)
        loss = (trace.spikes * torch.arange(5)).sum() + trace.membrane.square().sum()
        grads.append(torch.autograd.grad(loss, [x, *neuron.parameters()]))
    for one, *others in zip(*grads, strict=True):
        for other in others:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_kernels_are_chosen_by_device_and_dtype() -> None:
    assert llvm.supports(torch.zeros(1))
    assert llvm.supports(torch.zeros(1, dtype=torch.float64))
    assert not llvm.supports(torch.zeros(1, dtype=torch.bfloat16))
    assert not llvm.supports(torch.zeros(1, device="meta"))
