"""Runs ``docs/notebooks/analyse_a_run.ipynb`` from top to bottom; with ``--write`` its outputs are written anew.

    python docs/make_notebook.py [--write]

It needs nbclient and ipykernel, which the extra ``dev`` has. An error in a cell ends it with that cell's traceback.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "notebooks" / "analyse_a_run.ipynb"


class ThisPython(KernelManager):
    """A kernel of the Python that runs this file, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def main(write: bool) -> None:
    """Run the notebook in an empty folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, km=ThisPython(), timeout=300, resources={"metadata": {"path": folder}}).execute()
        here = str(Path(folder).resolve())
    if not write:
        return
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            _replace(output, here, "~/snn")  # the folder is of this machine
    nbformat.write(notebook, NOTEBOOK)


def _replace(output: Any, old: str, new: str) -> None:
    """Replace text wherever it stands in an output."""
    for key, value in output.items():
        if isinstance(value, str):
            output[key] = value.replace(old, new)
        elif isinstance(value, dict):
            _replace(value, old, new)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
