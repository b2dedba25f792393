"""Writes a kernel as LLVM code.

A kernel loops over blocks of neurons; within a block over time; within a time step over the vectors of the block. The
state stays in a buffer of the block, so memory is used only for inputs and records. A kernel with a replay runs over
the time of each block twice; its scratch arrays never leave the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from snnrun.sequence.kernel.expression import write
from snnrun.sequence.kernel.kernel import Array, Kernel
from snnrun.sequence.kernel.readout_product import ProductCode, loop_over_samples
from snnrun.sequence.record.program import Program
from snnrun.system.llvm.writer import Writer

_ARGUMENTS = (
    *("ptr %pointers", "ptr %strides", "ptr %numbers", "ptr %scratch"),
    *("i64 %size", "i64 %steps", "i64 %lanes", "i64 %low", "i64 %high"),
)

#: Most outputs of a read-out product for which two steps at a time fit the registers.
_UNROLLED = 12


def code(kernel: Kernel, most: int, *, double: bool, width: int) -> str:
    """The function ``void kernel(pointers, strides, numbers, scratch, size, steps, lanes, low, high)``.

    It runs ``kernel`` on the neurons from ``low`` to ``high`` in blocks of ``size``, a multiple of ``width`` and at
    most ``most``; ``scratch`` has room for ``steps`` times ``size`` numbers for each array of that kind. If the last
    vector would go beyond the end it begins earlier, and repeats some neurons with the same result. So ``high`` is at
    least ``width``.

    With a read-out product there is also ``void samples(…)``, which runs it on one sample after the other; see
    ``readout_product``.
    """
    w = Writer(double=double, width=width)
    # Once: addresses, numbers, and the buffers of a block.
    w.label("entry")
    w.line("%last_step = sub i64 %steps, 1")
    memory = _memory(w, kernel)
    product = None if kernel.product is None else ProductCode(w, kernel.product, memory.base)
    buffers = _Buffers(w, kernel.numbers, most)
    unroll = 2 if kernel.product and kernel.product.outputs <= _UNROLLED else 1
    passes = [_Pass("replay", kernel.replay, memory, buffers, None, unroll)] if kernel.replay else []
    passes.append(_Pass("main", kernel, memory, buffers, product, unroll))
    w.line("br label %blocks")

    w.label("blocks")
    w.line("%begin = phi i64 [ %low, %entry ], [ %next_begin, %block_end ]")
    w.line("%more_blocks = icmp slt i64 %begin, %high")
    w.line("br i1 %more_blocks, label %block, label %done")
    w.label("block")
    w.line("%next_begin = add i64 %begin, %size")
    w.line("%left = sub i64 %high, %begin")
    w.line("%short = icmp slt i64 %left, %size")
    w.line("%n = select i1 %short, i64 %left, i64 %size")
    w.line(f"%last_vector = sub i64 %n, {width}")
    for each_pass in passes:
        each_pass.over_time()
    if product and kernel.backwards:
        product.add_outer_products(memory.base, "block_end")
    else:
        w.line("br label %block_end")
    w.label("block_end")
    w.line("br label %blocks")
    w.label("done")
    w.line("ret void")
    arguments = (*_ARGUMENTS, *(product.arguments if product else ()))
    written = [*sorted(w.declarations), f"define void @kernel({', '.join(arguments)}) {{", *w.lines, "}"]
    if product:
        written.append(loop_over_samples(_ARGUMENTS, product.arguments))
    return "\n".join(written)


class _Memory(NamedTuple):
    """The addresses of arrays.

    Attributes:
        base: the address of each array.
        step_of: the distance from one step to the next, for arrays over time.
    """

    base: dict[Array, str]
    step_of: dict[Array, str]


def _memory(w: Writer, kernel: Kernel) -> _Memory:
    base: dict[Array, str] = {}
    step_of: dict[Array, str] = {}
    for i, array in enumerate(kernel.arrays()):
        base[array] = w.let(f"load ptr, ptr {w.at('%pointers', str(i), 'ptr')}, align 8")
        if array.kind == "strided":
            step_of[array] = w.let(f"load i64, ptr {w.at('%strides', str(i), 'i64')}, align 8")
        elif array.kind != "lane":
            step_of[array] = "%lanes"
    scratch = kernel.scratch()
    if scratch:
        each = w.let("mul i64 %steps, %size")
        base |= {array: w.at("%scratch", w.let(f"mul i64 {each}, {i}")) for i, array in enumerate(scratch)}
        step_of |= dict.fromkeys(scratch, "%size")
    return _Memory(base, step_of)


class _Buffers(NamedTuple):
    """The numbers and buffers of passes; tensors of one number come after ``numbers`` others."""

    w: Writer
    numbers: int
    most: int  # neurons of a block

    def constants(self, program: Program) -> dict[int, str]:
        """The number nodes, each as a vector."""
        w, constants = self.w, {}
        for i, (op, *args) in enumerate(program.nodes):
            if op in ("number", "scalar"):
                j = args[0] if op == "number" else self.numbers + args[0]
                constants[i] = w.spread(w.let(f"load {w.scalar}, ptr {w.at('%numbers', str(j))}"))
        return constants

    def of_block(self) -> str:
        """Room for one quantity of a block."""
        # Half a block apart: a load would have to wait for an earlier store to an address with the same last 12 bits.
        return self.w.let(f"alloca {self.w.scalar}, i64 {self.most + self.most // 2}, align 64")


class _Pass:
    """One run of a block over time, ``unroll`` steps at a time while enough steps remain."""

    def __init__(
        self, name: str, kernel: Kernel, memory: _Memory, buffers: _Buffers, product: ProductCode | None, unroll: int
    ) -> None:
        self.w, self.name, self.kernel, self.memory = buffers.w, name, kernel, memory
        self.product, self.unroll = product, unroll
        self.program = Program(kernel.nodes)
        self.constants = buffers.constants(self.program)
        self.state = {leaf: buffers.of_block() for leaf, _, _ in kernel.carries}
        self.totals = {node: buffers.of_block() for node, _ in kernel.sums}

    def over_time(self) -> None:
        """The code for a block."""
        w, kernel, name, base = self.w, self.kernel, self.name, self.memory.base

        def begin(i: str, lane: str) -> list[str]:
            for leaf, _, array in kernel.carries:
                w.store(w.every(0.0) if array is None else w.load(base[array], lane), self.state[leaf], i)
            for node, _ in kernel.sums:
                w.store(w.every(0.0), self.totals[node], i)
            return []

        start, end = ("%last_step", "-1") if kernel.backwards else ("0", "%steps")
        before = f"{name}_first"
        self._strips(before, begin, f"{name}_time")
        if self.unroll > 1:
            w.label(f"{name}_time")
            rest = w.let(f"srem i64 %steps, {self.unroll}")
            middle = w.let(f"sub i64 {rest}, 1" if kernel.backwards else f"sub i64 %steps, {rest}")
            w.line(f"br label %{name}_many")
            self._steps(f"{name}_many", self.unroll, f"{name}_time", start, middle, f"{name}_one")
            self._steps(f"{name}_one", 1, f"{name}_many", middle, end, f"{name}_finish")
        else:
            self._steps(f"{name}_time", 1, before, start, end, f"{name}_finish")
        w.label(f"{name}_finish")

        def finish(i: str, lane: str) -> list[str]:
            for leaf, array in kernel.last:
                w.store(w.load(self.state[leaf], i), base[array], lane)
            for node, array in kernel.sums:
                w.store(w.load(self.totals[node], i), base[array], lane)
            return []

        self._strips(f"{name}_close", finish, f"{name}_end")
        w.label(f"{name}_end")

    def _steps(self, name: str, count: int, before: str, start: str, end: str, follows: str) -> None:
        """A loop from step ``start`` to before ``end``, ``count`` steps at a time; possibly empty."""
        w, kernel, product = self.w, self.kernel, self.product
        onwards = -1 if kernel.backwards else 1
        w.label(name)
        w.line(f"%{name}_t = phi i64 [ {start}, %{before} ], [ %{name}_t_next, %{name}_next ]")
        w.line(f"%{name}_more = icmp ne i64 %{name}_t, {end}")
        w.line(f"br i1 %{name}_more, label %{name}_row, label %{follows}")
        w.label(f"{name}_row")
        times = [f"%{name}_t", *(w.let(f"add i64 %{name}_t, {k * onwards}") for k in range(1, count))]
        steps = [_StepCode(self, t, count * onwards) for t in times]
        gradients = [product.row(t) for t in times] if product and kernel.backwards else []

        def inner(i: str, lane: str) -> list[str]:
            state = {leaf: w.load(buffer, i) for leaf, buffer in self.state.items()}
            totals = {node: w.load(buffer, i) for node, buffer in self.totals.items()}
            outputs = product.values(gradients, i) if product and kernel.backwards else []
            factors = []
            for k, step in enumerate(steps):
                further = {product.of.node: outputs[k]} if product and outputs else {}
                values = step.write(i, lane, state | further)
                state = {leaf: w.every(0.0) if node is None else values[node] for leaf, node, _ in kernel.carries}
                totals = {node: w.arithmetic("fadd", total, values[node]) for node, total in totals.items()}
                if product:
                    factors.append(values[product.of.node])
            for leaf, buffer in self.state.items():
                w.store(state[leaf], buffer, i)
            for node, buffer in self.totals.items():
                w.store(totals[node], buffer, i)
            return product.add(f"{name}_inner", factors, i) if product and not kernel.backwards else []

        sums = self._strips(f"{name}_inner", inner, f"{name}_next")
        w.label(f"{name}_next")
        if product and sums:
            for k, t in enumerate(times):
                product.write_row(sums[k * product.of.outputs : (k + 1) * product.of.outputs], t)
        w.line(f"%{name}_t_next = add i64 %{name}_t, {count * onwards}")
        w.line(f"br label %{name}")

    def _strips(self, name: str, body: Callable[[str, str], list[str]], follows: str) -> list[str]:
        """A loop over the vectors of the block; ``body`` gets the place in the block and the neuron.

        It returns the new values of sums that begin at zero; their old values are ``%<name>_sum<j>``.
        """
        w = self.w
        w.line(f"br label %{name}_enter")
        w.label(f"{name}_enter")
        w.line(f"br label %{name}")
        w.label(name)
        w.line(f"%{name}_i = phi i64 [ 0, %{name}_enter ], [ %{name}_next, %{name} ]")
        top = len(w.lines)
        inside = w.let(f"icmp slt i64 %{name}_i, %last_vector")
        lane = w.let(f"add i64 %begin, {w.let(f'select i1 {inside}, i64 %{name}_i, i64 %last_vector')}")
        sums = body(f"%{name}_i", lane)
        w.lines[top:top] = [
            f"  %{name}_sum{j} = phi {w.vector} [ {w.every(0.0)}, %{name}_enter ], [ {new}, %{name} ]"
            for j, new in enumerate(sums)
        ]
        w.line(f"%{name}_next = add i64 %{name}_i, {w.width}")
        w.line(f"%{name}_more = icmp slt i64 %{name}_next, %n")
        w.line(f"br i1 %{name}_more, label %{name}, label %{follows}")
        return sums


class _StepCode:
    """The code of one step within a pass."""

    def __init__(self, of: _Pass, t: str, onwards: int) -> None:
        """Write the code common to all neurons. The memory of step ``onwards`` is prefetched meanwhile."""
        self.of, self.w = of, of.w
        w, kernel, (base, step_of) = of.w, of.kernel, of.memory
        self.rows = {}
        for array in sorted({each for _, each in (*kernel.reads, *kernel.writes)}):
            self.rows[array] = base[array]
            if array in step_of:
                self.rows[array] = w.at(base[array], w.let(f"mul i64 {t}, {step_of[array]}"), _element(array))
        # A later step's row is too far away for automatic prefetching, and a store that waits for its cache line blocks
        # all later stores.
        self.ahead = {}
        for array, pointer in self.rows.items():
            if array in step_of and array.kind != "scratch":
                self.ahead[array] = w.at(pointer, w.let(f"mul i64 {step_of[array]}, {onwards}"), _element(array))
        self.is_first = w.let(f"icmp eq i64 {t}, 0") if kernel.before else ""
        self.earlier: dict[int, str] = {}
        for leaf, array, initial in kernel.before:
            before = w.let(f"sub i64 {t}, 1")
            at = w.at(base[array], w.let(f"mul i64 {before}, {step_of[array]}"), _element(array))
            self.earlier[leaf] = w.let(f"select i1 {self.is_first}, ptr {base[initial]}, ptr {at}")

    def write(self, i: str, lane: str, leaves: dict[int, str]) -> dict[int, str]:
        """The nodes for a vector of neurons; ``leaves``: nodes of the state, and of a read-out product."""
        w, kernel = self.w, self.of.kernel
        # Scratch arrays are indexed by the place in the block, all others by the neuron.
        place = {"scratch": i}
        for array, pointer in self.ahead.items():
            written = any(array == each for _, each in kernel.writes)
            w.prefetch(w.at(pointer, lane, _element(array)), write=written)
        leaves = self.of.constants | leaves
        leaves |= {
            leaf: self._load(array, self.rows[array], place.get(array.kind, lane)) for leaf, array in kernel.reads
        }
        if kernel.before:
            at_first = w.let(f"select i1 {self.is_first}, i64 {lane}, i64 {i}")
            for leaf, array, _ in kernel.before:
                leaves[leaf] = self._load(array, self.earlier[leaf], at_first if array.kind == "scratch" else lane)
        nodes = [node for node, _ in (*kernel.sums, *kernel.writes)]
        nodes += [node for _, node, _ in kernel.carries if node is not None]
        nodes += [kernel.product.node] if kernel.product else []
        values = write(w, self.of.program, nodes, leaves)
        for node, array in kernel.writes:
            store = w.store_bytes if array.kind == "bytes" else w.store
            store(values[node], self.rows[array], place.get(array.kind, lane))
        return values

    def _load(self, array: Array, pointer: str, place: str) -> str:
        return (self.w.load_bytes if array.kind == "bytes" else self.w.load)(pointer, place)


def _element(array: Array) -> str | None:
    return "i8" if array.kind == "bytes" else None
