"""The table of published results: only whole, untuned runs get in, and the page is what the script makes of them."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
import yaml
from torch import Tensor, nn

from benchmarks import published
from benchmarks.published import training
from benchmarks.published.beside import start
from benchmarks.published.recipe import Recipe
from snnrun.task.images import ImagePart
from support.made_up import epoch, make_run
from support.paths import ROOT

PRESETS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
BESIDE = {"ours": [2.0, 1.0], "theirs": [2.0, 1.001], "gradients_apart": [1e-6, 2e-6]}
NOTES = {"presets": {"one": {"variants": {"loss.population=1": "without the code"}}}}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """``docs/make_results.py``."""
    spec = importlib.util.spec_from_file_location("make_results", ROOT / "docs" / "make_results.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(seed: int, accuracy: float, **more: Any) -> dict[str, Any]:
    return {"seed": seed, "accuracy": accuracy, "seconds_training": 10.0 + seed, "data": {"mnist": "ab"}, **more}


def test_the_page_is_what_the_script_writes(script: ModuleType) -> None:
    assert script.main(["--check"]) == 0, "run python docs/make_results.py and commit what it writes"


def test_every_preset_has_a_row_a_source_and_a_figure(script: ModuleType) -> None:
    page = script.PAGE.read_text(encoding="utf-8")
    for preset in PRESETS:
        assert f"\n| [{preset}](experiments/{preset}.md) | " in page
        assert all(script.header(preset))
    assert page.count("\n### ") == len(PRESETS)


def test_published_figures(script: ModuleType) -> None:
    notes = {"presets": {"one": {"published": {"epochs=1": "91.12 %"}}}}
    assert script.published(script.Row("one", ("epochs=1",), [], [], None), notes) == "91.12 %"
    assert script.published(script.Row("one", ("epochs=2",), [], [], None), notes) == "-"
    assert "93.87 %" in script.published(script.Row("snntorch_tutorial_5", (), [], [], None), notes)


def test_at_least_three_seeds_of_ours(script: ModuleType) -> None:
    rows = json.loads(script.NUMBERS.read_text(encoding="utf-8"))["rows"]
    for row in rows:
        seeds = [entry["seed"] for entry in row["ours"]]
        assert not seeds or len(set(seeds)) == len(seeds) >= 3, (row["preset"], row["words"])
    assert any(row["ours"] for row in rows)


def test_mean_deviation_and_difference(script: ModuleType) -> None:
    ours = [entry(seed, accuracy) for seed, accuracy in enumerate((0.90, 0.92, 0.94))]
    theirs = [entry(seed, accuracy) for seed, accuracy in enumerate((0.80, 0.82, 0.84))]
    row = script.Row("one", (), ours, theirs, BESIDE)
    assert script.spread(ours, False) == "92.00 ± 2.00 % (n = 3)"
    # Equal variances and sizes: 2 (3 - 1) = 4 degrees of freedom, t = 2.776; standard error 0.02 sqrt(2 / 3).
    reach = 100 * 2.7764 * 0.02 * math.sqrt(2 / 3)
    assert script.apart(row, False) == f"**+10.00 (+{10 - reach:.2f} to +{10 + reach:.2f})**"
    assert script.times(row) == "11, 11"
    assert script.agreement(row.beside) == "2e-06; 1e-03 in 2"
    near = row._replace(theirs=[entry(seed, accuracy) for seed, accuracy in enumerate((0.89, 0.92, 0.94))])
    assert "**" not in script.apart(near, False), "no verdict within the noise"
    assert script.apart(row._replace(theirs=theirs[:1]), False) == "+12.00", "one seed says nothing of the noise"


def test_losses_and_lost_neurons(script: ModuleType) -> None:
    entries = [{"last_step_loss": 1e-3, "lost": 4}, {"last_step_loss": 3e-3, "lost": 6}]
    assert script.spread(entries, True) == "loss 0.002 ± 0.001 (n = 2); 4 to 6 neurons lost"


def test_the_words_of_a_run(script: ModuleType, tmp_path: Path) -> None:
    def request(*words: str) -> Any:
        (tmp_path / ".hydra").mkdir(exist_ok=True)
        (tmp_path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(words)))
        return script.asked(tmp_path, NOTES)

    neutral = (
        "seed=3",
        "data_dir=data",
        "threads=1",
        "report.figures=false",
        "tracker=csv",
        "checkpoint.every_steps=9",
    )
    assert request("experiment=one", *neutral) == ("one", [])
    assert request("experiment=one", "epochs=1", "loss.population=1") == ("one", ["loss.population=1", "epochs=1"])
    assert request("neuron=if") == (None, [])
    for word in ("optimizer.lr=1e-2", "loss.population=2", "seeds=1", "backend=reference", "~neuron.beta"):
        with pytest.raises(script.Refused, match=re.escape(word)):
            request("experiment=one", word)


def test_only_whole_runs_of_the_preset_of_today(script: ModuleType, tmp_path: Path) -> None:
    step = {"kind": "step", "epoch": 1, "step": 30, "loss": 0.5}
    warning = {"kind": "warning", "epoch": 1, "step": 29, "message": "", "lost": {"weight": 2}}
    last = {**epoch(3), "seconds": 2.5}
    folder = tmp_path / "run"
    make_run(folder, manifest={"memory_bytes": None}, changes={"seed": 3}, metrics=(warning, step, last))
    now = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    now |= {"seed": 0, "threads": 1, "new": 1}
    row = script.ours(folder, now)
    assert {key: row[key] for key in ("seed", "accuracy", "updates", "lost", "last_step_loss", "seconds_training")} == {
        "seed": 3,
        "accuracy": 0.975,
        "updates": 30,
        "lost": 2,
        "last_step_loss": 0.5,
        "seconds_training": 2.5,
    }
    with pytest.raises(script.Refused, match="num_steps=25"):
        script.ours(folder, {**now, "num_steps": 26})
    (folder / "result.json").write_text('{"status": "failed"}')
    with pytest.raises(script.Refused, match="failed"):
        script.ours(folder, now)


def test_other_data_is_refused(script: ModuleType) -> None:
    row = script.Row("one", (), [entry(0, 0.9)], [entry(0, 0.9, data={"mnist": "cd"})], None)
    with pytest.raises(SystemExit, match="same data"):
        script.same_data(row)


def test_new_rows_replace_those_of_the_same_preset_and_words(script: ModuleType) -> None:
    def row(preset: str, accuracy: float, *words: str) -> dict[str, Any]:
        parts: dict[str, Any] = script.Row(preset, words, [entry(0, accuracy)], [], None)._asdict()
        return {**parts, "words": list(words)}  # as from JSON

    rows = [row("one", 0.9), row("three", 0.8), row("three", 0.7, "epochs=1")]
    new = [script.Row("three", (), [entry(0, 0.5)], [], None)._asdict(), row("two", 0.6)]
    found = script.renew(rows, new)
    assert [(each["preset"], *each["words"], each["ours"][0]["accuracy"]) for each in found] == [
        ("one", 0.9),
        ("three", 0.5),
        ("three", "epochs=1", 0.7),
        ("two", 0.6),
    ]


def test_a_repeated_seed_replaces_the_first(script: ModuleType, tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = []
    for seed, accuracy in ((1, 0.5), (0, 0.6), (1, 0.7)):
        script.add(entries, entry(seed, accuracy), tmp_path)
    assert [(each["seed"], each["accuracy"]) for each in entries] == [(0, 0.6), (1, 0.7)]


# The libraries' side; they themselves are not needed.


class Halves(Recipe):
    """One weight for each pixel and class; counts what it is asked."""

    package, source, task, batch_size, drop_last, epochs = "none", "", "mnist", 4, True, 2
    settings: ClassVar[dict[str, Any]] = {"steps": 3}

    def __init__(self) -> None:
        self.network = nn.Linear(4, 2)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1.0)
        self.batches: list[int] = []
        self.ended = 0

    def run(self, x: Tensor) -> Tensor:
        assert len(x) == 3 and x.min() >= 0 and x.max() <= 1
        output: Tensor = self.network(x.flatten(2)).mean(0)
        return output

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        if output.requires_grad:
            self.batches.append(len(target))
        return nn.functional.cross_entropy(output, target)

    def predict(self, output: Tensor) -> Tensor:
        return output.argmax(1)

    def end_epoch(self) -> None:
        self.ended += 1


def images() -> training.Images:
    """Ten images to train on and four to test: the left or the right half is white."""
    labels = torch.arange(14) % 2
    pictures = torch.where((torch.arange(2) == labels[:, None])[:, None, None], 255, 0).expand(14, 1, 2, 2)
    part = ImagePart(pictures.to(torch.uint8), labels, torch.arange(10), 255)
    return training.Images(torch.arange(10), torch.arange(10, 14), part, {})


def test_a_library_is_trained_as_its_source_does() -> None:
    torch.manual_seed(0)
    recipe = Halves()
    result = training.train(recipe, images(), epochs=3, updates=None)
    assert recipe.batches == [4] * 6, "the last two of ten are left out"
    assert (recipe.ended, result["updates"], len(result["curve"])) == (3, 6, 3)
    assert result["accuracy"] == 1
    assert result["loss"] < result["curve"][0]["train_loss"]


@pytest.mark.parametrize(("updates", "batches"), [(3, [4, 4, 4]), (2, [4, 4])])
def test_it_stops_after_so_many_updates(updates: int, batches: list[int]) -> None:
    recipe = Halves()
    assert training.train(recipe, images(), epochs=9, updates=updates)["updates"] == updates
    assert recipe.batches == batches


def test_both_start_with_the_same_weights() -> None:
    recipe, ours = Halves(), nn.Sequential(nn.Linear(4, 2))
    start(recipe, ours)
    x = torch.rand(3, 4)
    assert torch.equal(recipe.network(x), ours(x))
    with pytest.raises(SystemExit, match="the same layers"):
        start(recipe, nn.Linear(2, 2))


def test_every_published_experiment_names_a_preset() -> None:
    assert published.names()
    for name in published.names():
        text = (ROOT / "benchmarks" / "published" / f"{name}.py").read_text(encoding="utf-8")
        assert [preset for preset in PRESETS if name.startswith(preset)], name
        assert "class Published(" in text
