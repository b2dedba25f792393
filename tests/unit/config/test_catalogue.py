"""The folders of conf/, read as files."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.job.compose import composer


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
    assert catalogue.hidden_files() == []


def write(folder: Path, **files: str) -> Catalogue:
    (folder / "neuron").mkdir()
    for name, text in files.items():
        (folder / "neuron" / f"{name}.yaml").write_text(text)
    return Catalogue(folder)


def test_a_file_of_a_users_own_takes_in_what_ours_share(tmp_path: Path) -> None:
    mine = "defaults: [/_resetting@_here_, _shared]\n_target_: mine.Mine\nthreshold: 0.5\n"
    catalogue = write(tmp_path, mine=mine, _shared="leak: 0.1 # a tenth\nv_reset: 0.2\n")
    assert "mine" in catalogue.groups["neuron"]
    assert "_shared" not in catalogue.groups["neuron"]
    ours = catalogue.content(catalogue.groups["neuron"]["if"])
    own = {"_target_": "mine.Mine", "threshold": 0.5, "leak": 0.1, "v_reset": 0.2}
    path = catalogue.groups["neuron"]["mine"]
    content = catalogue.content(path)
    assert {key: value for key, value in content.items() if key != "defaults"} == {
        key: value for key, value in ours.items() if key != "defaults"
    } | own
    parameters = {parameter.name: parameter for parameter in catalogue.detail("neuron", "mine").parameters}
    assert parameters["leak"].about == "a tenth"
    assert parameters["reset"].origin == "convention.reset"
    assert parameters["threshold"].default == "0.5"
    with composer(catalogue) as hydra:
        neuron = hydra.compose(["neuron=mine"]).neuron
    assert OmegaConf.to_container(neuron) == {key: value for key, value in content.items() if key != "defaults"}


def test_the_place_of_self_decides_who_wins(tmp_path: Path) -> None:
    files = {
        "last": "defaults: [if]\nthreshold: 0.5\n",
        "first": "defaults: [_self_, if]\nthreshold: 0.5\n",
        "nested": "# @package _global_\ndefaults: [/_firing@neuron]\nepochs: 2\nneuron: {threshold: 0.5, a: 1}\n",
    }
    catalogue = write(tmp_path, **files)
    contents = {name: catalogue.content(catalogue.groups["neuron"][name]) for name in files}
    assert (contents["last"]["threshold"], contents["first"]["threshold"]) == (0.5, 1.0)
    assert contents["nested"]["epochs"] == 2
    with composer(catalogue) as hydra:
        for name, content in contents.items():
            neuron = OmegaConf.to_container(hydra.compose([f"neuron={name}"]).neuron)
            expected = content["neuron"] if name == "nested" else content
            assert neuron == {key: value for key, value in expected.items() if key != "defaults"}


def test_files_that_take_in_each_other_or_nothing_are_read_once(tmp_path: Path) -> None:
    files = {
        "one": "defaults: [two]\na: 1\n",
        "two": "defaults: [one, two, nowhere]\nb: 2\n",
        "list": "- 1\n",
        "three": "defaults: [list]\nc: 3\n",
        "four": "defaults: 4\nd: 4\n",
    }
    catalogue = write(tmp_path, **files)
    for name, keys in {"one": {"a", "b"}, "two": {"a", "b"}, "three": {"c"}, "four": {"d"}}.items():
        assert set(catalogue.content(catalogue.groups["neuron"][name])) - {"defaults"} == keys
        assert {parameter.name for parameter in catalogue.detail("neuron", name).parameters} == keys
    assert catalogue.content(catalogue.groups["neuron"]["list"]) == [1]
