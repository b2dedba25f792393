"""Compiles LLVM code in memory."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding as llvm

_KINDS = {"p": ctypes.c_void_p, "i": ctypes.c_int64}


def compile_code(source: str, signatures: Mapping[str, str]) -> dict[str, Callable[..., None]]:
    """The functions of ``source`` by name; a signature has a letter per argument, ``p`` pointer or ``i`` integer."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(source)
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )
    # Without optimisation passes: the code is already vectorised, and LLVM's passes only doubled the compile time.
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    functions: dict[str, Callable[..., None]] = {}
    for name, signature in signatures.items():
        kind = ctypes.CFUNCTYPE(None, *(_KINDS[each] for each in signature))
        call: Any = kind(engine.get_function_address(name))
        call.engine = engine  # the code lives as long as its engine
        functions[name] = call
    return functions


@functools.cache
def has_wide_vectors() -> bool:
    """True if the processor has vectors of 512 bits, and registers for 32 of them."""
    return bool(llvm.get_host_cpu_features().get("avx512f"))
