"""A data_dir that is not there: a download that fails leaves none, and the message says so."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from snnrun.cli import main
from snnrun.task.new_folder import new_folder

TASKS = ("mnist", "fashion_mnist", "cifar10", "svhn", "emnist", "shd", "nmnist", "dvs_gesture")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is found, and no host answers, whatever the machine of the tests can reach."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("task", TASKS)
def test_a_misspelt_data_dir_is_not_made(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main([f"task={task}", "data_dir=missspelt/sets", "report.progress=false", "hydra.run.dir=run"])
    err = capsys.readouterr().err
    assert code == 3
    assert "missspelt/sets, which is no folder" in err
    assert f"a new folder missspelt/sets/{task}: " in err and "one of those folders" not in err
    assert ("task=mnist5k" in err) is (task in ("mnist", "emnist"))
    assert ("task=moving_bars" in err) is (task in ("shd", "nmnist", "dvs_gesture"))
    assert not Path("missspelt").exists()


def test_what_came_stays_and_what_was_there_too(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with new_folder(tmp_path / "there"):
        pass
    assert (tmp_path / "there").is_dir()
    with new_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
    assert (tmp_path / "a" / "b" / "file").is_file()
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "c" / "d"):
        raise KeyboardInterrupt
    assert not (tmp_path / "c").exists()
