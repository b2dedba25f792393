"""Writes a kernel as LLVM code.

A kernel goes through blocks of neurons; within a block through time; within a time step through the block, a vector of
neurons at a time. The state stays in a buffer of the block, so memory is touched only for what comes in and what is
recorded. A kernel with a replay goes through the time of each block twice; what is kept in between never leaves the
cache.
"""

from __future__ import annotations

from collections.abc import Callable

from snnrun.sequence.expression import Writer, write
from snnrun.sequence.kernel import Array, Kernel
from snnrun.sequence.narrow_code import NarrowCode, loop_over_samples
from snnrun.sequence.program import Node, Program

_ARGUMENTS = (
    *("ptr %pointers", "ptr %strides", "ptr %numbers", "ptr %kept"),
    *("i64 %size", "i64 %steps", "i64 %lanes", "i64 %low", "i64 %high"),
)


def code(kernel: Kernel, most: int, *, double: bool, width: int) -> str:
    """The function ``void kernel(pointers, strides, numbers, kept, size, steps, lanes, low, high)``.

    It runs ``kernel`` on the neurons from ``low`` to ``high`` in blocks of ``size``, a multiple of ``width`` and at
    most ``most``; ``kept`` has room for ``steps`` times ``size`` numbers for each array of that kind. Where the last
    vector would go beyond the end it begins as much earlier: some neurons then come to the same once more. So ``high``
    is at least ``width``.

    With a narrow product there is also ``void samples(…)``, which runs it on one sample after the other; see
    ``narrow_code``.
    """
    w = Writer(double=double, width=width)
    narrow = None if kernel.narrow is None else NarrowCode(w, kernel.narrow)
    passes = [_Pass(w, "replay", kernel.replay)] if kernel.replay else []
    passes.append(_Pass(w, "main", kernel, narrow))

    # Once: addresses, numbers, and the buffers of a block.
    w.label("entry")
    w.line("%last_step = sub i64 %steps, 1")
    base: dict[Array, str] = {}
    step_of: dict[Array, str] = {}
    for i, array in enumerate(kernel.arrays()):
        base[array] = w.let(f"load ptr, ptr {w.at('%pointers', str(i), 'ptr')}, align 8")
        if array.kind == "strided":
            step_of[array] = w.let(f"load i64, ptr {w.at('%strides', str(i), 'i64')}, align 8")
        elif array.kind != "lane":
            step_of[array] = "%lanes"
    kept = kernel.kept()
    if kept:
        each = w.let("mul i64 %steps, %size")
        base |= {array: w.at("%kept", w.let(f"mul i64 {each}, {i}")) for i, array in enumerate(kept)}
        step_of |= dict.fromkeys(kept, "%size")
    if narrow:
        narrow.prepare(base)
    for each_pass in passes:
        each_pass.prepare(kernel.numbers, most)
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
        each_pass.over_time(base, step_of)
    if narrow and kernel.backwards:
        narrow.add_outer_products(base, "block_end")
    else:
        w.line("br label %block_end")
    w.label("block_end")
    w.line("br label %blocks")
    w.label("done")
    w.line("ret void")
    arguments = (*_ARGUMENTS, *(narrow.arguments if narrow else ()))
    written = [*sorted(w.declarations), f"define void @kernel({', '.join(arguments)}) {{", *w.lines, "}"]
    if narrow:
        written.append(loop_over_samples(_ARGUMENTS, narrow.arguments))
    return "\n".join(written)


