"""The passes over time compiled for the CPU: time inside, over blocks of neurons small enough for the L1 cache.

One kernel is compiled per form of neuron, at its first use, and cached on disk by numba. The kernels run on the
calling thread alone: numba's own thread pools abort or hang when autograd's threads, or a fork, enter them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numba
import numpy as np
import torch
from torch import Tensor

from snnrun.sequence.form import Coefficients, Form

BLOCK = 512


def supports(x: Tensor) -> bool:
    """Whether these kernels can run on ``x``: a float32 or float64 tensor in the CPU's memory."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def forward(x: Tensor, u0: Tensor, s0: Tensor, coefficients: Coefficients, form: Form) -> tuple[Tensor, Tensor]:
    """Spikes and membranes ``[T, B, *N]``."""
    s, u = torch.empty(x.shape, dtype=x.dtype), torch.empty(x.shape, dtype=x.dtype)
    if u.numel():
        kernel = _forward_kernel(form.reset, form.delayed, form.drops_input, form.inclusive)
        kernel(*_drive(x), _row(u0), _row(s0), *_rows(coefficients, x), _matrix(u), _matrix(s))
    return s, u


def adjoint(
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    h: Tensor,
    x: Tensor | None,
    u: Tensor,
    coefficients: Coefficients,
    form: Form,
) -> Tensor:
    """λ ``[T, B, *N]``; see ``fused`` for the recurrence."""
    result = torch.zeros_like(u) if grad_spikes is None else grad_spikes * h
    if grad_membrane is not None:
        result += grad_membrane
    if u.numel():
        kernel = _adjoint_kernel(form.reset, form.delayed, form.drops_input, form.inclusive, form.detached)
        # Only a form that drops its input looks at x; the others get h in its place, unread.
        kernel(*_drive(h if x is None else x), _matrix(h), _matrix(u), *_rows(coefficients, u), _matrix(result))
    return result


def _matrix(x: Tensor) -> np.ndarray:
    """``[T, B, *N]`` as a ``[T, M]`` array; contiguous tensors share their memory."""
    return x.detach().reshape(x.shape[0], -1).contiguous().numpy()


def _row(x: Tensor) -> np.ndarray:
    return x.detach().reshape(-1).contiguous().numpy()


def _rows(coefficients: Coefficients, like: Tensor) -> list[np.ndarray]:
    return [_row(value.expand(like.shape[1:])) for value in coefficients]


def _drive(x: Tensor) -> tuple[np.ndarray, int]:
    """The input and how many of its rows to go on by at each step: a constant input stands in memory once."""
    if x.stride(0) == 0:
        return _matrix(x[:1]), 0
    return _matrix(x), 1


@functools.cache
def _forward_kernel(reset: str, delayed: bool, drops_input: bool, inclusive: bool) -> Callable[..., None]:
    subtract, zero, same = reset == "subtract", reset == "zero", not delayed

    @numba.njit(cache=True, nogil=True, error_model="numpy")
    def kernel(x, stride, u0, s0, a, g, c, theta, v_reset, u, s):  # type: ignore[no-untyped-def]  # pragma: no cover
        steps, size = u.shape
        last_u, last_s, drive = np.empty(BLOCK, u.dtype), np.empty(BLOCK, u.dtype), np.empty(BLOCK, u.dtype)
        one, none = u.dtype.type(1), u.dtype.type(0)
        for low in range(0, size, BLOCK):
            n = min(BLOCK, size - low)
            a_, g_, c_ = a[low : low + n], g[low : low + n], c[low : low + n]
            theta_, v_reset_ = theta[low : low + n], v_reset[low : low + n]
            last_u[:n], last_s[:n] = u0[low : low + n], s0[low : low + n]
            for t in range(steps):
                # Copies stay out of the arithmetic loop: with every array inside it, it would not vectorise.
                drive[:n] = x[t * stride, low : low + n]
                for i in range(n):
                    drive[i] = g_[i] * drive[i] + c_[i]
                for i in range(n):
                    v, fired = last_u[i], last_s[i]
                    if same and subtract:
                        v = v - fired * theta_[i]
                    if same and zero:
                        v = (one - fired) * v + fired * v_reset_[i]
                    v = a_[i] * v
                    if delayed and zero and not drops_input:
                        v = (one - fired) * v + fired * v_reset_[i]
                    v = v + drive[i]
                    if delayed and subtract:
                        v = v - fired * theta_[i]
                    if delayed and zero and drops_input:
                        v = (one - fired) * v + fired * v_reset_[i]
                    excess = v - theta_[i]
                    last_u[i] = v
                    last_s[i] = one if (excess >= none if inclusive else excess > none) else none
                u[t, low : low + n] = last_u[:n]
                s[t, low : low + n] = last_s[:n]

    return kernel


@functools.cache
def _adjoint_kernel(
    reset: str, delayed: bool, drops_input: bool, inclusive: bool, detached: bool
) -> Callable[..., None]:
    subtract, zero = reset == "subtract", reset == "zero"
    coupled = not detached and reset != "none"

    @numba.njit(cache=True, nogil=True, error_model="numpy")
    def kernel(x, stride, h, u, a, g, c, theta, v_reset, result):  # type: ignore[no-untyped-def]  # pragma: no cover
        steps, size = u.shape
        lam, u_t, h_t = np.empty(BLOCK, u.dtype), np.empty(BLOCK, u.dtype), np.empty(BLOCK, u.dtype)
        drive, out = np.empty(BLOCK, u.dtype), np.empty(BLOCK, u.dtype)
        none = u.dtype.type(0)
        for low in range(0, size, BLOCK):
            n = min(BLOCK, size - low)
            a_, g_, c_ = a[low : low + n], g[low : low + n], c[low : low + n]
            theta_, v_reset_ = theta[low : low + n], v_reset[low : low + n]
            lam[:n] = result[steps - 1, low : low + n]
            for t in range(steps - 2, -1, -1):
                u_t[:n], out[:n] = u[t, low : low + n], result[t, low : low + n]
                if coupled:
                    h_t[:n] = h[t, low : low + n]
                if coupled and drops_input:
                    drive[:n] = x[(t + 1) * stride, low : low + n]
                for i in range(n):
                    factor = a_[i]
                    if zero:
                        excess = u_t[i] - theta_[i]
                        factor = none if (excess >= none if inclusive else excess > none) else factor
                    if coupled:
                        if subtract:
                            through = -theta_[i] if delayed else -a_[i] * theta_[i]
                        elif not delayed:
                            through = a_[i] * (v_reset_[i] - u_t[i])
                        else:
                            through = v_reset_[i] - a_[i] * u_t[i]
                            if drops_input:
                                through = through - g_[i] * drive[i] - c_[i]
                        factor = factor + h_t[i] * through
                    lam[i] = out[i] + lam[i] * factor
                result[t, low : low + n] = lam[:n]

    return kernel
