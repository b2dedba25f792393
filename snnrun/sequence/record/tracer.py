"""Records a neuron's ``step`` as a program, with symbols in place of tensors.

``step`` is called once with symbols for input and state. Elementwise operations are recorded; anything else (a matrix
product, a decision that depends on a value, a count of time steps) raises ``Unfusable``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snnrun.neuron import Neuron
from snnrun.neuron.recurrent import feed_back
from snnrun.sequence.record.program import LEAVES, Node, Program
from snnrun.surrogate import Surrogate


class Unfusable(Exception):
    """An operation is not elementwise; the message names it."""


class Feedback(NamedTuple):
    """The weights ``[n, n]`` and the bias ``[n]`` with which a layer's output returns as its input."""

    weight: Tensor
    bias: Tensor | None = None


class Recorder:
    """A program during recording, and the tensors (parameters of the neuron) that it uses."""

    def __init__(self, program: Program | None = None) -> None:
        self.program = Program() if program is None else program
        self.captured: list[Tensor] = []
        self.surrogates: list[Surrogate] = []
        self.feedback: Feedback | None = None
        self.source: int | None = None  # the node that the feedback is made of

    def leaf(self, *node: Any) -> Symbol:
        return Symbol(self, self.program.add(*node))

    def index(self, value: Any) -> int:
        """The node of a symbol, a number or a tensor."""
        if isinstance(value, Symbol):
            return value.index
        if isinstance(value, Tensor):
            return self._capture(value)
        if isinstance(value, (bool, int, float)):
            return self.program.number(value)
        raise Unfusable(f"a value of type {type(value).__name__}")

    def operate(self, op: str, *args: Any) -> Symbol:
        """The elementwise operation ``op``."""
        nodes = [self.program.as_number(self.index(value)) for value in args]
        return Symbol(self, self.program.add(op, *nodes))

    def logic(self, op: str, *args: Any) -> Symbol:
        """A logical operation."""
        nodes = [self.index(value) for value in args]
        if not all(self.program.is_boolean(i) for i in nodes):
            raise Unfusable("logic on numbers")
        return Symbol(self, self.program.add(op, *nodes))

    def choose(self, condition: Any, a: Any, b: Any) -> Symbol:
        """``a`` where the condition holds, else ``b``."""
        i = self.index(condition)
        if not self.program.is_boolean(i):
            raise Unfusable("a condition that is a number")
        a, b = (self.program.as_number(self.index(value)) for value in (a, b))
        return Symbol(self, self.program.add("where", i, a, b))

    def spike(self, surrogate: Surrogate, x: Any, *, inclusive: bool = False, **others: Any) -> Symbol:
        """The spike of ``x``, with the surrogate's derivative backwards."""
        if not surrogate.is_step or not others.get("spiking", True):
            raise Unfusable(f"{type(surrogate).__name__}, which makes other spikes than 0 and 1, or random ones")
        if surrogate not in self.surrogates:
            self.surrogates.append(surrogate)
        node = ("spike", self.index(x), bool(inclusive), self.surrogates.index(surrogate))
        return Symbol(self, self.program.add(*node))

    def feed_back(self, s: Any, weight: Tensor, bias: Tensor | None) -> Symbol:
        """The feedback of ``s``: one more input of the step, since it mixes neurons."""
        if self.feedback is not None:
            raise Unfusable("feedback from two places")
        self.feedback, self.source = Feedback(weight, bias), self.index(s)
        return self.leaf("feedback")

    def _capture(self, tensor: Tensor) -> int:
        # By identity, so that a parameter with two uses is one leaf.
        known = [j for j, other in enumerate(self.captured) if other is tensor]
        if not known:
            self.captured.append(tensor)
        j = known[0] if known else len(self.captured) - 1
        return self.program.add("scalar" if tensor.numel() == 1 else "row", j)


