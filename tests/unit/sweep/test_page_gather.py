"""What is read of sweeps: whole, half done, damaged, and made to harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snnrun.errors import ConfigError
from snnrun.sweep.folders import find, is_sweep
from snnrun.sweep.page.gather import job, sweep
from snnrun.system.lock import RunLock
from support.made_up import make_run
from support.swept import make_job, make_sweep


def test_a_sweep_as_its_list_has_it(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, seeds=2)
    summary = sweep(folder)
    assert [job.number for job in summary.jobs] == [0, 1, 2, 3]
    assert summary.jobs[3].words == ("neuron=lif", "seed=1", "epochs=3")
    assert summary.jobs[3].overrides == {"neuron": "lif", "seed": "1", "epochs": "3"}
    assert (summary.started, summary.command) == ("2026-03-01T12:00:00+00:00", ("snnrun", "-m", "seed=0,1"))
    assert [(job.status, job.seed, job.epochs) for job in summary.jobs] == [("finished", s, 3) for s in (0, 1, 0, 1)]
    (one,) = [job for job in summary.jobs if job.number == 1]
    assert one.test == {"accuracy": 0.501, "loss": 0.5}
    assert one.validation == {"accuracy": 0.501, "loss": 2 / 3}
    assert one.curves["validation_accuracy"] == pytest.approx((0.167, 0.334, 0.501))
    assert one.best_epoch == 3


def test_spikes_are_neurons_times_rate_times_steps(tmp_path: Path) -> None:
    summary = job(make_job(tmp_path / "0-x", ["seed=0"], 0.5))
    assert summary.spikes == pytest.approx(25 * (100 * 0.2 + 10 * 0.1))


@pytest.mark.parametrize(
    "layers",
    [{}, {"hidden1": {"neurons": 100}}, {"hidden1": {"neurons": "100", "firing_rate": 0.2}}, [], {"hidden1": 3}],
    ids=str,
)
def test_spikes_that_cannot_be_known(tmp_path: Path, layers: object) -> None:
    assert job(make_job(tmp_path / "0-x", ["seed=0"], 0.5, layers=layers)).spikes is None


def test_without_a_list_the_runs_are_the_jobs(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, seeds=6, with_list=False)
    summary = sweep(folder)
    assert [job.number for job in summary.jobs] == list(range(12)), "by number, and not by letter"
    assert summary.jobs[10].words == ("neuron=lif", "seed=4", "epochs=3")


@pytest.mark.parametrize("with_list", [True, False])
def test_jobs_may_lie_deeper(tmp_path: Path, with_list: bool) -> None:
    for name in ("if/0", "lif/0"):
        make_job(tmp_path / name, [f"neuron={name[:-2]}", "seed=0"], 0.5)
    jobs = [{"number": n, "folder": name, "overrides": []} for n, name in enumerate(("lif/0", "if/0"))]
    (tmp_path / "sweep.json").write_text(json.dumps({"jobs": jobs if with_list else []}))
    assert [job.name for job in sweep(tmp_path).jobs] == (["lif/0", "if/0"] if with_list else ["if/0", "lif/0"])


def test_a_run_that_is_not_in_the_list_counts(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if"]}, seeds=2)
    make_job(folder / "7-more", ["neuron=if", "seed=7"], 0.75)
    assert [(job.number, job.seed) for job in sweep(folder).jobs] == [(0, 0), (1, 1), (7, 7)]


def test_jobs_that_have_not_finished(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if"]}, seeds=1)
    log = "".join(f"line {n}\n" for n in range(20)) + "error: loss is nan\n"
    make_job(folder / "1-a", ["neuron=a"], 0.4, status="failed", error="loss is nan", log=log)
    make_job(folder / "2-b", ["neuron=b"], None, status="interrupted")
    make_job(folder / "3-c", ["neuron=c"], 0.4, status="dead")
    live = make_job(folder / "4-d", ["neuron=d"], 0.4, status="dead")
    sweep_list = json.loads((folder / "sweep.json").read_text())
    sweep_list["jobs"].append({"number": 5, "folder": "5-e", "overrides": ["neuron=e", "seed=9"]})
    (folder / "sweep.json").write_text(json.dumps(sweep_list))
    with RunLock(live):
        jobs = sweep(folder).jobs
    states = ["finished", "failed", "interrupted", "dead", "running", "not started"]
    assert [job.status for job in jobs] == states
    assert jobs[1].failure == "loss is nan"
    assert jobs[1].last_lines == (*(f"line {n}" for n in range(15, 20)), "error: loss is nan")
    assert [bool(job.test) for job in jobs] == [True] + 5 * [False]
    assert jobs[4].last_lines == () and jobs[4].curves["train_loss"] == (2.0, 1.0)
    assert jobs[5].seed == 9


@pytest.mark.parametrize(
    "name", ["../outside", "/etc", "..", ".", "a//b", "a/../../outside", "a\\b", "", 3, None, "\0", 300 * "x"]
)
def test_a_list_leads_nowhere_else(tmp_path: Path, name: object) -> None:
    make_job(tmp_path / "outside", ["seed=0"], 0.5)
    folder = make_sweep(tmp_path / "s", {"neuron": ["if"]}, seeds=1)
    (folder / "sweep.json").write_text(json.dumps({"jobs": [{"number": 0, "folder": name, "overrides": []}]}))
    assert [job.name for job in sweep(folder).jobs] == ["0-job-s0"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"jobs": 3}', '{"jobs": [3, {}, {"folder": {}}]}', "\0"])
def test_a_damaged_list_is_none(tmp_path: Path, content: str) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, seeds=1)
    (folder / "sweep.json").write_text(content)
    assert [job.status for job in sweep(folder).jobs] == 2 * ["finished"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = make_job(tmp_path / "outside", ["seed=0"], 0.5)
    folder = make_sweep(tmp_path / "s", {"neuron": ["if"]}, seeds=1)
    (folder / "9-link").symlink_to(outside)
    (folder / "inner").symlink_to(tmp_path)
    jobs: list[dict[str, object]] = [
        {"number": 9, "folder": name, "overrides": []} for name in ("9-link", "inner/outside")
    ]
    (folder / "sweep.json").write_text(json.dumps({"jobs": jobs}))
    assert [(job.number, job.status) for job in sweep(folder).jobs] == [(0, "finished")]


def test_figures_that_are_none(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "0-x", ["seed=0"], 0.5)
    result = (
        '{"status": "finished", "test_accuracy": "0.5", "test_loss": NaN, "weights_sha256": "<b>", "parameters": 1e5}'
    )
    (folder / "result.json").write_text(result)
    summary = job(folder)
    assert (summary.test, summary.weights_sha256, summary.parameters) == ({}, "", None)


def test_runs_of_which_no_words_are_left(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "s" / "0-lif")
    (folder / ".hydra" / "overrides.yaml").unlink()
    assert {"neuron=lif", "surrogate=atan", "seed=3"} <= set(job(folder).words)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    day = Path("outputs/multirun/2026-03-01")
    first = make_sweep(day / "12-00-00-0e9b2c55", {"neuron": ["if"]}, seeds=2)
    make_run(Path("outputs/2026-03-01/12-00-00-lif-5d3a9e01"))
    assert find("0e9b2c55") == find(str(first)) == find("12-00-00-0e9b2c55") == first
    assert find("outputs/multirun") == first, "the only one there"
    assert find("5d3a9e01").name.endswith("5d3a9e01")
    assert find("1-job-s1") == first / "1-job-s1"
    second = make_sweep(day / "13-00-00-11112222", {"neuron": ["if"]}, seeds=2)
    assert find("13-00-00") == second, "a piece of one name"
    for word in ("outputs/multirun", "nothing", "\0", "", "x" * 5000):
        with pytest.raises(ConfigError, match="expected"):
            find(word)
    assert is_sweep(first) and not is_sweep(first / "1-job-s1") and not is_sweep(day)
