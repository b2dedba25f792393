"""What a run that goes on checks of its own folder: that the config is the run's, and what is left of the manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from snnrun.cli import main
from snnrun.config.fingerprint import config_hash
from snnrun.run import checkpoint
from snnrun.run.compare import compare
from snnrun.run.run_folder import recorded_threads
from snnrun.system import files, safe_read
from support.shell import contents

WORDS = [
    "report.figures=false",
    "report.summary=false",
    "report.progress=false",
    "task=zeros",
    "task.steps_per_epoch=2",
    "batch_size=4",
    "num_steps=3",
    "model.hidden=[4]",
    "epochs=2",
    "hydra.run.dir=run",
]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("SNNRUN_DEBUG", raising=False)
        assert main(WORDS) == 0
    return folder / "run"


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that was killed after its first epoch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    copy = Path(shutil.copytree(whole, tmp_path / "run"))
    checkpoint.states(copy / "checkpoints")[0].unlink()
    (copy / "result.json").unlink()
    return copy


def without_states(run: Path) -> Path:
    for path in checkpoint.states(run / "checkpoints"):
        path.unlink()
    return run


def test_a_process_makes_a_step_however_little_time_it_has(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation that outlasts the time was begun again and again, without an end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    code, resumes = main([*WORDS, "max_seconds=1e-9"]), 0
    while code == 143:
        code, resumes = main(["resume", "run"]), resumes + 1
        assert resumes <= 5, "a process for each of the four steps, and one for the test, are the most that it takes"
    assert code == 0 and resumes
    verdict = compare(whole, Path("run"), same_seed=True)
    assert verdict.exact, verdict.words()


def edit(run: Path) -> Path:
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "seed": 5}, sort_keys=False))
    return run


def test_the_manifest_has_the_hash_of_the_config(whole: Path) -> None:
    manifest = safe_read.json_object(whole, "manifest.json")
    assert manifest["config_sha256"] == config_hash(safe_read.yaml_object(whole, "config.yaml"))
    assert {"packages", "seed", "threads", "directory"} <= set(manifest)


@pytest.mark.parametrize("states", [True, False])
def test_another_config_is_not_gone_on_with(states: bool, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(run if states else without_states(run))
    before = contents(run)
    assert main(["resume", "run"]) == 2
    assert "config.yaml is another one than it was" in capsys.readouterr().err
    assert contents(run) == before


def test_nor_reproduced(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", str(edit(run))]) == 2
    assert "config.yaml is another one than it was" in capsys.readouterr().err
    (run / "manifest.json").unlink()  # the states know it too
    assert main(["reproduce", str(run)]) == 2
    assert not Path("outputs").exists()


def test_its_test_is_not_the_recorded_one(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "run"]) == 0
    assert "warning" not in capsys.readouterr().err
    edit(run)
    assert main(["evaluate", "run"]) == 0
    assert "config.yaml is another one" in capsys.readouterr().err


def test_an_interrupted_run_is_not_reproduced(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "result.json").write_text('{"status": "interrupted", "error": null}')
    (run / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes().splitlines(keepends=True)[0])
    assert main(["reproduce", "run"]) == 8
    out = capsys.readouterr().out
    assert "only 1 record could be compared" in out and "match: all" not in out


@pytest.mark.parametrize("instant", range(6))
def test_killed_while_it_writes_its_first_files(instant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is killed: a config that is there has its hash beside it, so that another is noticed."""
    monkeypatch.chdir(tmp_path)
    write, count = files.write_bytes, 0

    def write_until_killed(path: Path, data: bytes) -> None:
        nonlocal count
        count += 1
        if count > instant:  # nothing more is written, of how it ended neither
            raise OSError(5, "killed")
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", write_until_killed)
        assert main(WORDS) == 6
    run = tmp_path / "run"
    for path in checkpoint.states(run / "checkpoints"):
        path.unlink()
    if not (run / "config.yaml").exists():
        assert main(["resume", "run"]) == 2  # there is nothing to go on from
        return
    original = (run / "config.yaml").read_bytes()
    assert main(["resume", str(edit(run))]) == 2
    (run / "config.yaml").write_bytes(original)
    assert main(["resume", "run"]) == 0
    manifest = safe_read.json_object(run, "manifest.json")
    assert manifest["config_sha256"] == config_hash(safe_read.yaml_object(run, "config.yaml"))
    assert manifest["seed"] == 0 and manifest["packages"] and manifest["resumed"][0]["changed"] == {}


