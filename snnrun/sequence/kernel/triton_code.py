"""Writes a kernel as Triton source, for GPUs.

A program of the grid has a block of neurons. It runs over time with the state in registers. Neurons are independent of
each other, so the size of the grid changes no bit. A kernel with a replay runs over time twice.

A program of a layer with feedback has all neurons of one sample, and computes their feedback itself: the sum of the
rows of the weights, each times a number of the row that the program wrote in the step before. That row goes through
memory, where every thread finds it after a barrier. The order of the sum is fixed, and samples are independent, so
here, too, the grid changes no bit.

``libdevice`` are the functions of the GPU's mathematical library, by the names of C's.
"""

from __future__ import annotations

from snnrun.sequence.kernel.kernel import FEEDBACK_WEIGHTS, Array, FeedbackProduct, Kernel
from snnrun.sequence.record.program import Program

#: Rows of the weights that are loaded at a time: their loads wait for the memory together.
UNROLLED = 8
_COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
_LIBRARY = ("exp", "expm1", "log", "log1p", "tanh", "atan", "erf", "erfc", "sin", "cos", "pow", "hypot")
_EXTREMES = {
    "relu": ("maximum", "zero"), "clamp_min": ("maximum", ""), "clamp_max": ("minimum", ""),
    "maximum": ("maximum", ""), "minimum": ("minimum", ""),
}  # fmt: skip


def code(kernel: Kernel, *, double: bool) -> str:
    """The function ``kernel(numbers, array…, stride…, steps, lanes, n, BLOCK)``, without its decorator.

    ``numbers`` are the kernel's, then the captured tensors of one number. The arrays are ``kernel.arrays()``, then
    ``kernel.scratch()``; the strides of all arrays follow in the same order, 0 for a constant input. ``n`` is the
    number of neurons of a layer with feedback, and ``BLOCK`` then the power of two that they fit.
    """
    arrays = [*kernel.arrays(), *kernel.scratch()]
    pointers = [f"array{i}" for i in range(len(arrays))]
    strides = [f"stride{i}" for i in range(len(arrays))]
    head = ", ".join(["numbers", *pointers, *strides, "steps", "lanes", "n: tl.constexpr", "BLOCK: tl.constexpr"])
    written = _Writer(kernel, dict(zip(arrays, range(len(arrays)), strict=True)), double)
    lines = [
        "program = tl.program_id(0).to(tl.int64)",
        "place = tl.arange(0, BLOCK)",
        *_lanes(kernel),
        f"zero = tl.full((BLOCK,), 0.0, {written.dtype})",
        *written.lines(),
    ]
    return "\n".join([f"def kernel({head}):", *(f"    {line}" for line in lines), ""])


def _lanes(kernel: Kernel) -> list[str]:
    """The lines with the places of the program's neurons in the arrays, and which of them there are."""
    if kernel.feedback is None:
        return ["lane = program * BLOCK + place", "inside = lane < lanes"]
    return ["lane = program * n + place", "inside = place < n"]


