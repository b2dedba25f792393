"""Kernels for GPUs without one, run by Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
