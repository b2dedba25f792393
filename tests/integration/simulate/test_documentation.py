"""docs/neurons.md is what its script makes of the neurons there are."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from snnrun.config.catalogue import conf_folder
from support.paths import ROOT

NAMES = sorted(path.stem for path in (conf_folder() / "neuron").glob("*.yaml"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_neurons", ROOT / "docs" / "make_neurons.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.long
def test_the_page_is_up_to_date(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["make_neurons.py", "--check"])
    assert script.main() == 0, "run python docs/make_neurons.py and commit what it writes"
    assert {line.partition(":")[0] for line in capsys.readouterr().out.splitlines()} == set(NAMES), "all were drawn"


def test_the_page_shows_every_neuron_with_its_equation_and_a_small_figure(script: ModuleType) -> None:
    text = script.PAGE.read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}
    assert sorted(sections) == NAMES
    for name, part in sections.items():
        assert "s[t]" in part or "u[t]" in part, f"{name} has no equation"
        assert part.count("```") == 2 and "``" not in part.replace("```", ""), name
        image = script.IMAGES / f"{name}.png"
        assert image.read_bytes().startswith(b"\x89PNG")
        assert image.stat().st_size < 40_000, f"{image} is large"
    assert {path.stem for path in script.IMAGES.glob("*")} == set(NAMES)


def test_docstrings_become_markdown(script: ModuleType) -> None:
    text = "A line.\n\n::\n\n    u = v\n      + x\n\nSee :class:`snnrun.neuron.LIF` and ``a``. Thus::\n\n    b\n"
    expected = "A line.\n\n```text\nu = v\n  + x\n```\n\nSee `LIF` and `a`. Thus:\n\n```text\nb\n```"
    assert script.markdown(text) == expected
