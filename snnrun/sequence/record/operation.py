"""The operations of a program: the computation in torch, and the rule for the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from snnrun.sequence.record.program import Program

#: From the program of the adjoint, the adjoint of the result, the result, and the arguments: the adjoint of each
#: argument, or None.
Back = Callable[..., tuple[int | None, ...]]


class Operation(NamedTuple):
    """An elementwise operation.

    ``torch`` takes tensors (or numbers except one) and gives a tensor; ``back`` is None if there is no gradient.
    """

    torch: Callable[..., Tensor]
    back: Back | None = None


def _product(p: Program, *factors: int) -> int:
    result = factors[0]
    for factor in factors[1:]:
        result = p.add("mul", result, factor)
    return result


def _ratio(p: Program, g: int, y: int, a: int, b: int) -> tuple[int, int]:
    first = p.add("div", g, b)
    return first, p.add("neg", p.add("mul", first, y))


def _if(p: Program, op: str, a: int, b: int, g: int) -> int:
    """``g`` if the comparison holds, else 0."""
    return p.add("where", p.add(op, a, b), g, p.number(0.0))


def _extreme(op: str) -> Back:
    # Like torch: equal arguments share the gradient.
    def back(p: Program, g: int, y: int, a: int, b: int) -> tuple[int, int]:
        half = p.add("mul", p.number(0.5), _if(p, "eq", a, b, g))
        return p.add("add", _if(p, op, a, b, g), half), p.add("add", _if(p, op, b, a, g), half)

    return back


def _power(p: Program, g: int, y: int, a: int, exponent: int) -> tuple[int, None]:
    lower = p.add("pow", a, p.add("sub", exponent, p.number(1.0)))
    return _product(p, g, exponent, lower), None


def _erf(sign: float) -> Back:
    def back(p: Program, g: int, y: int, a: int) -> tuple[int]:
        bell = p.add("exp", p.add("neg", p.add("mul", a, a)))
        return (_product(p, g, p.number(sign * 2 / math.sqrt(math.pi)), bell),)

    return back


def _atan(p: Program, g: int, y: int, a: int) -> tuple[int]:
    return (p.add("div", g, p.add("add", p.number(1.0), p.add("mul", a, a))),)


def _hypot(p: Program, g: int, y: int, a: int, b: int) -> tuple[int, int]:
    share = p.add("div", g, y)
    return p.add("mul", share, a), p.add("mul", share, b)


def _where(p: Program, g: int, y: int, condition: int, a: int, b: int) -> tuple[int | None, ...]:
    zero = p.number(0.0)
    return None, p.add("where", condition, g, zero), p.add("where", condition, zero, g)


OPERATIONS: dict[str, Operation] = {
    "add": Operation(torch.add, lambda p, g, y, a, b: (g, g)),
    "sub": Operation(torch.sub, lambda p, g, y, a, b: (g, p.add("neg", g))),
    "mul": Operation(torch.mul, lambda p, g, y, a, b: (p.add("mul", g, b), p.add("mul", g, a))),
    "div": Operation(torch.div, _ratio),
    "neg": Operation(torch.neg, lambda p, g, y, a: (p.add("neg", g),)),
    "abs": Operation(torch.abs, lambda p, g, y, a: (p.add("mul", g, p.add("sign", a)),)),
    "sign": Operation(torch.sign),
    "exp": Operation(torch.exp, lambda p, g, y, a: (p.add("mul", g, y),)),
    "expm1": Operation(torch.expm1, lambda p, g, y, a: (p.add("mul", g, p.add("add", y, p.number(1.0))),)),
    "log": Operation(torch.log, lambda p, g, y, a: (p.add("div", g, a),)),
    "log1p": Operation(torch.log1p, lambda p, g, y, a: (p.add("div", g, p.add("add", a, p.number(1.0))),)),
    "sigmoid": Operation(torch.sigmoid, lambda p, g, y, a: (_product(p, g, p.add("sub", p.number(1.0), y), y),)),
    "tanh": Operation(
        torch.tanh, lambda p, g, y, a: (p.add("mul", g, p.add("sub", p.number(1.0), p.add("mul", y, y))),)
    ),
    "sqrt": Operation(torch.sqrt, lambda p, g, y, a: (p.add("div", g, p.add("mul", p.number(2.0), y)),)),
    "relu": Operation(torch.relu, lambda p, g, y, a: (_if(p, "gt", a, p.number(0.0), g),)),
    "clamp_min": Operation(torch.clamp_min, lambda p, g, y, a, low: (_if(p, "gt", a, low, g), None)),
    "clamp_max": Operation(torch.clamp_max, lambda p, g, y, a, high: (_if(p, "lt", a, high, g), None)),
    "minimum": Operation(torch.minimum, _extreme("lt")),
    "maximum": Operation(torch.maximum, _extreme("gt")),
    "pow": Operation(torch.pow, _power),
    "hypot": Operation(torch.hypot, _hypot),
    "atan": Operation(torch.atan, _atan),
    "erf": Operation(torch.erf, _erf(1.0)),
    "erfc": Operation(torch.erfc, _erf(-1.0)),
    "sin": Operation(torch.sin, lambda p, g, y, a: (p.add("mul", g, p.add("cos", a)),)),
    "cos": Operation(torch.cos, lambda p, g, y, a: (p.add("neg", p.add("mul", g, p.add("sin", a))),)),
    "where": Operation(torch.where, _where),
    "number_of": Operation(lambda a: a),  # booleans count as 0 and 1 in torch's arithmetic
    "detach": Operation(lambda a: a),
    "gt": Operation(torch.gt),
    "ge": Operation(torch.ge),
    "lt": Operation(torch.lt),
    "le": Operation(torch.le),
    "eq": Operation(torch.eq),
    "ne": Operation(torch.ne),
    "and": Operation(torch.logical_and),
    "or": Operation(torch.logical_or),
    "not": Operation(torch.logical_not),
}
