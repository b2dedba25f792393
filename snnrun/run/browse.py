"""Finds run folders and reads a short summary of each. The contents are untrusted."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from snnrun.config.settings import NAME
from snnrun.errors import ConfigError, NoSuchRun
from snnrun.system import format, lock, safe_read
from snnrun.system.lock import Holder
from snnrun.system.safe_read import Unreadable
from snnrun.training.records import EpochRecord, LogRecord, RunResult, record_of

DEEPEST = 16  # folders below the one that is searched
TAIL = 1 << 18  # bytes of metrics.jsonl that are read to find the last epoch
CURVES = 1 << 26  # bytes of it that are read for curves
MOST_NAMED = 8  # runs in a message
WEIGHTS = ("best.safetensors", "last.safetensors")  # without the state of training: no run can go on from them
STATUSES = ("finished", "failed", "interrupted")  # in result.json
SWEEP = "sweep.json"  # the list of jobs in the folder of a sweep
ABOVE = 4  # folders between a job and its sweep
CHOICE = re.compile(r"[\w./ -]{1,80}")


@dataclass(frozen=True)
class RunSummary:
    """A run in short; what is unknown is None."""

    folder: Path
    status: str  # finished, failed, interrupted, running, stalled (it holds its lock without a heartbeat) or dead
    holder: Holder | None
    resumable: bool  # it can go on from a checkpoint
    command: str  # train, simulate or plot
    choices: Mapping[str, str]  # group -> option; without .hydra/ the classes of config.yaml
    seed: int | None
    epochs: int | None  # done
    max_epochs: int | None
    accuracy: float | None  # of the test set
    loss: float | None
    seconds: float | None
    started: float  # seconds since 1970
    name: str | None = None  # by the user
    result: RunResult = field(default_factory=RunResult)  # result.json


def is_run(folder: Path) -> bool:
    """True if the folder has files of a run."""
    try:
        with os.scandir(folder) as entries:
            return _is_run({entry.name for entry in entries})
    except OSError:
        return False


def find(root: Path) -> Iterator[Path]:
    """Every run folder in ``root``, at any depth; links are not followed, hidden folders not entered."""
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        folders, names = [], set()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    names.add(entry.name)
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
        except OSError:  # not ours to read, or removed meanwhile
            continue
        run = _is_run(names)
        if run:
            yield folder
        if depth < DEEPEST:
            waiting += [(folder / n, depth + 1) for n in folders if not (run and n in ("figures", "checkpoints"))]


def resolve(word: str, root: Path = Path("outputs")) -> Path:
    """The run folder that ``word`` means: its path, its name, or a unique part of its path in ``root``.

    Of several runs of a name (``name=NAME``) the newest is meant. The end of a path has priority over other parts: a
    run's token is enough.

    Raises:
        ConfigError: if no run matches, or several do.
    """
    with suppress(ValueError, OSError, RuntimeError):  # a NUL; a name that is too long; ~ of nobody
        path = Path(word).expanduser()
        if word and path.is_dir():
            if is_run(path):
                return path
            inside = list(islice(find(path), MOST_NAMED + 1))
            if len(inside) == 1:
                return inside[0]
            if not inside and (match := find_named(word, root)):
                return _only(word, match)
            what = (
                f"{_list(inside)}; name one" if inside else "there is none in it; `snnrun runs` lists those there are"
            )
            raise ConfigError(f"{safe_read.printable(word)}: expected the folder of a run, but {what}")
    part = word.replace(os.sep, "/").strip("/")
    if match := find_named(word, root):
        return _only(word, match)
    folders = {folder.relative_to(root).as_posix(): folder for folder in find(root)} if part else {}
    matches = [folder for name, folder in folders.items() if f"/{name}".endswith(f"/{part}")]
    matches = matches or [folder for name, folder in folders.items() if name.endswith(part)]
    matches = matches or [folder for name, folder in folders.items() if part in name]
    if len(matches) == 1:
        return matches[0]
    shown = safe_read.printable(word) or repr(word)
    if not matches:
        raise NoSuchRun(shown, root)
    raise ConfigError(f"{shown}: expected a run, but {_list(matches)}; write more of its name")


def find_named(word: str, root: Path) -> Path | None:
    """The newest run in ``root`` with this name, or the sweep if its jobs have it; None if there is none."""
    if not NAME.fullmatch(word):
        return None
    matches = [folder for folder in find(root) if _name(_text(folder, "config.yaml")) == word]
    if not matches:
        return None
    newest = max(matches, key=lambda folder: (_start_time(folder, json_object(folder, "manifest.json")), str(folder)))
    return sweep_of(newest) or newest


def sweep_of(folder: Path) -> Path | None:
    """The folder of the sweep of a job, which has a list of jobs."""
    above = list(folder.parents)[:ABOVE]
    return next((parent for parent in above if os.path.isfile(parent / SWEEP)), None)


def _only(word: str, folder: Path) -> Path:
    """The run itself, or the only job of a sweep.

    Raises:
        ConfigError: if the sweep has several jobs.
    """
    if is_run(folder):
        return folder
    jobs = list(islice(find(folder), MOST_NAMED + 1))
    if len(jobs) == 1:
        return jobs[0]
    raise ConfigError(
        f"{safe_read.printable(word)}: expected a run, but that is the name of a sweep: {_list(jobs)}; name one"
    )


def read(folder: Path) -> RunSummary:
    """The summary of a run folder, from a few small reads."""
    result, manifest = RunResult.from_json(json_object(folder, "result.json")), json_object(folder, "manifest.json")
    status = result.status if result.status in STATUSES else "dead"
    holder = None if status == "finished" else lock.holder(folder)
    if holder is not None:
        status = "running" if holder.silent < lock.DEAD else "stalled"
    hydra, config = _text(folder, ".hydra/hydra.yaml"), _text(folder, "config.yaml")
    command = re.search(r"^    config_name: (simulate|plot)$", hydra, re.M)
    over = status in STATUSES
    return RunSummary(
        folder=folder,
        status=status,
        holder=holder,
        resumable=status in ("interrupted", "failed", "dead") and _has_checkpoint(folder),
        command=command[1] if command else "train",
        choices=_choices(hydra, config),
        seed=_integer(config, "seed"),
        epochs=result.epochs if over else epochs_done(folder),
        max_epochs=_integer(config, "epochs"),
        accuracy=result.test_accuracy if over else None,
        loss=result.test_loss if over else None,
        seconds=result.seconds if over else None,
        started=_start_time(folder, manifest),
        name=_name(config),
        result=result,
    )


def epochs_done(folder: Path) -> int | None:
    """The last whole epoch in ``metrics.jsonl``, from its end; None without that file."""
    try:
        for line in reversed(list(safe_read.lines(folder, "metrics.jsonl", TAIL))):
            with suppress(Unreadable):  # the last line may be cut off
                record = safe_read.parse_json(line)
                epoch = safe_read.whole(record.get("epoch"))
                if epoch:
                    return epoch if record.get("kind") == "epoch" else epoch - 1
    except Unreadable:
        return None
    return 0


def epochs(folder: Path) -> Iterator[EpochRecord]:
    """The records of whole epochs, in their order; lines that are cut off or damaged are left out.

    Raises:
        Unreadable: if there is no such file.
    """
    for record in records(folder, skip=b'{"kind": "step"'):  # steps are many, and need not be parsed
        if isinstance(record, EpochRecord):
            yield record


def records(folder: Path, *, skip: bytes | None = None) -> Iterator[LogRecord]:
    """The undamaged records of ``metrics.jsonl``, in their order, without the lines that begin with ``skip``.

    Raises:
        Unreadable: if there is no such file.
    """
    for line in safe_read.lines(folder, "metrics.jsonl", CURVES):
        with suppress(Unreadable):
            skipped = skip is not None and line.startswith(skip)
            if not skipped and (record := record_of(safe_read.parse_json(line))) is not None:
                yield record


def _is_run(names: set[str]) -> bool:
    marks = {".hydra", "metrics.jsonl", lock.NAME}
    return bool(names & marks) or ("config.yaml" in names and bool(names & {"manifest.json", "result.json"}))


def _list(folders: list[Path]) -> str:
    names = [safe_read.printable(folder) for folder in folders[:MOST_NAMED]]
    more = " and more" if len(folders) > MOST_NAMED else ""
    return f"there are {', '.join(names)}{more}"


def json_object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of a run; empty if it cannot be read."""
    try:
        return safe_read.json_object(folder, name)
    except Unreadable:
        return {}


