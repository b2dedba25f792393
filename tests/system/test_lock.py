"""The lock of a run's folder and other processes: it is gone with its holder, however that ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snnrun.errors import ConfigError
from snnrun.system import lock
from snnrun.system.lock import RunLock, holder

HOLD = """
import sys
from pathlib import Path
from snnrun.system.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
assert "torch" not in sys.modules
"""


@contextmanager
def another(folder: Path, script: str = HOLD) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``folder`` until a line comes."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.0)


def test_another_process(tmp_path: Path) -> None:
    with another(tmp_path) as process:
        owner = holder(tmp_path)
        assert owner is not None and owner.pid == process.pid
        with pytest.raises(ConfigError, match=f"process {process.pid} "), RunLock(tmp_path):
            pass
        process.communicate("\n")
        assert process.returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with another(tmp_path) as process:
        process.kill()
        process.wait()
        assert (tmp_path / lock.NAME).exists()
        assert holder(tmp_path) is None
        with RunLock(tmp_path):
            owner = holder(tmp_path)
            assert owner is not None and owner.pid == os.getpid()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("how", ["fork", "program"])
def test_a_child_does_not_keep_the_lock_of_a_killed_parent(tmp_path: Path, how: str) -> None:
    start = {
        # The child lives until nobody can write to its end of the pipe, which is until this test closes it.
        "fork": "child = os.fork()\nif not child: sys.stdin.read(); os._exit(0)",
        "program": "child = subprocess.Popen(['sleep', '600'], close_fds=False).pid",
    }[how]
    script = f"""
import os, subprocess, sys
from pathlib import Path
from snnrun.system.lock import RunLock
with RunLock(Path(sys.argv[1])):
    {start.replace(chr(10), chr(10) + "    ")}
    print("held", flush=True)
    print(child, flush=True)
    sys.stdin.readline()
"""
    with another(tmp_path, script) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert holder(tmp_path) is not None
        process.kill()
        process.wait()
        os.kill(child, 0)  # it is there still
        # A forked child drops its copy as soon as it runs, which on a busy machine may be after its parent's death.
        deadline = time.monotonic() + 10
        while holder(tmp_path) is not None and time.monotonic() < deadline:
            pass
        assert holder(tmp_path) is None
        os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of a process with threads; this child runs no code
def test_a_forked_child_that_leaves_the_block_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    with RunLock(tmp_path) as run_lock:
        child = os.fork()
        if not child:
            run_lock.__exit__()
            os._exit(0)
        os.waitpid(child, 0)
        assert holder(tmp_path) is not None