DAMAGE: dict[str, bytes | None] = {
    "a list": b"[1]",
    "resumed is a number": b'{"resumed": 7}',
    "resumed is a list of anything": b'{"resumed": [1, null, {"step": 1}]}',
    "brackets": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "nested": b'{"packages":' * 300 + b"{}" + b"}" * 300,
    "nested as far as json goes": b'{"packages":' * 900 + b"{}" + b"}" * 900,
    "not UTF-8": b"\xff\xfe\xc3\x28" * 10,
    "NUL": b"\0" * 1000,
    "empty": b"",
    "missing": None,
    "other kinds": b'{"packages": 3, "command": {"a": 1}, "directory": [], "started": 5, "threads": "x", "cpu": []}',
    "another hash": b'{"config_sha256": "' + b"0" * 64 + b'"}',
    "hash of another kind": b'{"config_sha256": {"a": [1]}}',
    "huge": b'{"a": "' + b"x" * (1 << 21) + b'"}',
    "huge numbers": b'{"seed": 1' + b"0" * 9999 + b', "memory_bytes": 1e999, "threads": NaN}',
    "many keys": json.dumps({"packages": {f"\x1b[2Jp{i}": "1" for i in range(20_000)}}).encode(),
}


def with_threads(run: Path, **values: object) -> None:
    manifest = safe_read.json_object(run, "manifest.json")
    (run / "manifest.json").write_text(json.dumps({**manifest, **values}))


def changed_threads(run: Path) -> object:
    """What the manifest says that became of the number of threads; None where it stayed."""
    return safe_read.json_object(run, "manifest.json")["resumed"][-1]["changed"].get("threads")


def test_it_computes_on_as_many_threads_as_before(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is worth one; it had three, and this machine has four cores."""
    monkeypatch.setattr("snnrun.system.machine.cores", lambda: 4)
    with_threads(run, threads=3)
    before = torch.get_num_threads()
    assert main(["resume", "run"]) == 0
    assert changed_threads(run) is None
    assert safe_read.json_object(run, "manifest.json")["threads"] == 3
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [5, 10**6])
def test_if_the_machine_has_that_many(threads: int, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnrun.system.machine.cores", lambda: 4)
    with_threads(run, threads=threads)
    assert main(["resume", "run"]) == 0
    assert changed_threads(run) == [threads, 1]


@pytest.mark.parametrize("threads", [0, -2, True, 2.5, "2", None])
def test_threads_that_are_no_number_of_threads(threads: object, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnrun.system.machine.cores", lambda: 4)
    with_threads(run, threads=threads)
    assert recorded_threads(run, 1) is None
    assert main(["resume", "run"]) == 0


def test_threads_of_another_number_of_processes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnrun.system.machine.cores", lambda: 4)
    with_threads(run, threads=3, parallel={"world_size": 2, "backend": "gloo"})
    assert recorded_threads(run, 2) == 3
    assert main(["resume", "run"]) == 0
    assert changed_threads(run) == [3, 1]


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_manifest_is_written_anew(
    case: str, run: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = DAMAGE[case]
    (run / "manifest.json").unlink() if content is None else (run / "manifest.json").write_bytes(content)
    assert main(["resume", "run"]) == 0
    _, err = capsys.readouterr()
    assert "\x1b" not in err and len(err) < 20_000
    manifest = safe_read.json_object(run, "manifest.json")
    assert manifest["config_sha256"] == config_hash(safe_read.yaml_object(run, "config.yaml"))
    assert set(manifest) - {"resumed"} == set(safe_read.json_object(whole, "manifest.json"))
    assert manifest["resumed"][-1]["step"] == 2
    if "manifest" in err:
        assert "written anew" in err
    (run / "run.log").read_text()
    assert compare(whole, run, same_seed=True).exact
    assert main(["show", "run"]) == 0


def test_what_is_left_of_a_manifest_stays(run: Path) -> None:
    manifest = safe_read.json_object(run, "manifest.json")
    manifest["started"], manifest["packages"] = "2026-03-01T12:00:00+00:00", 3
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert main(["resume", "run"]) == 0
    after = safe_read.json_object(run, "manifest.json")
    assert after["started"] == manifest["started"] and isinstance(after["packages"], dict)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("elsewhere"), os.mkfifo])
def test_a_manifest_that_is_no_file_of_the_run(make: Callable[[Path], None], run: Path) -> None:
    (run / "manifest.json").rename(run.parent / "elsewhere")
    make(run / "manifest.json")
    assert main(["resume", "run"]) == 2
    assert not (run / "result.json").exists()


def test_a_folder_for_a_manifest(run: Path) -> None:
    (run / "manifest.json").unlink()
    (run / "manifest.json").mkdir()
    assert main(["resume", "run"]) in (2, 6)
