"""The folders of conf/, read as files."""

from __future__ import annotations

from pathlib import Path

from snnrun.config.catalogue import Catalogue, conf_folder


def test_every_default_exists() -> None:
    catalogue = Catalogue()
    for group, option in catalogue.defaults.items():
        assert option is None or option in catalogue.groups[group]
    assert conf_folder().is_absolute()


def test_the_line_is_that_of_the_docstring_wherever_it_is_defined(tmp_path: Path) -> None:
    files = {
        "mypackage/__init__.py": "from .inner import Renamed as Part\nraise RuntimeError('never imported')\n",
        "mypackage/inner/__init__.py": "from mypackage.inner.deep import Renamed\n",
        "mypackage/inner/deep.py": 'class Renamed:\n    """One line.\n\n    More.\n    """\n',
        "neuron/one.yaml": "# Not this line.\n_target_: mypackage.Part\n",
        "neuron/two.yaml": "# @package _global_\n# The comment.\nneuron:\n  _target_: mypackage.Missing\n",
        "neuron/three.yaml": "_target_: elsewhere.Part\n",
        "hydra/launcher/mine.yaml": "x: 1\n",
        ".hidden/x.yaml": "x: 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    catalogue = Catalogue(tmp_path)
    assert catalogue.describe("neuron", "one") == "One line."
    assert catalogue.describe("neuron", "two") == "The comment."
    assert catalogue.describe("neuron", "three") == ""
    assert set(catalogue.groups) == set(Catalogue().groups)
    assert catalogue.shadowed() == []
