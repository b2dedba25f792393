"""The files of encoders, losses and regularisers list every option, with its default."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
import yaml

from snnrun.build import build, locate
from snnrun.catalogue import conf_folder

GROUPS = ("encoder", "loss", "regulariser")
FILES = [path for group in GROUPS for path in sorted((conf_folder() / group).glob("*.yaml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_a_file_is_its_class_with_all_defaults(path: Path) -> None:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    target = locate(config["_target_"], path.stem)
    options = set(inspect.signature(target).parameters)
    assert set(config) - {"_target_"} == options
    assert build(config, path.parent.name) == target()
    nested = [value for value in config.values() if isinstance(value, dict) and "_target_" in value]
    for part in nested:
        assert set(part) - {"_target_"} == set(inspect.signature(locate(part["_target_"], path.stem)).parameters)
    assert isinstance(target, type)
    described = " ".join(parent.__doc__ or "" for parent in target.__mro__ if parent is not object)
    assert not {option for option in options if option not in described}


@pytest.mark.parametrize(("group", "base"), [("encoder", "Encoder"), ("loss", "Loss"), ("loss", "Regulariser")])
def test_every_class_has_a_file(group: str, base: str) -> None:
    module = importlib.import_module(f"snnrun.{group}")
    classes = {
        value.__name__
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, getattr(module, base)) and not inspect.isabstract(value)
    }
    targets = {yaml.safe_load(path.read_text(encoding="utf-8"))["_target_"] for path in FILES}
    assert {f"snnrun.{group}.{name}" for name in classes} <= targets
