"""Kernels for GPUs without one, run by Triton's interpreter."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import special

from snnrun.sequence.kernel import llvm, triton
from snnrun.sequence.kernel.kernel import Kernel


class Library:
    """Stands in for the functions of the GPU's library, which the interpreter lacks: numpy's and scipy's."""

    exp, expm1, log, log1p, tanh, sin, cos, hypot = (
        staticmethod(lambda *arguments, function=function: _elementwise(function, *arguments))
        for function in (np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sin, np.cos, np.hypot)
    )
    atan, pow, erf, erfc = (
        staticmethod(lambda *arguments, function=function: _elementwise(function, *arguments))
        for function in (np.arctan, np.power, special.erf, special.erfc)
    )


def _elementwise(function: Callable[..., Any], *arguments: Any) -> Any:
    tensor, handle = arguments[0], arguments[0].handle
    result = function(*(each.handle.data for each in arguments)).astype(handle.data.dtype)
    return type(tensor)(type(handle)(result, handle.dtype), tensor.type)


def interpret(monkeypatch: pytest.MonkeyPatch) -> list[Kernel]:
    """Let Triton's interpreter run all fused executions, on the CPU; the list gets every kernel that it runs."""
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    kernels: list[Kernel] = []
    make, call = triton.source_function, triton.call

    def function(source: str) -> Any:
        kernel = make(source)
        kernel.__globals__["libdevice"] = Library
        return kernel

    def recorded(kernel: Kernel, *arguments: Any) -> None:
        kernels.append(kernel)
        with np.errstate(all="ignore"):  # a GPU does not warn either
            call(kernel, *arguments)

    monkeypatch.setattr(triton, "function", triton.function.__wrapped__)  # no compiled function of another test
    monkeypatch.setattr(triton, "source_function", function)
    monkeypatch.setattr(triton, "call", recorded)
    monkeypatch.setattr(triton, "supports", lambda x: x.dtype in triton.DTYPES)
    monkeypatch.setattr(llvm, "supports", lambda x: False)
    return kernels


class Registers(NamedTuple):
    """The registers of a thread, and what does not fit them: bytes, or on AMD's GPUs registers."""

    number: int
    spilt: int


def registers(code: Any, target: str) -> Registers:
    """What the compiler reports about ``machine_code`` for a target."""
    if target == "gfx942":
        text, patterns = code.asm["amdgcn"], (r"\.vgpr_count:\s+(\d+)", r"\.vgpr_spill_count:\s+(\d+)")
    else:
        text, patterns = _report(code.asm["ptx"], target), (r"Used (\d+) registers", r"(\d+) bytes spill stores")
    number, spilt = (re.search(pattern, text) for pattern in patterns)
    assert number and spilt
    return Registers(int(number[1]), int(spilt[1]))


def _report(ptx: str, target: str) -> str:
    from triton import knobs

    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        arch = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)
        words = [knobs.nvidia.ptxas.path, "-v", f"-arch={arch[1] if arch else target}", file.name, "-o", "/dev/null"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stderr