def _text(folder: Path, name: str) -> str:
    try:
        return safe_read.head(folder, name)
    except Unreadable:
        return ""


# Lines are enough here: to read YAML takes ten times as long as the rest of a run, and there may be thousands.


def _choices(hydra: str, config: str) -> dict[str, str]:
    block = re.search(r"^    choices:\n((?: {6}.*\n)*)", hydra, re.M)
    pairs = re.findall(r"^ {6}([\w/]+): (.+)$", block[1], re.M) if block else []
    choices = {key: value.strip("'\"") for key, value in pairs if value != "null" and not key.startswith("hydra/")}
    if not choices:
        choices = dict(re.findall(r"^(\w+):\n(?:  .*\n)*?  _target_: (?:[\w.]*\.)?(\w+)$", config, re.M))
    return {key: value for key, value in choices.items() if CHOICE.fullmatch(value)}


def _integer(config: str, key: str) -> int | None:
    match = re.search(rf"^{key}: (\d{{1,19}})$", config, re.M)
    return int(match[1]) if match else None


def _name(config: str) -> str | None:
    match = re.search(r"^name: (['\"]?)(.+)\1$", config, re.M)
    if match is None or match[0] == "name: null" or not NAME.fullmatch(match[2]):
        return None
    return match[2]


def _start_time(folder: Path, manifest: Mapping[str, Any]) -> float:
    now = time.time()
    with suppress(ValueError, OverflowError, TypeError, OSError):
        started = datetime.fromisoformat(manifest["started"]).timestamp() if "started" in manifest else now + 1
        if 0 < started <= now:
            return started
    try:
        return os.lstat(folder / "config.yaml").st_mtime
    except OSError:
        with suppress(OSError):
            return os.lstat(folder).st_mtime
    return now


def _has_checkpoint(folder: Path) -> bool:
    try:
        with os.scandir(folder / "checkpoints") as entries:
            return any(
                entry.is_file(follow_symlinks=False) and entry.name not in WEIGHTS and not entry.name.startswith(".")
                for entry in entries
            )
    except OSError:
        return False


def end(run: RunSummary) -> str:
    """The test accuracy as text, or without one the test loss."""
    if run.accuracy is not None:
        return f"{100 * run.accuracy:.2f} %"
    return "" if run.loss is None else f"loss {format.figure(run.loss)}"