class _Pass:
    """One run of a block over time."""

    def __init__(self, w: Writer, name: str, kernel: Kernel, narrow: NarrowCode | None = None) -> None:
        self.w, self.name, self.kernel, self.narrow = w, name, kernel, narrow
        self.program = Program()
        self.program.nodes = list[Node](kernel.nodes)

    def prepare(self, numbers: int, most: int) -> None:
        """What is there for all blocks; tensors of one number come after ``numbers`` others."""
        w = self.w
        self.constants: dict[int, str] = {}
        for i, (op, *args) in enumerate(self.program.nodes):
            if op in ("number", "scalar"):
                j = args[0] if op == "number" else numbers + args[0]
                self.constants[i] = w.spread(w.let(f"load {w.scalar}, ptr {w.at('%numbers', str(j))}"))
        # Half a block apart: a load behind a store to an address that has its last 12 bits would have to wait.
        buffer = f"alloca {w.scalar}, i64 {most + most // 2}, align 64"
        self.state = {leaf: w.let(buffer) for leaf, _, _ in self.kernel.carries}
        self.totals = {node: w.let(buffer) for node, _ in self.kernel.sums}

    def over_time(self, base: dict[Array, str], step_of: dict[Array, str]) -> None:
        """The code for a block, for arrays at ``base``, with ``step_of`` from one step to the next."""
        w, kernel, name, narrow = self.w, self.kernel, self.name, self.narrow

        def begin(i: str, lane: str) -> list[str]:
            for leaf, _, array in kernel.carries:
                w.store(w.every(0.0) if array is None else w.load(base[array], lane), self.state[leaf], i)
            for node, _ in kernel.sums:
                w.store(w.every(0.0), self.totals[node], i)
            return []

        self._strips("first", begin, f"{name}_time")
        w.label(f"{name}_time")
        start, end, onwards = ("%last_step", "-1", -1) if kernel.backwards else ("0", "%steps", 1)
        t = f"%{name}_t"
        w.line(f"{t} = phi i64 [ {start}, %{name}_first ], [ {t}_next, %{name}_time_next ]")
        rows = {}
        for array in sorted({each for _, each in (*kernel.reads, *kernel.writes)}):
            rows[array] = base[array]
            if array in step_of:
                rows[array] = w.at(base[array], w.let(f"mul i64 {t}, {step_of[array]}"), _element(array))
        # The next step's row is far away, where no processor looks by itself; and a store that must wait for its place
        # in the cache holds up all that come after it.
        written = {array for _, array in kernel.writes}
        ahead = {}
        for array, pointer in rows.items():
            if array in step_of and array.kind != "kept":
                ahead[array] = w.at(pointer, w.let(f"mul i64 {step_of[array]}, {onwards}"), _element(array))
        earlier: dict[int, str] = {}
        if kernel.before:
            before = w.let(f"sub i64 {t}, 1")
            is_first = w.let(f"icmp eq i64 {t}, 0")
            for leaf, array, initial in kernel.before:
                at = w.at(base[array], w.let(f"mul i64 {before}, {step_of[array]}"), _element(array))
                earlier[leaf] = w.let(f"select i1 {is_first}, ptr {base[initial]}, ptr {at}")
        given = narrow.row(t) if narrow and kernel.backwards else []

        def load(array: Array, pointer: str, place: str) -> str:
            return (w.load_bytes if array.kind == "bytes" else w.load)(pointer, place)

        def inner(i: str, lane: str) -> list[str]:
            # What is kept is found by its place in the block, all else by the neuron.
            place = {"kept": i}
            at_first = w.let(f"select i1 {is_first}, i64 {lane}, i64 {i}") if kernel.before else lane
            for array, pointer in ahead.items():
                w.prefetch(w.at(pointer, lane, _element(array)), write=array in written)
            leaves = dict(self.constants)
            leaves |= {leaf: load(array, rows[array], place.get(array.kind, lane)) for leaf, array in kernel.reads}
            for leaf, array, _ in kernel.before:
                leaves[leaf] = load(array, earlier[leaf], at_first if array.kind == "kept" else lane)
            leaves |= {leaf: w.load(buffer, i) for leaf, buffer in self.state.items()}
            if narrow and kernel.backwards:
                leaves[narrow.of.node] = narrow.value(given, i)
            wanted = [node for node, _ in (*kernel.sums, *kernel.writes)]
            wanted += [node for _, node, _ in kernel.carries if node is not None]
            wanted += [narrow.of.node] if narrow else []
            values = write(w, self.program, wanted, leaves)
            for leaf, node, _ in kernel.carries:
                w.store(w.every(0.0) if node is None else values[node], self.state[leaf], i)
            for node, total in self.totals.items():
                w.store(w.arithmetic("fadd", w.load(total, i), values[node]), total, i)
            for node, array in kernel.writes:
                store = w.store_bytes if array.kind == "bytes" else w.store
                store(values[node], rows[array], place.get(array.kind, lane))
            return narrow.added(f"{name}_inner", values[narrow.of.node], i) if narrow and not kernel.backwards else []

        sums = self._strips("inner", inner, f"{name}_time_next")
        w.label(f"{name}_time_next")
        if narrow and sums:
            narrow.write_row(sums, t)
        w.line(f"{t}_next = add i64 {t}, {onwards}")
        w.line(f"%{name}_more_t = icmp ne i64 {t}_next, {end}")
        w.line(f"br i1 %{name}_more_t, label %{name}_time, label %{name}_finish")
        w.label(f"{name}_finish")

        def finish(i: str, lane: str) -> list[str]:
            for leaf, array in kernel.last:
                w.store(w.load(self.state[leaf], i), base[array], lane)
            for node, array in kernel.sums:
                w.store(w.load(self.totals[node], i), base[array], lane)
            return []

        self._strips("close", finish, f"{name}_end")
        w.label(f"{name}_end")

    def _strips(self, part: str, body: Callable[[str, str], list[str]], follows: str) -> list[str]:
        """A loop over the vectors of the block; ``body`` gets the place in the block and the neuron.

        It returns the new values of sums that begin at zero, whose old ones are ``%<pass>_<part>_sum<j>``.
        """
        w, name = self.w, f"{self.name}_{part}"
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


def _element(array: Array) -> str | None:
    return "i8" if array.kind == "bytes" else None
