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


def wait_for(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_whole(words: list[str]) -> int:
    """Run to the end; returns the number of records."""
    code = wait_for(start([*words, "hydra.run.dir=unbroken"]))
    if code:
        raise SystemExit(f"{words}: exit code {code}: {Path('terminal.txt').read_text()}")
    return records("unbroken")


def records(run: str) -> int:
    path = Path(run) / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def run_with_kills(words: list[str], kills: int, total: int, chance: random.Random) -> dict[str, object]:
    """The same, killed so many times and resumed.

    A kill comes a moment after a record that chance chooses, so that it does not matter how fast the machine is.
    """
    command, at = [*words, "hydra.run.dir=broken"], []
    for kills_to_come in range(kills, -1, -1):
        last = chance.uniform(0, 0.9 * total)
        child = start(command)
        if kills_to_come:
            while records("broken") < last and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
        code = wait_for(child)
        at.append(code)
        if Path("broken/config.yaml").exists():
            command = ["resume", "broken"]
        if Path("broken/result.json").exists():
            break
    return {"codes": at, "terminal": Path("terminal.txt").read_text()}


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))  # where the package `support` is
    from support.forked import warm

    warm()
    jobs, home, results = json.load(sys.stdin), Path.cwd(), []
    chance = random.Random(0)
    for i, (words, kills) in enumerate(jobs):
        folder = home / str(i)
        folder.mkdir()
        os.chdir(folder)
        results.append(run_with_kills(words, kills, run_whole(words), chance))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
