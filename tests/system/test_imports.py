"""What is imported before a run, and that the garbage collector works afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc, sys
from snnrun.cli import imports
if {off}:
    gc.disable()
imports.load({command!r})
frozen = gc.get_freeze_count()
imports.load({command!r})
print(gc.isenabled(), frozen > 100_000, gc.get_freeze_count() <= frozen)
print(*({{"torch", "torch._dynamo", "sklearn", "matplotlib", "torchinfo"}} & set(sys.modules)))
"""


def load(command: str, *, off: bool = False) -> list[list[str]]:
    script = SCRIPT.format(command=command, off=off)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [sorted(line.split()) for line in done.stdout.splitlines()]


def test_training_has_all_it_needs_and_the_collector_works_on() -> None:
    assert load("train") == [["True", "True", "True"], ["torch", "torch._dynamo"]]


@pytest.mark.parametrize("command", ["simulate", "plot"])
def test_looking_needs_no_optimizer(command: str) -> None:
    assert load(command)[1] == ["torch"]


def test_a_collector_that_was_off_stays_off() -> None:
    assert load("plot", off=True)[0] == ["False", "True", "True"]


def test_a_launch_does_not_wait_for_what_the_end_of_a_sweep_needs() -> None:
    script = "import sys; from snnrun.cli import launch; print('snnrun.sweep.page.statistics' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