class _Writer:
    def __init__(self, kernel: Kernel, places: dict[Array, int], double: bool) -> None:
        self.kernel, self.places, self.double = kernel, places, double
        self.dtype = "tl.float64" if double else "tl.float32"

    def lines(self) -> list[str]:
        """All lines but the head."""
        replay = [] if self.kernel.replay is None else self.over_time(self.kernel.replay, "r")
        return [*replay, *self.over_time(self.kernel, "m")]

    def over_time(self, kernel: Kernel, name: str) -> list[str]:
        """One run over time; ``name`` begins the names of its values."""
        program = Program(kernel.nodes)
        before, inside, names = list[str](), list[str](), dict[int, str]()
        for i, (op, *args) in enumerate(program.nodes):
            names[i] = f"{name}{i}"
            if op in ("number", "scalar"):
                j = args[0] if op == "number" else self.kernel.numbers + args[0]
                before.append(f"{name}{i} = zero + tl.load(numbers + {j})")
            elif op == "literal":
                before.append(f"{name}{i} = tl.full((BLOCK,), {args[0]!r}, {self.dtype})")
        leaves = {leaf for leaf, *_ in (*kernel.reads, *kernel.before, *kernel.carries)}
        for leaf, array in kernel.reads:
            (before if array.kind == "lane" else inside).append(f"{names[leaf]} = {self.load(array)}")
        for leaf, array, initial in kernel.before:
            before.append(f"{names[leaf]}_first = {self.load(initial)}")
            earlier = self.load(array, "t - 1", "inside & (t > 0)")
            inside.append(f"{names[leaf]} = tl.where(t > 0, {earlier}, {names[leaf]}_first)")
        if kernel.feedback is not None:  # after the loads, which go on meanwhile
            leaves.add(kernel.feedback.leaf)
            inside += self.product(kernel.feedback, names[kernel.feedback.leaf], kernel.backwards)
        carries = {leaf: f"{name}_carry{leaf}" for leaf, _, _ in kernel.carries}
        for leaf, _, start in kernel.carries:
            before.append(f"{carries[leaf]} = {'zero' if start is None else self.load(start)}")
            inside.append(f"{names[leaf]} = {carries[leaf]}")
        before += [f"{name}_sum{j} = zero" for j in range(len(kernel.sums))]

        nodes = [node for node, _ in (*kernel.sums, *kernel.writes)]
        nodes += [node for _, node, _ in kernel.carries if node is not None]
        for i in program.below(nodes):
            op, *args = program.nodes[i]
            if i not in leaves and op not in ("number", "scalar", "literal"):
                inside.append(f"{names[i]} = {self.operation(op, args, names)}")
        inside += [f"{name}_sum{j} += {names[node]}" for j, (node, _) in enumerate(kernel.sums)]
        inside += [self.store(array, names[node], "t") for node, array in kernel.writes]
        for leaf, node, _ in kernel.carries:
            inside.append(f"{carries[leaf]} = {'zero' if node is None else f'zero + {names[node]}'}")

        step = "t = steps - 1 - step" if kernel.backwards else "t = step"
        after = [self.store(array, carries[leaf]) for leaf, array in kernel.last]
        after += [self.store(array, f"{name}_sum{j}") for j, (_, array) in enumerate(kernel.sums)]
        return [*before, "for step in range(steps):", *(f"    {line}" for line in (step, *inside)), *after]

    def product(self, feedback: FeedbackProduct, name: str, backwards: bool) -> list[str]:
        """The lines that compute the leaf ``name``: the addend, plus the row of the step before times the weights.

        ``UNROLLED`` rows of the weights are loaded while the rows before them are added.
        """
        i, before = self.places[feedback.source], "t + 1" if backwards else "t - 1"
        factor, weights = f"{name}_row + k", f"array{self.places[FEEDBACK_WEIGHTS]} + k * n + place"
        rows, whole = range(UNROLLED), f"n // {UNROLLED} * {UNROLLED}"
        loads = [f"{name}_next_factor{j} = tl.load({factor} + {j}).to({self.dtype})" for j in rows]
        loads += [
            f"{name}_next_weights{j} = tl.load({weights} + {j} * n, mask=inside, other=0).to({self.dtype})"
            for j in rows
        ]
        sums = [f"{name} = tl.fma({name}_factor{j}, {name}_weights{j}, {name})" for j in rows]
        turn = [f"{name}_{kind}{j} = {name}_next_{kind}{j}" for kind in ("factor", "weights") for j in rows]
        return [
            f"{name} = zero" if feedback.addend is None else f"{name} = zero + {self.load(feedback.addend)}",
            "tl.debug_barrier()  # every thread sees what the others wrote in the step before",
            f"{name}_row = array{i} + (program * n + (program * 0 + stride{i}) * ({before}))",
            f"if n >= {UNROLLED}:",
            *(f"    {line}" for line in ("k = 0", *loads, *turn)),
            f"    for k in range({UNROLLED}, {whole}, {UNROLLED}):",
            *(f"        {line}" for line in (*loads, *sums, *turn)),
            *(f"    {line}" for line in sums),
            f"for k in range({whole}, n):",
            f"    {name}_factor0 = tl.load({factor}).to({self.dtype})",
            f"    {name}_weights0 = tl.load({weights}, mask=inside, other=0).to({self.dtype})",
            f"    {name} = tl.fma({name}_factor0, {name}_weights0, {name})",
        ]

    def load(self, array: Array, t: str = "t", mask: str = "inside") -> str:
        """The values of an array, at step ``t`` if it has steps."""
        return f"tl.load({self.at(array, t)}, mask={mask}, other=0).to({self.dtype})"

    def store(self, array: Array, value: str, t: str = "t") -> str:
        """The line that stores a value."""
        value = f"({value}).to(tl.uint8)" if array.kind == "bytes" else value
        return f"tl.store({self.at(array, t)}, {value}, mask=inside)"

    def at(self, array: Array, t: str) -> str:
        i = self.places[array]
        return f"array{i} + lane" if array.kind == "lane" else f"array{i} + (lane + (lane * 0 + stride{i}) * ({t}))"

    def operation(self, op: str, arguments: list[int], names: dict[int, str]) -> str:
        """The value of a node."""
        if op == "spike":
            return f"tl.where({names[arguments[0]]} {'>=' if arguments[1] else '>'} 0, zero + 1, zero)"
        args = [names[j] for j in arguments]
        a, b = args[0], args[-1]
        if op in _COMPARISONS:
            return f"{a} {_COMPARISONS[op]} {b}"
        if op in _LIBRARY:
            return f"libdevice.{op}({', '.join(args)})"
        if op in _EXTREMES:
            function, other = _EXTREMES[op]
            return f"tl.{function}({a}, {other or b}, propagate_nan=tl.PropagateNan.ALL)"
        return {
            "add": f"{a} + {b}",
            "sub": f"{a} - {b}",
            "mul": f"{a} * {b}",
            "div": f"{a} / {b}" if self.double else f"tl.div_rn({a}, {b})",
            "neg": f"-{a}",
            "abs": f"tl.abs({a})",
            "sqrt": f"tl.sqrt({a})" if self.double else f"tl.sqrt_rn({a})",
            "sign": f"tl.where({a} > 0, zero + 1, zero) - tl.where({a} < 0, zero + 1, zero)",
            "sigmoid": f"1 / (1 + libdevice.exp(-{a}))"
            if self.double
            else f"tl.div_rn(zero + 1, 1 + libdevice.exp(-{a}))",
            "where": f"tl.where({', '.join(args)})",
            "detach": a,
            "number_of": f"tl.where({a}, zero + 1, zero)",
            "and": f"{a} & {b}",
            "or": f"{a} | {b}",
            "not": f"{a} == 0",
        }[op]
