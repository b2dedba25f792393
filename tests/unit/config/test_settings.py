"""The top-level keys: what is right, and every fault at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.config.settings import KEYS, KINDS, PlotSettings, Report, Settings, Style, complete, read, read_rows
from snnrun.errors import ConfigError

GOOD: dict[str, Any] = {
    "seed": 0,
    "device": "cuda:1",
    "threads": 2,
    "precision": "bf16",
    "deterministic": True,
    "backend": "reference",
    "memory": "low",
    "matmul": "onednn",
    "events_below": 0.2,
    "num_steps": 25,
    "epochs": 1,
    "max_steps": 100,
    "batch_size": 128,
    "accumulate": 4,
    "drop_last": True,
    "data_dir": "data",
    "name": "a run",
    "output_dir": "outputs",
    "on_nonfinite": "warn",
    "clip_grad_norm": 2,
    "clip_grad_value": None,
    "ema": 0.999,
    "early_stopping": None,
    "max_seconds": 3600,
    "checkpoint": {"every_steps": 100, "every_minutes": None},
    "report": {
        "figures": True,
        "summary": False,
        "progress": True,
        "log_every": 10,
        "sample": 3,
        "test_every_epoch": True,
    },
    "style": {"dpi": 100, "format": "pdf", "theme": "dark"},
}


def test_good_settings() -> None:
    settings = Settings.from_config({**GOOD, "neuron": {"_target_": "not looked at"}})
    assert settings.device == "cuda:1"
    assert settings.clip_grad_norm == 2.0
    assert settings.early_stopping is None
    expected = Report(figures=True, summary=False, progress=True, log_every=10, sample=3, test_every_epoch=True)
    assert settings.report == expected
    assert settings.style == Style(dpi=100, format=("pdf",), theme="dark")


@pytest.mark.parametrize("primary", KINDS)
def test_a_primary_config_is_the_rows_of_its_settings(primary: str) -> None:
    rows = [(key.name, key.default, key.about) for key in Catalogue(primary=primary).keys]
    assert rows == in_file(primary)
    config = yaml.safe_load((conf_folder() / f"{primary}.yaml").read_text(encoding="utf-8"))
    config |= {"subject": "neuron"} if primary == "plot" else {}
    settings, faults = read_rows(KINDS[primary], config)
    assert not faults
    assert settings == (PlotSettings(subject="neuron") if primary == "plot" else KINDS[primary]())


def in_file(primary: str) -> list[tuple[str, str, str]]:
    """The keys of a primary config with the default and the comment that stand in it; nested ones by dotted name."""
    rows, parent = [], ""
    for line in (conf_folder() / f"{primary}.yaml").read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"( *)(\w+):(?: ([^#]*?))?(?: *# (.*))?", line)
        if not match or match[1] not in ("", "  "):
            continue
        if not match[1]:
            parent = match[2]
        if parent not in ("defaults", "hydra") and match[3]:
            rows.append((f"{parent}.{match[2]}" if match[1] else match[2], match[3], match[4] or ""))
    return rows


def test_all_faults_are_shown() -> None:
    bad = {
        "seed": -1,
        "device": "gpu",
        "threads": 0,
        "precision": "fp16",
        "deterministic": "yes",
        "backend": "fast",
        "memory": "little",
        "matmul": "quick",
        "events_below": "few",
        "num_steps": 0,
        "epochs": 1.5,
        "max_steps": 0,
        "batch_size": True,
        "accumulate": 0,
        "drop_last": 1,
        "data_dir": "",
        "name": "a/b",
        "output_dir": None,
        "on_nonfinite": "ignore",
        "clip_grad_norm": 0,
        "clip_grad_value": 0,
        "ema": 1,
        "early_stopping": 0,
        "max_seconds": 0,
        "checkpoint": {"every_steps": 0, "every_minutes": -1, "every_epochs": 1},
        "report": {
            "figures": 1,
            "summary": None,
            "progress": "no",
            "log_every": 0,
            "sample": -1,
            "test_every_epoch": 2,
            "colour": True,
        },
        "style": {"dpi": 5, "format": "bmp", "theme": "blue", "font": "serif"},
    }
    with pytest.raises(ConfigError) as error:
        Settings.from_config(bad)
    keys = [line.partition(":")[0] for line in str(error.value).splitlines()]
    checkpoint = ["checkpoint.every_steps", "checkpoint.every_minutes", "checkpoint.every_epochs"]
    rows = ("figures", "summary", "progress", "log_every", "sample", "test_every_epoch", "colour")
    report = [f"report.{key}" for key in rows]
    style = ["style.dpi", "style.format", "style.theme", "style.font"]
    assert keys == [*list(bad)[:-3], *checkpoint, *report, *style]


#: Keys that runs of earlier versions lack, with the values that keep their behaviour.
NEW_KEYS = {"name": None, "init_from": None, "accumulate": 1, "clip_grad_value": None, "ema": None}


def test_a_run_of_an_earlier_version_may_lack_newer_keys() -> None:
    earlier = Settings.from_config({key: value for key, value in GOOD.items() if key not in (*NEW_KEYS, "execution")})
    assert not earlier.execution.cuda_graph
    report = {key: value for key, value in GOOD["report"].items() if key != "test_every_epoch"}
    assert not Settings.from_config({**GOOD, "report": report}).report.test_every_epoch
    assert {key: getattr(earlier, key) for key in NEW_KEYS} == NEW_KEYS


def test_a_gradient_is_clipped_in_one_way() -> None:
    settings, faults = read({**GOOD, "clip_grad_norm": 1, "clip_grad_value": 0.5})
    assert settings is None
    assert [(fault.path, fault.refused) for fault in faults] == [("clip_grad_value", True)]
    assert Settings.from_config({**GOOD, "clip_grad_norm": None, "clip_grad_value": 0.5}).clip_grad_value == 0.5


@pytest.mark.parametrize("key", [key for key in KEYS if key not in (*NEW_KEYS, "execution")])
def test_a_missing_key_is_named(key: str) -> None:
    settings, faults = read({name: value for name, value in GOOD.items() if name != key})
    assert settings is None
    assert [fault.path for fault in faults] == [key]


def test_a_config_of_an_earlier_version_is_completed() -> None:
    report = {key: value for key, value in GOOD["report"].items() if key != "sample"}
    earlier = {key: value for key, value in {**GOOD, "report": report}.items() if key != "style"}
    assert read(earlier)[0] is None
    settings, faults = read(complete(earlier))
    assert not faults and settings is not None
    assert settings.report.sample == 0
    assert settings.style == Style(dpi=150, format=("png",), theme="light")
    assert read(complete(GOOD)) == read(GOOD), "what is there stays"
    assert read(complete({**GOOD, "report": 3}))[1] == read({**GOOD, "report": 3})[1]
