"""One training run, composed, checked and ready to run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snnrun.config.build import PartError
from snnrun.config.settings import Settings
from snnrun.errors import ConfigError
from snnrun.job.parts import Parts, parts_of


@dataclass(frozen=True)
class Job:
    """A training run to execute. A sweep is a list of jobs; a run folder holds one.

    Attributes:
        config: the resolved config that the run records.
        settings, parts: built from ``local``.
        folder: of the run.
        command: the words of the command, for the manifest.
        local: the config for this process: with ``data_dir`` relative to the working directory, and with the overrides
            of ``snnrun resume``.
        resuming: ``folder`` holds the record of a run of this config, which goes on. Default: False.
        source: ``name`` and ``sha256`` of the config file, for the manifest. Default: none.
        words: the overrides on a recorded config, by key. Default: none.
        marks: the files of ``.hydra/``, for a new folder. Default: the folder exists.
    """

    config: Mapping[str, Any]
    settings: Settings
    parts: Parts
    folder: Path
    command: tuple[str, ...]
    local: Mapping[str, Any]
    resuming: bool = False
    source: Mapping[str, str] | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] | None = None

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        *,
        folder: Path,
        command: Sequence[str],
        trusted: Collection[str] = (),
        local: Mapping[str, Any] | None = None,
        resuming: bool = False,
        source: Mapping[str, str] | None = None,
        words: Mapping[str, str] | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> Job:
        """The job of a resolved config. ``trusted``: packages whose code the config may name, besides snnrun's own.

        Raises:
            ConfigError: if a setting is invalid, or a part cannot be built.
        """
        local = config if local is None else local
        settings = Settings.from_config(local)
        try:
            parts = parts_of(local, trusted)
        except PartError as error:
            raise ConfigError(f"{error.path}: {error}") from error
        return cls(config, settings, parts, folder, tuple(command), local, resuming, source, words or {}, marks)
