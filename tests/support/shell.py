"""The command as a user starts it: a process of its own, through a pipe or on a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

#: What would change the command's words or its speed is left out of its environment.
VARIABLES_LEFT_OUT = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "SNNRUN_DEBUG", "TTY_COMPATIBLE", "PYTHONWARNINGS")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in the folder and below, by its path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Run:
    """The folder that a run left."""

    folder: Path

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def json(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = strict(self.text(name))
        return content

    @property
    def result(self) -> dict[str, Any]:
        return self.json("result.json")

    @property
    def manifest(self) -> dict[str, Any]:
        return self.json("manifest.json")

    def metrics(self, kind: str) -> list[dict[str, Any]]:
        records = [strict(line) for line in self.text("metrics.jsonl").splitlines()]
        return [record for record in records if record["kind"] == kind]


@dataclass(frozen=True)
class CommandResult:
    """A command that has ended."""

    code: int
    out: str
    err: str
    cwd: Path

    @property
    def runs(self) -> list[Run]:
        """The runs in the working directory, in the order of their jobs."""
        return [Run(path.parent) for path in sorted(self.cwd.rglob("config.yaml")) if path.parent.name != ".hydra"]

    @property
    def run(self) -> Run:
        """The one run."""
        (run,) = self.runs
        return run


def program() -> list[str]:
    """The installed command ``snnrun``, or where it is not on the path ``python -m snnrun``."""
    script = Path(sysconfig.get_path("scripts")) / "snnrun"
    return [str(script)] if script.exists() else [sys.executable, "-m", "snnrun"]


def environment(**changes: str) -> dict[str, str]:
    variables = {key: value for key, value in os.environ.items() if key not in VARIABLES_LEFT_OUT}
    # One thread: the networks are small, and threads that wait for each other are slow on a busy machine.
    return {**variables, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **changes}


def snnrun(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> CommandResult:
    """Run ``snnrun WORDS`` in the folder ``cwd``, its output into pipes."""
    cwd.mkdir(parents=True, exist_ok=True)
    process = subprocess.run(
        [*program(), *words], cwd=cwd, env=environment(**env or {}), capture_output=True, timeout=300, check=False
    )
    return CommandResult(process.returncode, process.stdout.decode(), process.stderr.decode(), cwd)


def on_a_terminal(*words: str, cwd: Path, env: Mapping[str, str] | None = None, width: int = 100) -> CommandResult:
    """The same on a pseudo-terminal, where stdout and stderr are one: all of it is in ``out``."""
    import fcntl
    import pty
    import struct
    import termios

    cwd.mkdir(parents=True, exist_ok=True)
    outside, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    with subprocess.Popen(
        [*program(), *words], cwd=cwd, env=environment(**env or {}), stdin=inside, stdout=inside, stderr=inside
    ) as process:
        os.close(inside)
        output = b"".join(_chunks(outside))
        code = process.wait(timeout=300)
    os.close(outside)
    return CommandResult(code, output.decode(), "", cwd)


def _chunks(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux's word for the end of a terminal
            return
        if not chunk:
            return
        yield chunk


def strict(text: str) -> Any:
    """Strict JSON: NaN and Infinity are refused."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)
