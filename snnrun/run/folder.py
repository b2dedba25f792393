"""The folder of every command: config, manifest, result and log."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from snnrun import report
from snnrun.config import fingerprint
from snnrun.errors import ConfigError, SnnrunError
from snnrun.report.manifest import differences
from snnrun.report.manifest import start as manifest_start
from snnrun.system import files, safe_read
from snnrun.system.safe_read import Unreadable, printable, quote
from snnrun.system.storage import storing
from snnrun.training.records import Result
from snnrun.training.stop import Interrupted, Pruned, Stop, TimeUp

MOST_CHANGES = 20  # in warnings when a run is resumed
FOLDERS = ("figures", "checkpoints")
#: Keys of manifest.json: the run that this one trains on, the file of the config, the initial weights.
PARENT, SOURCE, INIT_FROM = "parent", "config_file", "init_from"


class RecordFolder:
    """Writes the files of every command: config, manifest, result and log.

    Args:
        path: of the folder, which exists.
        console: shows the warnings; ``run.log`` gets its lines.
        resuming: the folder holds the record of this run. Default: it holds no record.

    Raises: ConfigError, for a folder with a record, or if ``resuming`` with a link or a pipe;
        StorageError, from every method, if a file of the record cannot be written.
    """

    def __init__(self, path: Path, console: report.Console, *, resuming: bool = False) -> None:
        self.path, self._console = path, console
        self._start: dict[str, Any] = {}
        self._manifest: dict[str, Any] = {}
        if not resuming and any((path / name).exists() for name in ("manifest.json", "result.json")):
            raise ConfigError(
                f"{path}: expected a folder of this run's own, but it holds the record of another; name another "
                "folder, or leave hydra.run.dir out. `snnrun resume` goes on with a run that is not finished"
            )
        with storing(path):
            if resuming:
                check_contents(path)
            for name in FOLDERS:
                check_place(path / name)
        console.attach(path / "run.log")

    def begin(self, config: Mapping[str, Any], command: Sequence[str], source: Mapping[str, str] | None = None) -> None:
        """The first files: ``manifest.json`` with the hash of the config, then ``config.yaml``.

        In this order, so that even in the folder of a killed run a config can be compared with its hash. ``source``:
        ``name`` and ``sha256`` of the file of the config, if there is one.
        """
        self._start = {**manifest_start(command, record=self.path), fingerprint.KEY: fingerprint.config_hash(config)}
        self._start |= {SOURCE: dict(source)} if source else {}
        self._write_json("manifest.json", self._start)
        self.write_config(config)

    def write_config(self, config: Mapping[str, Any], name: str = "config.yaml") -> None:
        """``config.yaml``: the resolved config."""
        self._write_text(name, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def manifest(self, **facts: Any) -> None:
        """``manifest.json``: see :func:`snnrun.report.manifest`; and the values of ``begin``."""
        self._manifest = {**report.manifest(**facts, record=self.path), **self._start}
        self._write_json("manifest.json", self._manifest)

    def resume(self, *, step: int, config: Mapping[str, Any], **facts: Any) -> None:
        """Note in ``manifest.json`` that the run was resumed after ``step`` steps, and what has changed.

        The old manifest may be damaged, or a stranger's. Values that are missing or of a wrong kind are replaced.
        """
        now = {**report.manifest(**facts, record=self.path), fingerprint.KEY: fingerprint.config_hash(config)}
        try:
            old = safe_read.json_object(self.path, "manifest.json")
        except Unreadable as error:
            old = {}
            self._console.warning(f"manifest.json cannot be read ({error}); it is written anew, as the run is now")
        if damage := [key for key in now if key in old and not _same_kind(old[key], now[key])]:
            self._console.warning(f"manifest.json is damaged; written anew, as the run is now: {', '.join(damage)}")
        before = {key: old[key] if key in old and key not in damage else now[key] for key in now}
        before[fingerprint.KEY] = now[fingerprint.KEY]
        changes = differences(before, now)
        for name, (earlier, later) in islice(changes.items(), MOST_CHANGES):
            self._console.warning(
                f"{printable(name, 80)} was {quote(earlier)} and is now {quote(later)}; "
                "the results may differ from an unbroken run's"
            )
        if len(changes) > MOST_CHANGES:
            self._console.warning(f"{len(changes) - MOST_CHANGES} more are not as they were; see manifest.json")
        history = old.get("resumed")
        history = [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
        entry = {"started": now["started"], "command": now["command"], "step": step, "changed": changes}
        origin = {key: old[key] for key in (PARENT, SOURCE, INIT_FROM) if isinstance(old.get(key), dict)}
        self._manifest = {**before, **origin, "resumed": [*history, entry]}
        if len(json.dumps(self._manifest, indent=2)) > safe_read.LARGEST:  # it could not be read again
            self._console.warning("manifest.json is larger than any is; it is written anew, as the run is now")
            self._manifest = {**now, "resumed": [{**entry, "changed": {}}]}
        self._write_json("manifest.json", self._manifest)
        self._console.line(f"resumed after {step} steps")

    def result(self, result: Result) -> None:
        """Write ``result.json``."""
        self._write_json("result.json", result.to_json())

    def record_failure(self, error: BaseException, so_far: Result) -> None:
        """Write ``result.json`` and the log of an early end. Never raises, so that ``error`` is not hidden."""
        # A signal while this context is entered closes it (GeneratorExit).
        interrupted = isinstance(error, (KeyboardInterrupt, GeneratorExit, TimeUp, Pruned))
        message = str(error) if isinstance(error, SnnrunError) else f"{type(error).__name__}: {error}"
        status = "interrupted" if interrupted else "failed"
        with suppress(SnnrunError):
            pruned = isinstance(error, Pruned)
            self.result(replace(so_far, status=status, error=None if interrupted else message, pruned=pruned))
            self.log(str(error) if pruned else status if interrupted else f"error: {message}")

    @contextmanager
    def record_end(self, stop: Stop, so_far: Callable[[], Result]) -> Iterator[None]:
        """Within this context ``result.json`` and the log record an early end. ``stop`` has masked all signals.

        ``so_far``: returns the result at that moment; its status is not used.
        """
        try:
            with stop.unmask():
                yield
        except BaseException as error:
            with suppress(Interrupted):  # a second signal, after which none raises
                stop.mask()
            self.record_failure(error, so_far())
            if isinstance(error, (Interrupted, TimeUp)):
                error.folder = self.path
            raise

    def log(self, text: str) -> None:
        """Add a line to ``run.log`` alone."""
        self._console.log(text)

    def _write_json(self, name: str, values: Any) -> None:
        with storing(self.path / name):
            files.write_json(self.path / name, files.plain(values))

    def _write_text(self, name: str, text: str) -> None:
        with storing(self.path / name):
            files.write_text(self.path / name, text)


def check_contents(folder: Path) -> None:
    """Check that the folder of a resumed run, a possible stranger's, has no link and no pipe.

    Removes the temporary files of a killed process.

    Raises:
        ConfigError: for a link or a pipe.
    """
    for path in [
        folder,
        *folder.iterdir(),
        *(folder / ".hydra").glob("*"),
        *(folder / "figures").glob("*"),
        *(folder / "checkpoints").glob("*"),
        *(folder / "csv").glob("*"),
    ]:
        status = path.lstat()
        if not (stat.S_ISREG(status.st_mode) and status.st_nlink == 1) and not stat.S_ISDIR(status.st_mode):
            raise ConfigError(f"{path}: expected a file of this run alone, got a link or no file at all; remove it")
        if path.name.startswith(".") and path.name.endswith(".tmp") and not path.is_dir():
            path.unlink()


def check_place(path: Path) -> None:
    """Check that a folder is at ``path`` or can be made there, before hours of training.

    Raises:
        OSError: if there is a link, or anything else.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _same_kind(one: Any, other: Any) -> bool:
    """True if two values of one key of a manifest are of one kind, or one is unknown."""
    if one is None or other is None:
        return True
    numbers = (int, float)
    return type(one) is type(other) or (type(one) in numbers and type(other) in numbers)
