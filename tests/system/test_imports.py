"""What is imported before a run, and that the garbage collector works afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.made_up import make_run
from support.swept import make_sweep

SCRIPT = """
import gc, sys
from snnrun.run import imports
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
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [sorted(line.split()) for line in process.stdout.splitlines()]


def test_training_has_all_it_needs_and_the_collector_works_on() -> None:
    assert load("train") == [["True", "True", "True"], ["torch", "torch._dynamo"]]


@pytest.mark.parametrize("command", ["simulate", "plot"])
def test_looking_needs_no_optimizer(command: str) -> None:
    assert load(command)[1] == ["torch"]


def test_a_collector_that_was_off_stays_off() -> None:
    assert load("plot", off=True)[0] == ["False", "True", "True"]


def test_a_launch_does_not_wait_for_what_the_end_of_a_sweep_needs() -> None:
    script = "import sys; from snnrun.cli import launch; print('snnrun.sweep.page.statistics' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["False"]


TYPO = """
import contextlib, io, json, sys
from snnrun.cli import main
for words in json.load(sys.stdin):
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        code = main(words)
    print(json.dumps([code, "torch" in sys.modules, error.getvalue()]))
"""


def test_a_typo_is_found_without_torch() -> None:
    lines = [
        *[("epoch=5",), ("neuron=liff",), ("neuron.bet=0.9",), ("epochs=five",), ("--epochs", "5"), ("seed=-1",)],
        *[("--train",), ("trian", "epochs=1"), ("T=10",), ("optimzer.lr=0.1",), ("seed=0,1",), ("name=Übung",)],
    ]
    script = [sys.executable, "-c", TYPO]
    process = subprocess.run(script, input=json.dumps(lines), capture_output=True, text=True, check=True)
    for words, line in zip(lines, process.stdout.splitlines(), strict=True):
        code, has_torch, error = json.loads(line)
        assert (code, has_torch) == (2, False), words
        assert words[0].partition("=")[0].strip("-") in error


def test_looking_imports_neither_torch_nor_hydra(tmp_path: Path) -> None:
    make_run(tmp_path / "outputs" / "run")
    script = (
        "import sys; from snnrun.cli import main\n"
        "for words in (['runs'], ['show', 'run'], ['diff', 'run', 'run'], ['show', '--help']): main(words)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'hydra', 'omegaconf', 'numpy'}))"
    )
    process = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "[]"


def test_a_report_loads_neither_torch_nor_matplotlib(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, seeds=2)
    script = (
        "import sys; from snnrun.cli import main; "
        "print(main(sys.argv[1:]), {'torch', 'matplotlib', 'hydra'} & set(sys.modules))"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, "report", str(folder)], capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines()[-1] == "0 set()"


def test_help_lists_and_version_import_neither_torch_nor_hydra() -> None:
    script = (
        "import sys; from snnrun.cli import main\n"
        "for words in (['--help'], ['list'], ['list', 'neuron', 'lif'], ['--version'], ['list', 'x']): main(words)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'hydra', 'omegaconf', 'numpy'}))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "[]"


def test_help_of_simulate_imports_neither_torch_nor_hydra() -> None:
    script = (
        "import sys; from snnrun.cli import main\n"
        "for words in (['simulate', '--help'], ['plot', '-h'], ['list', 'input']): main(words)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'hydra', 'numpy', 'matplotlib'}))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "[]"


def test_the_report_is_light_to_import() -> None:
    heavy = {"torch", "matplotlib", "torchinfo", "rich", "numpy"}
    script = f"import sys, snnrun.report; print(sorted({heavy!r} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
    script = "import sys\nfrom snnrun.report import *\nfrom snnrun.config.settings import Style\n"
    script += "loss_figure([], 'x', Style())\nprint('matplotlib.pyplot' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False"


def test_importing_the_tasks_imports_none_of_the_data_packages() -> None:
    script = "import sys, snnrun.task; print({'sklearn', 'mlxtend', 'torchvision', 'pandas'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "set()"


def test_the_digits_are_read_without_scikit_learn() -> None:
    script = """
import sys
from pathlib import Path
from snnrun.task import Digits
Digits().read(Path("unused"))
print("sklearn" in sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False", "it takes a second"


def test_import_is_light_and_every_name_is_there() -> None:
    script = (
        "import sys, snnrun\n"
        "print([name for name in ('torch', 'numpy', 'hydra', 'matplotlib', 'sklearn', 'yaml')"
        " if name in sys.modules])\n"
        "assert all(getattr(snnrun, name) is not None for name in snnrun.__all__)\n"
        "assert set(snnrun.__all__) <= set(dir(snnrun))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"