class Symbol:
    """Represents a tensor ``[B, *N]`` in a neuron's step."""

    def __init__(self, recorder: Recorder, index: int) -> None:
        self.recorder, self.index = recorder, index

    # Only for tensors of one number; kernels convert them to the dtype of the input.
    dtype = torch.float64
    device = torch.device("cpu")

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        recorder = next(x.recorder for x in [*args, *(kwargs or {}).values()] if isinstance(x, Symbol))
        if function is Surrogate.__call__:
            return recorder.spike(*args, **(kwargs or {}))
        if function is feed_back:
            return recorder.feed_back(*args, **(kwargs or {}))
        return _call(recorder, function.__name__, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name.strip("_") in _CALLS:
            return lambda *args, **kwargs: _call(self.recorder, name, (self, *args), kwargs)
        raise Unfusable(f"the attribute {name!r} of a tensor")

    def __bool__(self) -> bool:
        raise Unfusable("a decision that depends on a value")

    def __iter__(self) -> Any:
        raise Unfusable("an iteration over a tensor")

    __float__ = __int__ = __len__ = __index__ = __bool__

    def __getitem__(self, item: Any) -> Any:
        raise Unfusable("a part of a tensor")

    def __hash__(self) -> int:
        return id(self)


def _call(recorder: Recorder, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    handler = _CALLS.get(name.strip("_"))
    if handler is None:
        raise Unfusable(f"{name}, which is not known to be elementwise")
    try:
        return handler(recorder, *args, **kwargs)
    except TypeError as error:  # unsupported arguments
        raise Unfusable(f"{name} ({error})") from error


def _binary(op: str) -> Callable[..., Symbol]:
    return lambda recorder, a, b: recorder.operate(op, a, b)


def _reverse(op: str) -> Callable[..., Symbol]:
    return lambda recorder, a, b: recorder.operate(op, b, a)


def _unary(op: str) -> Callable[..., Symbol]:
    return lambda recorder, a: recorder.operate(op, a)


def _clamp(recorder: Recorder, a: Any, min: Any = None, max: Any = None) -> Any:
    # A tensor as a bound has a gradient.
    for bound, number, tensor in ((min, "clamp_min", "maximum"), (max, "clamp_max", "minimum")):
        if bound is not None:
            a = recorder.operate(number if isinstance(bound, (int, float)) else tensor, a, bound)
    return a


def _power(recorder: Recorder, a: Any, exponent: Any) -> Symbol:
    if not isinstance(exponent, (int, float)):
        raise Unfusable("a power whose exponent is a tensor")
    return recorder.operate("mul", a, a) if exponent == 2 else recorder.operate("pow", a, float(exponent))


def _constant(value: float) -> Callable[..., Symbol]:
    return lambda recorder, like, **_: Symbol(recorder, recorder.program.number(value))


def _logical(op: str) -> Callable[..., Symbol]:
    return lambda recorder, *args: recorder.logic(op, *args)


def _same(recorder: Recorder, a: Any, *_: Any, **__: Any) -> Any:
    return a


def _to(recorder: Recorder, a: Any, *_: Any, **__: Any) -> Symbol:
    # All numbers of a program have the input's dtype.
    return Symbol(recorder, recorder.program.as_number(recorder.index(a)))


_UNARY = (
    *("neg", "abs", "sign", "exp", "expm1", "log", "log1p", "sigmoid", "tanh", "sqrt", "relu"),
    *("atan", "erf", "erfc", "sin", "cos", "detach"),
)
_CALLS: dict[str, Callable[..., Any]] = {
    **{name: _binary(name) for name in ("add", "sub", "mul", "div", "minimum", "maximum", "hypot")},
    **{name: _binary(name) for name in ("gt", "ge", "lt", "le", "eq", "ne")},
    **{f"r{name}": _reverse(name) for name in ("add", "sub", "mul", "div")},
    "truediv": _binary("div"),
    "rtruediv": _reverse("div"),
    "subtract": _binary("sub"),
    "multiply": _binary("mul"),
    "divide": _binary("div"),
    **{name: _unary(name) for name in _UNARY},
    "arctan": _unary("atan"),
    "special_erf": _unary("erf"),
    "special_erfc": _unary("erfc"),
    "square": lambda recorder, a: recorder.operate("mul", a, a),
    "reciprocal": lambda recorder, a: recorder.operate("div", 1.0, a),
    "pow": _power,
    "clamp": _clamp,
    "clip": _clamp,
    "where": lambda recorder, condition, a, b: recorder.choose(condition, a, b),
    "masked_fill": lambda recorder, a, mask, value: recorder.choose(mask, value, a),
    "zeros_like": _constant(0.0),
    "ones_like": _constant(1.0),
    "full_like": lambda recorder, like, value, **_: Symbol(recorder, recorder.index(value)),
    "logical_and": _logical("and"),
    "and": _logical("and"),
    "logical_or": _logical("or"),
    "or": _logical("or"),
    "logical_not": _logical("not"),
    "invert": _logical("not"),
    "to": _to,
    "type_as": _to,
    "float": _to,
    "clone": _same,
    "contiguous": _same,
}


def _operator(name: str) -> Callable[..., Any]:
    return lambda self, *args: _call(self.recorder, name, (self, *args), {})


# Python looks up operators in the class, not through __getattr__.
_OPERATORS = (
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "neg", "abs", "pow"),
    *("gt", "ge", "lt", "le", "eq", "ne", "and", "or", "invert"),
)
for _name in _OPERATORS:
    setattr(Symbol, f"__{_name}__", _operator(_name))


class Recipe(NamedTuple):
    """A recorded step without its tensors; the key of the cached kernels.

    Attributes:
        nodes: the operations, see :mod:`snnrun.sequence.record.program`.
        numbers: the values of its ``number`` leaves.
        output: the node of the step's output, such as its spikes.
        new: the nodes of the state after the step; the membrane first.
        surrogates: of its spikes.
    """

    nodes: tuple[Node, ...]
    numbers: tuple[float, ...]
    output: int
    new: tuple[int, ...]
    surrogates: tuple[Surrogate, ...]

    def program(self) -> Program:
        """The nodes as a program."""
        return Program(self.nodes, self.numbers)

    @property
    def counts(self) -> bool:
        """True if the output is spikes of 0 and 1, so that their sum is a spike count."""
        return self.nodes[self.output][0] == "spike"

    @property
    def has_feedback(self) -> bool:
        """True if the output returns as an input of the next step."""
        return ("feedback",) in self.nodes

    def is_spikes(self, k: int) -> bool:
        """True if the k-th part of the state is spikes of 0 and 1."""
        return self.nodes[self.new[k]][0] == "spike"


class Recording(NamedTuple):
    """A recorded step, the tensors that it captures, and its feedback, if its output returns as input."""

    recipe: Recipe
    captured: list[Tensor]
    feedback: Feedback | None


def record(neuron: Neuron, feedback: Feedback | None = None) -> Recording:
    """The step of ``neuron``, and the tensors that it captures: its current parameters.

    ``feedback``: the neuron's output returns with it, by way of the layer; a neuron may have its own.

    Raises:
        Unfusable: if the step is not elementwise, apart from a feedback of the whole output.
    """
    recorder = Recorder()
    x = recorder.leaf("x")
    recorder.feedback = feedback
    whole = x if feedback is None else recorder.operate("add", x, recorder.leaf("feedback"))
    try:
        example: Any = neuron.initial_state(x)  # type: ignore[arg-type]
        if not all(isinstance(value, Symbol) for value in example):
            raise Unfusable("a state that is not one tensor [B, *N] for each of its parts")
        kind = type(example)
        output, state = neuron.step(whole, kind(*(recorder.leaf("old", k) for k in range(len(example)))))  # type: ignore[arg-type]
        new = tuple(recorder.program.as_number(recorder.index(value)) for value in state)
        output_node = recorder.program.as_number(recorder.index(output))
        if recorder.source is not None and _a_step_later(recorder, new) != output_node:
            raise Unfusable("a feedback that is not the output of the step before")
    except Unfusable:
        raise
    except Exception as error:  # the step loop will report it, if it is a fault
        raise Unfusable(f"{type(error).__name__}: {error}") from error
    program = recorder.program
    recipe = Recipe(tuple(program.nodes), tuple(program.numbers), output_node, new, tuple(recorder.surrogates))
    return Recording(recipe, recorder.captured, recorder.feedback)


def _a_step_later(recorder: Recorder, new: Sequence[int]) -> int:
    """The node with the value that the source of the feedback has in the next step."""
    program, later = recorder.program, dict[int, int]()
    assert recorder.source is not None
    for i in program.below([recorder.source]):
        op, *args = program.nodes[i]
        if op in ("x", "feedback"):
            raise Unfusable("a feedback that depends on the input")
        if op == "old":
            later[i] = new[args[0]]
        elif op in LEAVES:
            later[i] = i
        else:
            nodes = [later[j] for j in program.args(i)]
            later[i] = program.add(op, *nodes, *args[len(nodes) :])
    return later[recorder.source]


def check_repeatable(neuron: Neuron, feedback: Feedback | None = None) -> None:
    """Raise Unfusable if the step of ``neuron`` cannot be recorded, or differs each time, as with noise."""
    (one, captured, own), (other, again, own_again) = record(neuron, feedback), record(neuron, feedback)
    same = one.nodes == other.nodes and one.numbers == other.numbers
    tensors, others = [*captured, *_tensors(own)], [*again, *_tensors(own_again)]
    if not (same and all(map(torch.equal, tensors, others))):
        raise Unfusable("a number that is another one each time")


def _tensors(feedback: Feedback | None) -> list[Tensor]:
    return [] if feedback is None else [each for each in feedback if each is not None]


def derivative(surrogate: Surrogate, program: Program, x: int) -> int | None:
    """The node of the surrogate's derivative at node ``x``, or None if it is not elementwise."""
    recorder = Recorder(program)
    before = len(program.nodes)
    try:
        result = recorder.index(surrogate.derivative(Symbol(recorder, x)))  # type: ignore[arg-type]
    except Exception:  # a user's function may fail here; it is then called with real tensors
        return None
    assert len(program.nodes) >= before
    return None if recorder.captured else program.as_number(result)
