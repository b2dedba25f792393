"""The folder that every command leaves: config, manifest, result and log."""

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
from snnrun.system.safe_read import Unreadable, printable, shown
from snnrun.system.storage import storing
from snnrun.training.records import Result
from snnrun.training.stop import Interrupted, Pruned, Stop, TimeUp

MOST_CHANGES = 20  # warnings of what is not as it was, when a run goes on
FOLDERS = ("figures", "checkpoints")  # made when the first file goes into them
#: Keys of manifest.json: the run that this one trains on, the file of the config, the weights that it began with.
PARENT, SOURCE, INIT_FROM = "parent", "config_file", "init_from"


class Folder:
    """Writes what every command leaves: config, manifest, result and log.

    Args:
        path: of the folder, which exists.
        console: shows the warnings; ``run.log`` gets its lines.
        resuming: the folder holds the record of this run. Default: it holds no record.

    Raises: ConfigError, for a folder that holds a record already, or if ``resuming`` a link or a pipe;
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
                check_own(path)
            for name in FOLDERS:
                check_place(path / name)
        console.attach(path / "run.log")

    def begin(self, config: Mapping[str, Any], command: Sequence[str], source: Mapping[str, str] | None = None) -> None:
        """The first files: ``manifest.json`` with the hash of the config, then ``config.yaml``.

        In this order, so that wherever the run is killed a config that is there can be compared with its hash.
        ``source``: ``name`` and ``sha256`` of the file that the config is from, if it is from one.
        """
        self._start = {**manifest_start(command, record=self.path), fingerprint.KEY: fingerprint.config_hash(config)}
        self._start |= {SOURCE: dict(source)} if source else {}
        self._values("manifest.json", self._start)
        self.write_config(config)

    def write_config(self, config: Mapping[str, Any], name: str = "config.yaml") -> None:
        """``config.yaml``: the resolved config."""
        self._text(name, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def manifest(self, **facts: Any) -> None:
        """``manifest.json``: see :func:`snnrun.report.manifest`; and what ``begin`` wrote."""
        self._manifest = {**report.manifest(**facts, record=self.path), **self._start}
        self._values("manifest.json", self._manifest)

    def resumed(self, *, step: int, config: Mapping[str, Any], **facts: Any) -> None:
        """Note in ``manifest.json`` that the run went on after ``step`` steps, and what is not as it was.

        The manifest that is there may be damaged, or a stranger's. Values of a kind that it cannot have, or that are
        missing since the run was stopped before it wrote them, become what they are now.
        """
        now = {**report.manifest(**facts, record=self.path), fingerprint.KEY: fingerprint.config_hash(config)}
        try:
            there = safe_read.json_object(self.path, "manifest.json")
        except Unreadable as error:
            there = {}
            self._console.warning(f"manifest.json cannot be read ({error}); it is written anew, as the run is now")
        if lost := [key for key in now if key in there and not _alike(there[key], now[key])]:
            self._console.warning(f"manifest.json is damaged; written anew, as the run is now: {', '.join(lost)}")
        before = {key: there[key] if key in there and key not in lost else now[key] for key in now}
        before[fingerprint.KEY] = now[fingerprint.KEY]
        changed = differences(before, now)
        for name, (old, new) in islice(changed.items(), MOST_CHANGES):
            self._console.warning(
                f"{printable(name, 80)} was {shown(old)} and is now {shown(new)}; "
                "the results may differ from an unbroken run's"
            )
        if len(changed) > MOST_CHANGES:
            self._console.warning(f"{len(changed) - MOST_CHANGES} more are not as they were; see manifest.json")
        noted = there.get("resumed")
        earlier = [entry for entry in noted if isinstance(entry, dict)] if isinstance(noted, list) else []
        entry = {"started": now["started"], "command": now["command"], "step": step, "changed": changed}
        origin = {key: there[key] for key in (PARENT, SOURCE, INIT_FROM) if isinstance(there.get(key), dict)}
        self._manifest = {**before, **origin, "resumed": [*earlier, entry]}
        if len(json.dumps(self._manifest, indent=2)) > safe_read.LARGEST:  # nobody would read it again
            self._console.warning("manifest.json is larger than any is; it is written anew, as the run is now")
            self._manifest = {**now, "resumed": [{**entry, "changed": {}}]}
        self._values("manifest.json", self._manifest)
        self._console.line(f"resumed after {step} steps")

    def result(self, result: Result) -> None:
        """``result.json``: how it ended."""
        self._values("result.json", result.to_json())

    def ended_early(self, error: BaseException, so_far: Result) -> None:
        """``result.json`` and the log of what did not finish; never raises: the first error is the one to tell."""
        # A signal while this context is entered closes it (GeneratorExit).
        interrupted = isinstance(error, (KeyboardInterrupt, GeneratorExit, TimeUp, Pruned))
        message = str(error) if isinstance(error, SnnrunError) else f"{type(error).__name__}: {error}"
        status = "interrupted" if interrupted else "failed"
        with suppress(SnnrunError):
            pruned = isinstance(error, Pruned)
            self.result(replace(so_far, status=status, error=None if interrupted else message, pruned=pruned))
            self.log(str(error) if pruned else status if interrupted else f"error: {message}")

    @contextmanager
    def verdict(self, stop: Stop, so_far: Callable[[], Result]) -> Iterator[None]:
        """Within this context, where ``stop`` listens deaf, ``result.json`` and the log record whatever ends the run.

        ``so_far``: returns the result at that moment; its status does not count.
        """
        try:
            with stop.unmask():
                yield
        except BaseException as error:
            with suppress(Interrupted):  # a second signal, after which none raises
                stop.mask()
            self.ended_early(error, so_far())
            if isinstance(error, (Interrupted, TimeUp)):
                error.folder = self.path
            raise

    def log(self, text: str) -> None:
        """A line for ``run.log`` that is said elsewhere."""
        self._console.log(text)

    def _values(self, name: str, values: Any) -> None:
        with storing(self.path / name):
            files.write_json(self.path / name, files.plain(values))

    def _text(self, name: str, text: str) -> None:
        with storing(self.path / name):
            files.write_text(self.path / name, text)


def check_own(folder: Path) -> None:
    """A record that goes on may be a stranger's: no link in it may lead what is written elsewhere, no pipe wait.

    What a killed process left half written goes.
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
    """See to it that a folder can be made at ``path``, now and not after hours of training, or is there.

    Raises:
        OSError: if there is a link of that name, or anything else.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _alike(one: Any, other: Any) -> bool:
    """Whether two values of one key of a manifest are of one kind; any may be unknown."""
    if one is None or other is None:
        return True
    numbers = (int, float)
    return type(one) is type(other) or (type(one) in numbers and type(other) in numbers)
