"""Each operation of a program: LLVM's code gives torch's values, and the adjoint autograd's gradients."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import LIF
from snnrun.sequence.kernel import llvm
from snnrun.sequence.kernel.kernel import Array, Kernel, Key
from snnrun.sequence.record.operation import OPERATIONS
from snnrun.sequence.record.program import BOOLEAN, Program

SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    88.5,
    89.5,
    -87.5,
    -103.5,
    -105.0,
    1e-30,
    float("inf"),
    float("-inf"),
    float("nan"),
]
BINARY = {"add", "sub", "mul", "div", "minimum", "maximum", "hypot", "pow", "clamp_min", "clamp_max"}
COMPARISONS = {"gt", "ge", "lt", "le", "eq", "ne"}
UNARY = set(OPERATIONS) - BINARY - set(BOOLEAN) - {"where", "number_of", "detach"}


def evaluate(program: Program, wanted: list[int], inputs: dict[int, Tensor]) -> list[Tensor]:
    """The nodes ``wanted``, by a kernel of one step."""
    like = next(iter(inputs.values()))[0]
    arrays = {i: Array(Key("x", i), "time") for i in inputs}
    writes = {Key("output", i): i for i in wanted}
    kernel = Kernel(
        nodes=tuple(program.nodes),
        numbers=len(program.numbers),
        reads=tuple(arrays.items()),
        before=(),
        carries=(),
        sums=(),
        writes=tuple((i, Array(key, "time")) for key, i in writes.items()),
        last=(),
        backwards=False,
    )
    tensors = {array.key: inputs[i] for i, array in arrays.items()}
    tensors |= {key: torch.empty_like(inputs[next(iter(inputs))]) for key in writes}
    llvm.call(kernel, program.numbers, tensors, 1, like)
    return [tensors[Key("output", i)] for i in wanted]


def grid(dtype: torch.dtype, count: int) -> list[Tensor]:
    plain = torch.linspace(-12, 12, 301, dtype=dtype).tolist()
    if count == 1:
        return [torch.tensor([[*SPECIAL, *plain]], dtype=dtype)]
    pairs = list(itertools.product([*SPECIAL, 3.25, -7.5], repeat=2))
    return [torch.tensor([[pair[k] for pair in pairs]], dtype=dtype) for k in range(2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("op", sorted(UNARY | BINARY | COMPARISONS))
def test_values(op: str, dtype: torch.dtype) -> None:
    inputs = grid(dtype, 1 if op in UNARY else 2)
    program = Program()
    leaves = [program.add("x"), program.add("grad_output")][: len(inputs)]
    node = program.as_number(program.add(op, *leaves))
    (actual,) = evaluate(program, [node], dict(zip(leaves, inputs, strict=True)))
    expected = OPERATIONS[op].torch(*inputs).to(dtype)
    # Correctly rounded operations agree in every bit, functions to a few units in the last place.
    exact = op in COMPARISONS or op in ("add", "sub", "mul", "div", "neg", "abs", "sign", "relu", "minimum", "maximum")
    rtol = 0.0 if exact else 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=0.0 if exact else 1e-37, equal_nan=True)


@pytest.mark.parametrize("op", sorted(name for name, operation in OPERATIONS.items() if operation.back))
def test_adjoints(op: str) -> None:
    """Also where torch's convention counts: at ties and at bounds."""
    values = torch.tensor([[-2.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 3.0]], dtype=torch.float64)
    if op in ("log", "sqrt", "pow"):
        values = values.abs() + 0.25
    if op == "log1p":
        values = values.abs()
    x = values.clone().requires_grad_()
    y = torch.full_like(values, 0.5 if op != "pow" else 1.7).requires_grad_()
    program = Program()
    leaves = [program.add("x"), program.add("grad_output"), program.add("grad_membrane")]
    condition = program.add("gt", leaves[0], program.number(0.0))
    arguments: dict[str, tuple[Any, ...]] = {"where": (condition, leaves[0], leaves[1])}
    binary = op in BINARY
    nodes = arguments.get(op, tuple(leaves[:2]) if binary else (leaves[0],))
    result = program.add(op, *nodes)
    back = OPERATIONS[op].back
    assert back is not None
    parts = back(program, leaves[2], result, *nodes)
    expected = OPERATIONS[op].torch(*((x > 0, x, y) if op == "where" else (x, y) if binary else (x,)))
    if op.startswith("clamp"):  # by a number, which is what these are for
        expected = OPERATIONS[op].torch(x, 0.5)
    weights = torch.arange(1.0, 10.0, dtype=torch.float64)[None]
    grads = torch.autograd.grad((expected * weights).sum(), [x, y], allow_unused=True)
    mine = [part for part in parts if part is not None]
    given = dict(zip(leaves, (values, y.detach(), weights), strict=True))
    for actual, gradient in zip(evaluate(program, mine, given), grads, strict=False):
        assert gradient is not None
        torch.testing.assert_close(actual, gradient, rtol=1e-12, atol=1e-12)


def test_every_operation_is_known_to_both() -> None:
    """A program can hold no operation that one of the kernels lacks: each has been run by the tests above."""
    assert UNARY | BINARY | COMPARISONS | {"where", "number_of", "detach", "and", "or", "not"} == set(OPERATIONS)
    program = Program()
    a, b = program.add("x"), program.add("grad_output")
    one, other = program.add("gt", a, program.number(0.0)), program.add("lt", b, program.number(0.0))
    nodes = [program.as_number(program.add(op, one, other)) for op in ("and", "or")]
    nodes += [program.as_number(program.add("not", one)), program.add("where", one, a, b), program.add("detach", a)]
    x, y = torch.tensor([[1.0, -1.0, 2.0, -3.0]]), torch.tensor([[1.0, -1.0, -2.0, 3.0]])
    expected = [(x > 0) & (y < 0), (x > 0) | (y < 0), ~(x > 0), torch.where(x > 0, x, y), x]
    for actual, value in zip(evaluate(program, nodes, {a: x, b: y}), expected, strict=True):
        assert torch.equal(actual, value.float())


def test_a_number_may_change_without_another_kernel() -> None:
    from snnrun.sequence.record.tracer import record

    one, other = (record(LIF(beta))[0] for beta in (0.9, 0.8))
    assert one.nodes == other.nodes
    assert one.numbers != other.numbers
