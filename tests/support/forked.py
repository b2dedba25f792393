"""``snnrun`` in a fork of a process that has imported everything: a process of its own, without the seconds of a start.

This file is also that process's program. Each line of its standard input is a command, as JSON: its words and folder,
or the number of a process that has them. It forks twice, so that several commands may run at once: for the command, and
for what waits until it has ended.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.paths import TESTS
from support.shell import CommandResult, environment


def snnrun(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> CommandResult:
    """Run ``snnrun WORDS`` in the folder ``cwd``, as :func:`support.shell.snnrun` does."""
    cwd.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        out, err, code = (Path(name) / stream for stream in ("out", "err", "code"))
        os.mkfifo(code)
        command = {"words": words, "cwd": str(cwd), "env": environment(**env or {}), "folder": name}
        stream = _program().stdin
        assert stream is not None
        # One write of a line: the threads of a test may send commands at the same time.
        stream.write((json.dumps(command) + "\n").encode())
        return CommandResult(int(code.read_text()), out.read_text(), err.read_text(), cwd)


#: Asks for a fork that does what this script is called with, and ends as the fork does.
SCRIPT = """\
#!/bin/sh
mkfifo "{folder}/$$"
echo '{{"caller": '$$', "folder": "{folder}"}}' > /proc/{process}/fd/0 || exit 125
read -r code < "{folder}/$$"
exit "$code"
"""


def script(folder: Path) -> Path | None:
    """A script, written into ``folder``, that takes the place of the installed command, for a shell.

    None where there is no ``/proc``, from which the fork takes the words, the environment and the streams.
    """
    if not Path("/proc/self/environ").exists():
        return None
    path = folder / "snnrun"
    path.write_text(SCRIPT.format(folder=folder, process=_program().pid), encoding="utf-8")
    path.chmod(0o755)
    return path


@functools.cache
def _program() -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "support.forked"]
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(words, env=environment(PYTHONPATH=path), stdin=subprocess.PIPE, bufsize=0)
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def _take_streams(command: Mapping[str, Any]) -> None:
    if caller := command.get("caller"):
        inp, out, err = (f"/proc/{caller}/fd/{number}" for number in range(3))
    else:
        inp, (out, err) = os.devnull, (f"{command['folder']}/{name}" for name in ("out", "err"))
    os.dup2(os.open(inp, os.O_RDONLY), 0)
    for stream, name in ((1, out), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)


def _arguments_of(caller: int) -> dict[str, Any]:
    """What the script was called with, in the process of this number."""
    process = Path(f"/proc/{caller}")
    _, _, *words = os.fsdecode((process / "cmdline").read_bytes()).split("\0")[:-1]
    lines = os.fsdecode((process / "environ").read_bytes()).split("\0")
    env = dict(line.split("=", 1) for line in lines if line)
    return {"words": words, "cwd": os.readlink(process / "cwd"), "env": env}


def _run(command: dict[str, Any]) -> None:
    """Never returns: ends with the command's exit code."""
    from snnrun.cli import entry

    os.environ.clear()
    os.environ.update(command["env"])
    os.chdir(command["cwd"])
    _take_streams(command)
    sys.argv = ["snnrun", *command["words"]]
    code = 1
    try:
        code = entry()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def warm() -> None:
    """All imports, and what a first run finds out for the process: a fork of it runs in a third of the time.

    Nothing is trained, since autograd's threads do not survive a fork. The figure of an encoded sample has all that the
    figures of a run need: digits, numbers drawn by compiled code, fonts.
    """
    import snnrun.report
    import snnrun.run.execute
    import snnrun.run.imports
    from snnrun.cli import main

    snnrun.run.imports.load("train")
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        assert main(["-m", "--dry-run", "seed=0,1"]) == 0
        assert main(["plot", "encoder=rate", "task=digits", f"hydra.run.dir={folder}/plot"]) == 0
    for name in snnrun.report.__all__:
        getattr(snnrun.report, name)
    gc.freeze()


def main() -> None:
    warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks for those that wait
    for line in sys.stdin:
        if os.fork():
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        command = json.loads(line)
        exit_file = Path(command["folder"]) / str(command.get("caller", "code"))
        if "caller" in command:
            command |= _arguments_of(command["caller"])
        child = os.fork()
        if not child:
            _run(command)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if "caller" in command and code < 0:
            code = 128 - code  # as a shell tells of a signal
        exit_file.write_text(f"{code}\n")
        os._exit(0)


if __name__ == "__main__":
    main()
