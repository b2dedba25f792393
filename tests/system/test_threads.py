"""Threads of processes: waiting ones sleep unless the user says otherwise, and the kernels' survive a fork."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from snnrun.system import threads

# Loads torch's OpenMP runtime, which then prints what it read from the environment; torch itself takes seconds.
LOAD = """
import ctypes, sys
if {before}:
    sys.modules["torch"] = None
import snnrun
ctypes.CDLL(sys.argv[1])
"""


@pytest.fixture(scope="module")
def openmp() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    libraries = sorted((Path(spec.origin).parent / "lib").glob("libgomp*.so*"))
    if not libraries:
        pytest.skip("torch has no GNU OpenMP runtime of its own here")
    return libraries[0]


def spins(openmp: Path, *, before: bool = False, **environ: str) -> int:
    """How often a waiting thread spins before it sleeps, where OpenMP is loaded after ``import snnrun``."""
    clean = {name: value for name, value in os.environ.items() if name not in threads.OWN}
    process = subprocess.run(
        [sys.executable, "-c", LOAD.format(before=before), str(openmp)],
        env={**clean, "OMP_DISPLAY_ENV": "VERBOSE", **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    match = re.search(r"GOMP_SPINCOUNT = '(\d+)'", process.stderr)
    assert match
    return int(match[1])


def test_threads_sleep_after_import_snnrun(openmp: Path) -> None:
    assert spins(openmp) == 0


def test_the_user_decides(openmp: Path) -> None:
    assert spins(openmp, OMP_WAIT_POLICY="PASSIVE") == 0
    assert spins(openmp, OMP_WAIT_POLICY="ACTIVE") > 1_000_000
    assert spins(openmp, GOMP_SPINCOUNT="1234") == 1234
    assert spins(openmp, KMP_BLOCKTIME="200") == 0


def test_nothing_is_set_once_torch_is_loaded(openmp: Path) -> None:
    """The environment would say what is not so, and the record would repeat it."""
    environ: dict[str, str] = {}
    import torch  # noqa: F401

    assert not threads.sleep_while_waiting(environ)
    assert environ == {}
    assert spins(openmp, before=True) > 0


FORK = """
    import os, sys
    import torch
    from snnrun.neuron import LIF
    from snnrun.sequence import run

    torch.set_num_threads(2)

    def total():
        x = torch.rand(20, 8, 600, generator=torch.Generator().manual_seed(1)).requires_grad_()
        trace, _ = run(LIF(0.9), x, backend="fused")
        # Nothing large is left to torch itself, whose OpenMP does not survive a fork.
        (grad,) = torch.autograd.grad(trace.spikes, x, torch.ones(1).expand(trace.spikes.shape))
        return float(grad.numpy().sum())

    {before}
    child = os.fork()
    if not child:
        found = total()
        os._exit(0 if found else 1)
    status = os.waitpid(child, 0)[1]
    total()
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("before", ["total()", "torch.ones(1 << 22).sum()", ""], ids=["kernels", "torch", "nothing"])
def test_a_fork_has_threads_of_its_own(before: str) -> None:
    code = textwrap.dedent(FORK).format(before=before)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
