"""Parallel jobs on this machine, each in its own process.

A pool of workers, such as joblib's or concurrent.futures', gives up all waiting jobs if one worker is killed.
submitit's local executor starts all jobs at once and imports torch for each. Here a process that has imported
everything is forked for each job (``forkserver`` of the standard library); killing one does not affect the others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from snnrun.sweep.engine import Engine, OnOutcome
from snnrun.sweep.job import JobTask, run
from snnrun.sweep.outcome import outcome_of
from snnrun.system import machine, say
from snnrun.training.stop import Interrupted

DEVICES = "CUDA_VISIBLE_DEVICES"


class LocalParallel(Engine):
    """Runs at most ``n_jobs`` jobs at a time; the others wait.

    Args:
        n_jobs: None: as many as cores and GPUs allow for jobs of ``threads`` threads.
        gpus_per_job: 1 or a fraction. On a machine with GPUs a job that may use one sees one, and no more jobs run.
        threads: of a job.
    """

    def __init__(self, n_jobs: int | None, gpus_per_job: float, threads: int) -> None:
        self.n_jobs = n_jobs or max(1, machine.cores() // threads)
        self.gpus_per_job = gpus_per_job

    def run(self, tasks: Sequence[JobTask], on_outcome: OnOutcome) -> None:
        places = self._places(tasks)
        here = f"{len(places)} at a time" if len(places) > 1 else "one at a time"
        say.say(f"snnrun: {len(tasks)} jobs, {here}; what they say goes to logs/ in the sweep's folder")
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            context.set_forkserver_preload(["snnrun.sweep.warm"])
            _start_server()
        waiting, running = deque(tasks), dict[int, tuple[Any, JobTask, str | None]]()
        going = True
        try:
            while running or (waiting and going):
                while going and waiting and places:
                    task, place = waiting.popleft(), places.pop(0)
                    process = context.Process(target=_main, args=(task, place), name=task.name)
                    process.start()
                    running[process.sentinel] = process, task, place
                for sentinel in wait(list(running)):
                    process, task, place = running.pop(sentinel)  # type: ignore[arg-type]
                    process.join()
                    places.append(place)
                    if not on_outcome(outcome_of(task, process.exitcode)) and going:
                        going = False
                        _signal(context.active_children(), signal.SIGTERM)
        except KeyboardInterrupt:
            say.say(f"snnrun: {len(running)} jobs save their state and leave", error=True)
            _end(context.active_children())
            raise

    def _places(self, tasks: Sequence[JobTask]) -> list[str | None]:
        """A place for each parallel job, with the GPU that it sees."""
        devices = _devices() if any(task.uses_cuda for task in tasks) else []
        if not devices:
            return [None] * min(self.n_jobs, max(1, len(tasks)))
        each = int(1 / self.gpus_per_job + 1e-9)
        # Device by device, so that few jobs do not share one while others are idle.
        places: list[str | None] = [device for _ in range(each) for device in devices]
        return places[: self.n_jobs]


def _start_server() -> None:
    """Start the process from which jobs are forked; a Ctrl-C on the terminal reaches neither it nor the jobs.

    It imports torch for seconds, and a Ctrl-C in that time would end it with a traceback.
    """
    from multiprocessing import forkserver  # some systems lack it

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()  # it and its children have this process's mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _main(task: JobTask, device: str | None) -> None:
    """The main function in the process of the job."""
    os.setpgrp()  # a Ctrl-C on the terminal goes only to the sweep, which asks its jobs to leave, once
    if hasattr(signal, "pthread_sigmask"):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # drop an earlier one
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)
    if device is not None:
        os.environ[DEVICES] = device  # before the first use of CUDA
    threading.Thread(target=_follow, daemon=True).start()
    raise SystemExit(run(task))


def _follow() -> None:
    """End this job in an orderly way when the sweep is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _devices() -> list[str]:
    """The GPUs that this process sees, by their names for CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get(DEVICES)
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []


def _signal(processes: Sequence[Any], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _end(processes: Sequence[Any]) -> None:
    """Ask the jobs to leave, and wait; a second Ctrl-C ends them at once."""
    _signal(processes, signal.SIGTERM)
    try:
        for process in processes:
            process.join()
    except Interrupted:
        _signal(processes, signal.SIGKILL)
        raise
