"""Kernels for the CPU: a program, run over all time steps, compiled by LLVM in memory.

A kernel goes through blocks of neurons small enough for the nearest cache; within a block through time; within a time
step through the block, a vector of neurons at a time. The state stays in a buffer of the block, so memory is touched
only for what comes in and what is recorded. Compiling takes some ten milliseconds, so nothing is kept on disk.

Neurons are independent of each other here, so any split of them between threads gives the same bits. What must be
summed over neurons or samples is summed afterwards, in one order.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import torch
from torch import Tensor

from snnrun.pool import spread
from snnrun.sequence.expression import Writer, write
from snnrun.sequence.kernel import Array, Kernel
from snnrun.sequence.program import Program

#: Bytes of a block of one quantity.
BLOCK = 2048
DTYPES = (torch.float32, torch.float64)


def supports(x: Tensor) -> bool:
    """Whether these kernels can run on ``x``: a float32 or float64 tensor in the CPU's memory."""
    return x.device.type == "cpu" and x.dtype in DTYPES


def call(kernel: Kernel, numbers: Sequence[float], tensors: dict[str, Tensor], steps: int, like: Tensor) -> None:
    """Run ``kernel`` on arrays given by name, over ``steps`` steps of ``like.numel()`` neurons.

    Tensors are contiguous; those of kind ``strided`` may have stride 0 in time.
    """
    double = like.dtype == torch.float64
    width = 8 if double else 16
    lanes = like.numel()
    arrays = kernel.arrays()
    pointers = (ctypes.c_void_p * (len(arrays) + 1))(*(tensors[array.name].data_ptr() for array in arrays), None)
    strides = (ctypes.c_int64 * (len(arrays) + 1))(
        *(lanes if tensors[array.name].stride(0) else 0 for array in arrays), 0
    )
    kind = ctypes.c_double if double else ctypes.c_float
    values = (kind * (len(numbers) + 1))(*numbers, 0.0)
    vectors, single = _compiled(kernel, double, width), None
    if lanes % width:
        single = _compiled(kernel, double, 1)
    whole = lanes - lanes % width

    def work(low: int, high: int) -> None:
        if low < whole:
            vectors(pointers, strides, values, steps, lanes, low, min(high, whole))
        if high > whole and single is not None:
            single(pointers, strides, values, steps, lanes, max(low, whole), high)

    spread(work, lanes, steps * lanes, width)


@functools.lru_cache(maxsize=1024)
def _compiled(kernel: Kernel, double: bool, width: int) -> Callable[..., None]:
    engine = _engine(_source(kernel, double, width))
    function: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 4)(
        engine.get_function_address("kernel")
    )
    function.engine = engine  # the code lives as long as its engine
    return function


