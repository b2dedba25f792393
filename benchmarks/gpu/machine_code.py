"""The machine code of the kernels: registers, spilt bytes, and the bytes that a kernel moves. It needs no GPU."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.gpu.catalogue import fused_neurons
from benchmarks.gpu.launches import moved
from snnrun.sequence.fused_feedback import gpu_kernels
from snnrun.sequence.kernel import triton
from snnrun.sequence.kernel.kernel import Kernel
from snnrun.sequence.kernel.plan import training_plans
from snnrun.sequence.record.tracer import Feedback, record

TARGET = "sm_90"  # an H100 or H200
SIZE = 7  # neurons of a layer; the code depends on no size, unless the layer has feedback
LARGE = 256
RECURRENT = {"lif": (128, LARGE), "synaptic": (LARGE,), "lsnn": (LARGE,), "adex": (LARGE,)}


def table(quick: bool) -> list[dict[str, Any]]:
    """A row for both directions of every neuron in a training step that needs no membranes, in float32."""
    rows = []
    for name, make in fused_neurons().items():
        if record(make(SIZE))[2] is not None:  # feedback of its own
            rows += _rows(f"{name}, {LARGE} neurons", gpu_kernels(make(LARGE)), LARGE)
            continue
        forward, backward = training_plans(make(SIZE), cache=False)
        rows += _rows(name, {"forward": forward.kernel, "backward": backward.kernel})
        if quick:
            break
    layers = [(name, n) for name, sizes in RECURRENT.items() for n in sizes if name in fused_neurons()]
    for name, n in layers[: 1 if quick else None]:
        kernels = gpu_kernels(fused_neurons()[name](n), Feedback(torch.zeros(n, n)))
        rows += _rows(f"{name}, {n} in a recurrent layer", kernels, n)
    return rows


def _rows(name: str, kernels: Mapping[str, Kernel], n: int = 0) -> list[dict[str, Any]]:
    """A row for each direction; ``n``: the neurons of a layer with feedback."""
    return [
        {"neuron": name, "direction": direction, **facts(kernel, n), "bytes": moved(kernel)}
        for direction, kernel in kernels.items()
    ]


def facts(kernel: Kernel, n: int = 0) -> dict[str, int]:
    """Registers of a thread, and the bytes of it that do not fit them, by NVIDIA's assembler."""
    import triton as library

    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(triton.machine_code(kernel, torch.float32, TARGET, n).asm["ptx"])
        file.flush()
        words = [library.knobs.nvidia.ptxas.path, "-v", f"-arch={TARGET}a", file.name, "-o", "/dev/null"]
        report = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    found = {"registers": r"Used (\d+) registers", "spilt": r"(\d+) bytes spill stores"}
    matches = {name: re.search(pattern, report) for name, pattern in found.items()}
    return {name: int(match[1]) for name, match in matches.items() if match}
