"""snnrun in Python: what the functions give is what the command gives, and a stranger's folder runs nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import snnrun
from snnrun.cli import main
from snnrun.errors import ConfigError, DataError
from snnrun.job.words import overrides_of

WORDS = ("num_steps=6", "model.hidden=[20]", "batch_size=256", "checkpoint.every_minutes=null")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> snnrun.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("python"))
        return snnrun.load(snnrun.train(*WORDS, epochs=2).folder.resolve())


def test_the_same_words_give_the_same_weights_in_python_and_in_the_shell(run: snnrun.Run, tmp_path: Path) -> None:
    folder = tmp_path / "shell"
    assert main([*WORDS, "epochs=2", f"hydra.run.dir={folder}"]) == 0
    assert json.loads((folder / "result.json").read_text())["weights_sha256"] == run.result.weights_sha256
    assert snnrun.load(folder).manifest["config_sha256"] != "", "both record a hash"
    for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
        assert (run.folder / ".hydra" / name).is_file()


def test_the_record(run: snnrun.Run) -> None:
    assert (run.status, run.config["epochs"], run.result.status) == ("finished", 2, "finished")
    assert [record.epoch for record in run.records("epoch")] == [1, 2]
    assert len(list(run.records())) == len((run.folder / "metrics.jsonl").read_text().splitlines())
    assert len(run.metrics("epoch")) == 2
    assert run.manifest["seed"] == 0


def test_evaluate_agrees_with_the_result_to_the_bit(run: snnrun.Run) -> None:
    scores, result = run.evaluate().to_json(), run.result.to_json()
    keys = [key for key in result if key.startswith("test_")]
    assert len(keys) == 4 and {key: result[key] for key in keys} == {key: scores[key] for key in keys}
    assert scores["test_accuracy"] > 0


def test_the_model_has_the_tested_weights(run: snnrun.Run) -> None:
    model = run.model()
    assert not model.training
    batch = next(iter(run.data("test")))
    train = snnrun.encoder.Rate()(batch.x, 6, torch.Generator().manual_seed(0))
    assert model(train)["output"].spikes.shape == (6, batch.x.shape[1], 10)
    last = run.model("last")
    best = run.result.best_epoch
    same = all(torch.equal(a, b) for a, b in zip(model.parameters(), last.parameters(), strict=True))
    assert same == (best == 2)
    with pytest.raises(snnrun.ArgumentError, match="weights"):
        run.model("first")


def test_data_is_batched_as_in_training(run: snnrun.Run) -> None:
    train, test = run.data("train"), run.data("test")
    sizes = [batch.x.shape[1] for batch in train]
    assert sizes[:-1] == [256] * (len(sizes) - 1) and sum(sizes) == len(train)
    first, again = next(iter(train)), next(iter(train))
    assert torch.equal(first.x, again.x), "the order of the first epoch, each time"
    assert first.target is not None and not torch.equal(first.target.sort().values, first.target), "shuffled"
    assert sum(batch.x.shape[1] for batch in test) == len(test) == 359
    with pytest.raises(snnrun.ArgumentError, match="part"):
        run.data("tests")


def test_traces_are_those_of_the_raster(run: snnrun.Run) -> None:
    traces = run.traces(0)
    with np.load(run.folder / "figures" / "raster.npz") as arrays:
        assert (traces.example.label, traces.example.prediction) == (arrays["label"], arrays["prediction"])
        assert np.array_equal(traces.input[:, 0].flatten(1).numpy(), arrays["input"])
        for name, layer in traces.layers.items():
            assert np.array_equal(layer.spikes[:, 0].numpy(), arrays[f"{name}.spikes"])
            assert np.array_equal(layer.membrane[:, 0].numpy(), arrays[f"{name}.membrane"])
    with pytest.raises(snnrun.ArgumentError, match="index"):
        run.traces(359)


def test_figures_show_inline(run: snnrun.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)  # another test may have imported it
    for figure in (run.curves(), run.curves("accuracy"), run.raster(1)):
        assert figure._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"  # type: ignore[attr-defined]
        assert figure.axes
    assert "matplotlib.pyplot" not in sys.modules


def test_resume_trains_on_and_reproduce_matches(
    run: snnrun.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    longer = run.resume(epochs=3)
    assert longer.folder != run.folder and longer.result.epochs == 3
    assert longer.manifest["parent"]["name"] == run.folder.name
    again, verdict = run.reproduce()
    assert verdict.exact and again.result.weights_sha256 == run.result.weights_sha256
    with pytest.raises(ConfigError, match="did not finish"):
        run.resume()
    assert {each.folder.resolve() for each in snnrun.runs("outputs")} == {
        longer.folder.resolve(),
        again.folder.resolve(),
    }


def test_compose_writes_nothing_and_execute_runs_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = snnrun.compose(*WORDS, "task=zeros", epochs=1, max_steps=2)
    assert list(tmp_path.iterdir()) == [] and job.settings.max_steps == 2
    result = snnrun.execute(job)
    assert result.status == "finished"
    (run,) = snnrun.runs()
    assert run.folder == job.folder.relative_to(tmp_path) and run.result.test_loss == result.test_loss


def test_a_mistake_is_one_error_with_all_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        snnrun.compose("neuron=lff", epochs=0)
    assert "neuron=lff" in str(error.value) and "epochs" in str(error.value)
    for words in (["neuron=if,lif"], ["list"], ["--help"], ["-m", "seed=0,1"], ["show", "run"], ["--cfg", "job"]):
        with pytest.raises(ConfigError):
            snnrun.train(*words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "key=null"),
        (True, "key=true"),
        (0.1, "key=0.1"),
        (1e-30, "key=1e-30"),
        ("a b", 'key="a b"'),
        ('say "no" \\', r'key="say \"no\" \\"'),
        ([1, [2.5, None]], "key=[1,[2.5,null]]"),
        ({"a": 1}, "key={a:1}"),
        (np.float64(0.5), "key=0.5"),
        (np.int64(3), "key=3"),
    ],
)
def test_keyword_arguments_are_words(value: object, word: str) -> None:
    assert overrides_of({"key": value}) == [word]


def test_a_value_that_no_config_can_hold() -> None:
    with pytest.raises(snnrun.ArgumentError, match="key"):
        overrides_of({"key": object()})


def test_text_arrives_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a b", "it's", "50 %", "x,y", "[z]", "{w}", "ö=1"):
        assert snnrun.compose(data_dir=folder).settings.data_dir == folder


def test_load_runs_nothing_of_a_stranger(run: snnrun.Run, tmp_path: Path) -> None:
    folder, mark = tmp_path / "stranger", tmp_path / "mark"
    folder.mkdir()
    text = (run.folder / "config.yaml").read_text().replace("snnrun.neuron.LIF", "os.system")
    (folder / "config.yaml").write_text(text.replace("_partial_: true", f"command: touch {mark}"))
    (folder / "metrics.jsonl").write_text('{"kind": "epoch"}\n{broken\n')
    stranger = snnrun.load(folder)
    assert stranger.status == "dead" and [record.kind for record in stranger.records()] == ["epoch"]
    for use in (
        stranger.model,
        stranger.data,
        stranger.traces,
        stranger.evaluate,
        stranger.resume,
        stranger.reproduce,
    ):
        with pytest.raises(ConfigError, match=r"os\.system"):
            use()
    with pytest.raises(DataError):
        _ = stranger.result
    assert not mark.exists()
    assert [each.folder for each in snnrun.runs(tmp_path)] == [folder]


def test_a_run_is_found_by_a_piece_of_its_name(run: snnrun.Run) -> None:
    assert snnrun.load(run.folder.name[-8:], root=run.folder.parents[1]).folder == run.folder
    with pytest.raises(ConfigError):
        snnrun.load("no such run", root=run.folder.parents[1])
