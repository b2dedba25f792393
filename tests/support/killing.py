"""Runs of the command that are killed; a program of its own, since it forks.

Everything is imported once, and each run is a fork, so that a kill costs a second and not five. Standard input: a list
of commands, as JSON; standard output: what became of each.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path


def start(words: list[str]) -> int:
    """``snnrun`` with these words, in a process of its own; returns its number."""
    child = os.fork()
    if child:
        return child
    from snnrun.cli import main

    code = 1
    try:
        with (
            Path("terminal.txt").open("a") as terminal,
            contextlib.redirect_stdout(terminal),
            contextlib.redirect_stderr(terminal),
        ):
            code = main(words)
    finally:
        os._exit(code)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def unbroken(words: list[str]) -> float:
    """Run to the end; returns the seconds that took."""
    begin = time.monotonic()
    code = ended(start([*words, "hydra.run.dir=unbroken"]))
    if code:
        raise SystemExit(f"{words}: exit code {code}: {Path('terminal.txt').read_text()}")
    return time.monotonic() - begin


def broken(words: list[str], kills: int, seconds: float, chance: random.Random) -> dict[str, object]:
    """The same, killed so many times and resumed; says after how many steps it went on each time."""
    command, at = [*words, "hydra.run.dir=broken"], []
    for left in range(kills, -1, -1):
        child = start(command)
        if left:
            time.sleep(chance.uniform(0.02, seconds * 0.6))
            os.kill(child, signal.SIGKILL)
        code = ended(child)
        at.append(code)
        if Path("broken/config.yaml").exists():
            command = ["resume", "broken"]
        if Path("broken/result.json").exists():
            break
    return {"codes": at, "terminal": Path("terminal.txt").read_text()}


def main() -> None:
    import snnrun.run.execute  # noqa: F401  (before the first fork)

    jobs, home, results = json.load(sys.stdin), Path.cwd(), []
    chance = random.Random(0)
    for i, (words, kills) in enumerate(jobs):
        folder = home / str(i)
        folder.mkdir()
        os.chdir(folder)
        results.append(broken(words, kills, unbroken(words), chance))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
