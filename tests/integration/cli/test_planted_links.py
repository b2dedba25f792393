"""Links planted in a folder that is written: nothing outside of it changes, and what they lead to stays as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from snnrun.errors import NonFiniteError
from snnrun.system import files
from support.command import Command, Training
from support.swept import make_sweep

WORDS = ("-m", "seed=0,1", "hydra.sweep.dir=sweep")
SWEEP = Path("sweep")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links")


def begins(call: dict[str, Any]) -> None:
    """The stand-in for the training leaves a run of seed 0 that finished, and one of seed 1 that failed."""
    (call["folder"] / "config.yaml").write_text("seed: 0\n")
    if call["settings"].seed == 1:
        raise NonFiniteError("the loss is NaN")
    (call["folder"] / "result.json").write_text('{"status": "finished"}')


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of the user that no run has to do with."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    return folder


def test_a_report_writes_through_no_link_whatever_its_name(command: Command, tmp_path: Path, elsewhere: Path) -> None:
    sweep, precious = make_sweep(tmp_path / "sweep", {"neuron": ["if", "lif"]}, seeds=2), elsewhere / "precious"
    for name in ("report.html", "results.csv"):
        (sweep / name).symlink_to(precious)
        for number in range(os.getpid() - 5, os.getpid() + 50):
            (sweep / f".{name}.{number}.tmp").symlink_to(precious)
    assert command("report", str(sweep)).code == 0
    assert precious.read_text() == "mine"
    for name in ("report.html", "results.csv"):
        assert files.own_file(sweep / name)


def test_a_folder_that_is_a_link_is_not_written(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "figures").symlink_to(elsewhere)
    for write in (files.write_text, lambda path, text: os.close(files.open_to_append(path))):
        with pytest.raises(OSError, match=r"symbolic link|[Nn]ot a directory|link"):
            write(tmp_path / "figures" / "loss.png", "x")
    with pytest.raises(OSError, match="File exists"):
        files.make_folder(tmp_path / "figures")
    assert content(elsewhere) == {"precious": b"mine"}


@pytest.mark.parametrize("kind", ["link", "second name", "pipe"])
def test_lines_are_added_to_a_file_of_ours_alone(tmp_path: Path, elsewhere: Path, kind: str) -> None:
    path, precious = tmp_path / "run.log", elsewhere / "precious"
    if kind == "link":
        path.symlink_to(precious)
    elif kind == "second name":
        path.hardlink_to(precious)
    else:
        os.mkfifo(path)
    with pytest.raises(OSError):
        files.open_to_append(path)
    assert precious.read_text() == "mine"


def test_a_new_file_is_created_exclusively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    """Even where its random name is guessed."""
    monkeypatch.setattr("secrets.token_hex", lambda size: "guess")
    (tmp_path / ".result.json.guess.tmp").symlink_to(elsewhere / "precious")
    with pytest.raises(FileExistsError):
        files.write_text(tmp_path / "result.json", "{}")
    assert (elsewhere / "precious").read_text() == "mine"


def test_a_users_own_link_to_a_sweep_is_followed(command: Command, tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", {"neuron": ["if", "lif"]}, seeds=2)
    (tmp_path / "latest").symlink_to(sweep)
    assert command("report", str(tmp_path / "latest")).code == 0
    assert files.own_file(sweep / "report.html")


JOB = SWEEP / "1-lif-atan-s1"


@pytest.mark.parametrize("place", [".hydra", "checkpoints", "figures", ""], ids=lambda place: place or "the job")
def test_a_sweep_that_goes_on_writes_nothing_elsewhere(
    command: Command, training: Training, elsewhere: Path, place: str
) -> None:
    training.behaviour = begins
    assert command(*WORDS).code == 7
    spoilt = JOB / place if place else JOB
    if spoilt.exists():
        spoilt.rename(SWEEP.parent / "before")
    spoilt.symlink_to(elsewhere)
    training.calls.clear()
    assert command(*WORDS, "--resume").code == 7
    assert not training.calls, "it is refused before it trains"
    assert content(elsewhere) == {"precious": b"mine"}
    assert spoilt.is_symlink()


@pytest.mark.long
def test_the_log_of_a_job_is_no_link(command: Command, training: Training, elsewhere: Path) -> None:
    training.behaviour = begins
    assert command(*WORDS).code == 7
    (SWEEP / "logs").mkdir()
    (SWEEP / "logs" / "1.txt").symlink_to(elsewhere / "precious")
    assert command(*WORDS, "--resume", "hydra/launcher=local_parallel").code == 7
    assert (elsewhere / "precious").read_text() == "mine"


def test_the_study_is_no_link(command: Command, training: Training, elsewhere: Path) -> None:
    words = ("-m", "hydra/sweeper=optuna", "optimizer.lr=interval(1e-4,1e-2)", "hydra.sweeper.n_trials=1")
    SWEEP.mkdir()
    (SWEEP / "search.db").symlink_to(elsewhere / "study.db")
    outcome = command(*words, "hydra.sweep.dir=sweep")
    assert outcome.code == 2
    assert "search.db" in outcome.err
    assert not (elsewhere / "study.db").exists()


@pytest.mark.parametrize("place", [".hydra", ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"])
def test_a_run_in_a_folder_that_is_there_writes_nothing_elsewhere(
    command: Command, training: Training, elsewhere: Path, place: str
) -> None:
    spoilt = Path("run", place)
    spoilt.parent.mkdir(parents=True)
    spoilt.symlink_to(elsewhere if place == ".hydra" else elsewhere / "precious")
    outcome = command("hydra.run.dir=run")
    assert content(elsewhere) == {"precious": b"mine"}
    # A link in the place of a file is replaced, one in the place of a folder refused.
    assert outcome.code == (6 if place == ".hydra" else 0)
    assert len(training.calls) == (0 if place == ".hydra" else 1)


def test_a_record_that_is_there_keeps_its_marks(command: Command, elsewhere: Path) -> None:
    marks = Path("run", ".hydra")
    marks.mkdir(parents=True)
    (marks / "config.yaml").write_text("seed: 7\n")
    Path("run", "result.json").write_text('{"status": "finished"}')
    assert command("simulate", "hydra.run.dir=run").code == 2
    assert (marks / "config.yaml").read_text() == "seed: 7\n"
    assert sorted(path.name for path in marks.iterdir()) == ["config.yaml"]


@pytest.mark.parametrize("place", ["multirun.yaml", "0-lif-step"])
def test_a_sweep_of_pictures_writes_nothing_elsewhere(command: Command, elsewhere: Path, place: str) -> None:
    SWEEP.mkdir()
    (SWEEP / place).symlink_to(elsewhere / "precious" if place == "multirun.yaml" else elsewhere)
    words = ("simulate", "-m", "neuron=lif,if", "num_steps=5", "style.format=png", "hydra.sweep.dir=sweep")
    assert command(*words).code == (0 if place == "multirun.yaml" else 7)
    assert content(elsewhere) == {"precious": b"mine"}
    assert files.own_file(SWEEP / "multirun.yaml")
    assert (SWEEP / "1-if-step" / "result.json").is_file()


@pytest.mark.skipif(not hasattr(os, "O_PATH") or os.getuid() != 0, reason="links of another user, on Linux")
def test_another_users_link_on_the_way_is_not_followed(tmp_path: Path, elsewhere: Path) -> None:
    """They may have put it in the place of a folder, after that was looked at; the user's own links are their will."""
    (elsewhere / "figures").mkdir()
    for name, user in (("theirs", 12345), ("own", os.getuid())):
        (tmp_path / name).symlink_to("elsewhere")
        os.lchown(tmp_path / name, user, -1)
    places = [tmp_path / "theirs" / "figures" / name for name in ("a.png", "run.log", "deep")]
    for write, place in zip(
        (lambda path: files.write_text(path, "x"), files.touch, files.make_folder), places, strict=True
    ):
        with pytest.raises(OSError, match="link"):
            write(place)
    assert not list((elsewhere / "figures").iterdir())
    own = tmp_path / "own" / "figures"
    files.write_text(own / "a.png", "x")
    files.make_folder(own / "deep")
    files.write_text(files.without_links(tmp_path / "theirs") / "b", "x")  # the user named it
    assert {path.name for path in elsewhere.rglob("*")} == {"precious", "figures", "a.png", "deep", "b"}
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="link"):
        files.touch(tmp_path / "loop" / "figures" / "a")


def test_no_handle_is_left_open(tmp_path: Path) -> None:
    handles = Path("/proc/self/fd")
    if not handles.exists():
        pytest.skip("the open files of a process take Linux")
    (tmp_path / "own").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    before = len(list(handles.iterdir()))
    files.write_text(tmp_path / "own" / "own" / ".." / "a", "x")
    for path in (tmp_path / "loop" / "a", tmp_path / "a" / "b" / "c", tmp_path / "none" / "a", tmp_path / "own" / "a"):
        with pytest.raises(OSError):
            files.write_text(path, "x")
    assert len(list(handles.iterdir())) == before