def _engine(source: str) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(source)
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )
    # No pass over the code before: it is written in vectors already, and what LLVM's passes found here changed no time
    # but that of compiling, which they doubled.
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def _source(kernel: Kernel, double: bool, width: int) -> str:
    """The code of ``kernel``: ``void kernel(pointers, strides, numbers, steps, lanes, low, high)``."""
    program = Program()
    program.nodes = list(kernel.nodes)
    w = Writer(double=double, width=width)
    arrays = kernel.arrays()
    place = {array: i for i, array in enumerate(arrays)}
    size = BLOCK // (8 if double else 4)

    # Once: addresses, numbers, and the buffers of a block.
    w.label("entry")
    w.line("%last_step = sub i64 %steps, 1")
    base, step_of = [], []
    for i in range(len(arrays)):
        base.append(w.let(f"load ptr, ptr {w.at('%pointers', str(i), 'ptr')}, align 8"))
        step_of.append(w.let(f"load i64, ptr {w.at('%strides', str(i), 'i64')}, align 8"))
    names: dict[int, str] = {}
    for i, (op, *args) in enumerate(program.nodes):
        if op in ("number", "scalar"):
            j = args[0] if op == "number" else kernel.numbers + args[0]
            names[i] = w.spread(w.let(f"load {w.scalar}, ptr {w.at('%numbers', str(j))}"))
    buffers = {leaf: w.let(f"alloca {w.scalar}, i64 {size}, align 64") for leaf, _, _ in kernel.carries}
    totals = {node: w.let(f"alloca {w.scalar}, i64 {size}, align 64") for node, _ in kernel.sums}
    w.line("br label %blocks")

    w.label("blocks")
    w.line("%begin = phi i64 [ %low, %entry ], [ %next_begin, %block_end ]")
    w.line("%more_blocks = icmp slt i64 %begin, %high")
    w.line("br i1 %more_blocks, label %block, label %done")
    w.label("block")
    w.line(f"%next_begin = add i64 %begin, {size}")
    w.line("%left = sub i64 %high, %begin")
    w.line(f"%short = icmp slt i64 %left, {size}")
    w.line(f"%n = select i1 %short, i64 %left, i64 {size}")

    def strips(name: str, body: Callable[[str, str], None], follows: str) -> None:
        """A loop over the vectors of the block; ``body`` gets the place in the block and the neuron."""
        w.line(f"br label %{name}_enter")
        w.label(f"{name}_enter")
        w.line(f"br label %{name}")
        w.label(name)
        w.line(f"%{name}_i = phi i64 [ 0, %{name}_enter ], [ %{name}_next, %{name} ]")
        lane = w.let(f"add i64 %begin, %{name}_i")
        body(f"%{name}_i", lane)
        w.line(f"%{name}_next = add i64 %{name}_i, {width}")
        w.line(f"%{name}_more = icmp slt i64 %{name}_next, %n")
        w.line(f"br i1 %{name}_more, label %{name}, label %{follows}")

    def begin(i: str, lane: str) -> None:
        for leaf, _, array in kernel.carries:
            first = w.every(0.0) if array is None else w.load(base[place[array]], lane)
            w.store(first, buffers[leaf], i)
        for node, _ in kernel.sums:
            w.store(w.every(0.0), totals[node], i)

    strips("first", begin, "time")

    w.label("time")
    start, end, increment = ("%last_step", "-1", -1) if kernel.backwards else ("0", "%steps", 1)
    w.line(f"%t = phi i64 [ {start}, %first ], [ %next_t, %time_next ]")
    rows: dict[Array, str] = {}
    for array in arrays:
        pointer = base[place[array]]
        if array.kind in ("time", "strided", "bytes"):
            distance = step_of[place[array]] if array.kind == "strided" else "%lanes"
            rows[array] = w.at(pointer, w.let(f"mul i64 %t, {distance}"), "i8" if array.kind == "bytes" else None)
    earlier: dict[int, str] = {}
    if kernel.before:
        w.line("%earlier = sub i64 %t, 1")
        w.line("%is_first = icmp eq i64 %t, 0")
        for leaf, array, initial in kernel.before:
            at = w.at(base[place[array]], w.let("mul i64 %earlier, %lanes"), "i8" if array.kind == "bytes" else None)
            earlier[leaf] = w.let(f"select i1 %is_first, ptr {base[place[initial]]}, ptr {at}")

    def inner(i: str, lane: str) -> None:
        leaves = dict(names)
        for leaf, array in kernel.reads:
            pointer = rows.get(array, base[place[array]])
            leaves[leaf] = (w.load_bytes if array.kind == "bytes" else w.load)(pointer, lane)
        for leaf, array, _ in kernel.before:
            leaves[leaf] = (w.load_bytes if array.kind == "bytes" else w.load)(earlier[leaf], lane)
        for leaf, _, _ in kernel.carries:
            leaves[leaf] = w.load(buffers[leaf], i)
        wanted = [node for node, _ in (*kernel.sums, *kernel.writes)]
        wanted += [node for _, node, _ in kernel.carries if node is not None]
        values = write(w, program, wanted, leaves)
        for leaf, node, _ in kernel.carries:
            w.store(w.every(0.0) if node is None else values[node], buffers[leaf], i)
        for node, _ in kernel.sums:
            w.store(w.arithmetic("fadd", w.load(totals[node], i), values[node]), totals[node], i)
        for node, array in kernel.writes:
            (w.store_bytes if array.kind == "bytes" else w.store)(values[node], rows[array], lane)

    strips("inner", inner, "time_next")
    w.label("time_next")
    w.line(f"%next_t = add i64 %t, {increment}")
    w.line(f"%more_t = icmp ne i64 %next_t, {end}")
    w.line("br i1 %more_t, label %time, label %finish")
    w.label("finish")

    def finish(i: str, lane: str) -> None:
        for leaf, array in kernel.last:
            w.store(w.load(buffers[leaf], i), base[place[array]], lane)
        for node, array in kernel.sums:
            w.store(w.load(totals[node], i), base[place[array]], lane)

    strips("close", finish, "block_end")
    w.label("block_end")
    w.line("br label %blocks")
    w.label("done")
    w.line("ret void")

    arguments = "ptr %pointers, ptr %strides, ptr %numbers, i64 %steps, i64 %lanes, i64 %low, i64 %high"
    return "\n".join([*sorted(w.declarations), f"define void @kernel({arguments}) {{", *w.lines, "}"])
