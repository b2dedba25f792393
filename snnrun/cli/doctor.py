"""``snnrun doctor``: what this machine has, and whether each execution gives the reference's results on it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snnrun.cli import usage
from snnrun.errors import exit_code
from snnrun.job.arguments import Arguments, check_words
from snnrun.model import ExecutionPlan, Layer
from snnrun.model.products.convolution import Conv2d
from snnrun.model.products.product import Linear, Product, choose
from snnrun.neuron import LIF, RLIF, AdEx, Neuron
from snnrun.sequence import run
from snnrun.sequence.kernel import llvm, triton
from snnrun.sequence.kernel.plan import training_plans
from snnrun.system import machine, say
from snnrun.system.cache import cache_dir
from snnrun.system.format import table
from snnrun.system.layout import fit, page_width
from snnrun.system.llvm.engine import has_wide_vectors
from snnrun.training.runtime import resolve_device

PACKAGES = ("snnrun", "torch", "torchvision", "numpy", "llvmlite", "triton", "hydra-core", "matplotlib")
TOLERANCE = 1e-4  # of the largest gradient


class Row(NamedTuple):
    """A line of the page: what it is about, whether it works (None: a fact), and the details."""

    name: str
    works: bool | None
    text: str


def main(arguments: Arguments) -> int:
    """Run the command; returns the exit code."""
    if arguments.help:
        say.say(fit(usage.DOCTOR, page_width()))
        return 0
    check_words(arguments, 0, 0, "no words")
    device = resolve_device("auto")
    rows = [*facts(device), *(check(name, attempt, device) for name, attempt in CHECKS.items())]
    works = {None: "", True: "works", False: "FAILS"}
    say.say(table((), [(row.name, works[row.works], row.text) for row in rows]))
    failed = [row.name for row in rows if row.works is False]
    if failed:
        say.say(f"snnrun doctor: wrong on this machine: {', '.join(failed)}", error=True)
    return exit_code("BUG") if failed else 0


def facts(device: torch.device) -> list[Row]:
    """The machine, as far as a run depends on it."""
    memory = machine.memory()
    size = "" if memory is None else f", {memory / 2**30:.0f} GiB"
    cores = f"{machine.processor()}, {machine.cores()} cores{size}"
    packages = [f"{name} {number}" for name in PACKAGES if (number := _version(name))]
    vectors = "vectors of 512 bits" if has_wide_vectors() else "vectors of less than 512 bits"
    folder = cache_dir()
    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    return [
        Row("machine", None, f"{cores}; {platform.system()} {platform.machine()}, {vectors}"),
        Row("python", None, f"{platform.python_version()} in {sys.prefix}"),
        Row("packages", None, ", ".join(packages)),
        Row("device", None, f"device=auto is {device}; {_gpus()}"),
        Row("threads", None, f"{torch.get_num_threads()} of torch; OMP_WAIT_POLICY {policy}"),
        Row("cache", None, "no folder can be written" if folder is None else str(folder)),
        Row("matmul", None, f"matmul=auto is {choose('auto', 'auto').dense}"),
    ]


def check(name: str, attempt: Callable[[torch.device], str], device: torch.device) -> Row:
    """The row of one execution, which raises if its results are wrong."""
    try:
        return Row(name, True, attempt(device))
    except Exception as error:  # whatever goes wrong is the answer
        lines = str(error).strip().splitlines()
        return Row(name, False, say.shorten(f"{type(error).__name__}: {lines[0] if lines else ''}", 200))


def _neurons(device: torch.device) -> str:
    return _agree([LIF(0.9, learn_beta=True), AdEx(shape=(300,))], _sequence(device))


def _feedback(device: torch.device) -> str:
    torch.manual_seed(0)
    return _agree([RLIF(shape=(300,))], _sequence(device))


def _events(device: torch.device) -> str:
    if device.type != "cpu":
        return f"only on the CPU; on {device.type} products are torch's"
    x = (torch.rand(20, 64, 300, generator=torch.Generator().manual_seed(0)) < 0.05).float()
    layers: dict[str, tuple[Any, Tensor]] = {
        "fully connected": (Linear(300, 128), x),
        "convolution": (Conv2d(3, 16, 3), x[..., :192].reshape(-1, 3, 8, 8)),
    }
    errors = []
    for layer, given in layers.values():
        results = []
        for product in (Product("default", 0.3), Product()):
            layer.product = product
            given = given.clone().requires_grad_()
            output = layer(given)
            weight = torch.arange(output.numel()).view(output.shape).sin()
            results.append([output, *torch.autograd.grad((weight * output).sum(), [given, *layer.parameters()])])
        errors.append(_largest_error(*results))
    return f"{', '.join(layers)}: off by {max(errors):.0e} of the largest value"


def _segments(device: torch.device) -> str:
    x, results = _sequence(device), []
    for memory in ("low", "full"):
        torch.manual_seed(0)
        layer = Layer(Linear(300, 200), LIF(0.9, shape=(200,)), plan=ExecutionPlan(memory=memory, membrane=False))
        layer.to(device)
        spikes = layer(x).spikes
        weight = torch.arange(spikes.numel(), device=device).view(spikes.shape).sin()
        results.append([spikes, *torch.autograd.grad((weight * spikes).sum(), list(layer.parameters()))])
    return f"off by {_largest_error(*results):.0e} of the largest gradient"


def _half(device: torch.device) -> str:
    torch.manual_seed(0)
    layer = Layer(Linear(300, 200), LIF(0.9, shape=(200,))).to(device)
    exact = layer(_sequence(device)).spikes
    with torch.autocast(device.type, torch.bfloat16):
        share = (layer(_sequence(device)).spikes != exact).float().mean().item()
    if share > 0.05:
        raise AssertionError(f"{share:.0%} of the spikes differ from float32")
    return f"{share:.1%} of the spikes differ from float32"


def _gpu_kernels(device: torch.device) -> str:
    if device.type == "cuda":
        return "were run above"
    if not triton.is_installed():
        return "not here: torch came without triton"
    for target in triton.TARGETS:
        for plan in training_plans(LIF(0.9), cache=False):
            triton.machine_code(plan.kernel, torch.float32, target)
    return f"compile for {', '.join(triton.TARGETS)}; there is no GPU to run them"


CHECKS: dict[str, Callable[[torch.device], str]] = {
    "neurons, fused": _neurons,
    "recurrence, fused": _feedback,
    "products of spikes": _events,
    "memory=low": _segments,
    "precision=bf16": _half,
    "kernels for GPUs": _gpu_kernels,
}


def _sequence(device: torch.device) -> Tensor:
    return torch.rand(20, 8, 300, generator=torch.Generator().manual_seed(0)).to(device)


def _agree(neurons: list[Neuron], x: Tensor) -> str:
    """Compare the fused execution with the reference."""
    errors = []
    for neuron in neurons:
        neuron.to(x.device)
        results = []
        for backend in ("fused", "reference"):
            given = x.clone().requires_grad_()
            spikes = run(neuron, given, backend=backend)[0].spikes
            weight = torch.arange(spikes.numel(), device=x.device).view(spikes.shape).sin()
            results.append([spikes, *torch.autograd.grad((weight * spikes).sum(), [given, *neuron.parameters()])])
        if not torch.equal(results[0][0], results[1][0]):
            raise AssertionError(f"the spikes of {type(neuron).__name__} differ from the reference's")
        errors.append(_largest_error(*results))
    names = ", ".join(type(neuron).__name__ for neuron in neurons)
    kernels = "LLVM" if llvm.supports(x) else "Triton" if triton.supports(x) else "torch"
    return f"{names}, by {kernels}: equal spikes, gradients off by {max(errors):.0e} of the largest"


def _largest_error(ours: list[Tensor], theirs: list[Tensor]) -> float:
    errors = [((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).item() for a, b in zip(ours, theirs, strict=True)]
    if not max(errors) < TOLERANCE:
        raise AssertionError(f"off by {max(errors):.0e} of the largest value")
    return max(errors)


def _gpus() -> str:
    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    built: Any = torch.version.cuda or getattr(torch.version, "hip", None)
    return "torch was built without CUDA" if built is None else f"torch was built for CUDA {built} and finds no GPU"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
