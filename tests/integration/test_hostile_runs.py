"""Run folders made to harm: ``runs``, ``show`` and ``diff`` say what they can, in plain lines, and do nothing else.

Every case is a folder that was a run before somebody put something into it. Nothing may be executed, followed, waited
for, read whole if it is huge, or sent to the terminal raw.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from snnrun.cli import main
from snnrun.sweep.page.html import SCRIPTS, asset
from snnrun.system import lock
from support.made_up import MANIFEST, RESULT, epoch, make_run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and alarms")

FILES = (
    "result.json",
    "manifest.json",
    "metrics.jsonl",
    "config.yaml",
    "run.log",
    "run.lock",
    ".hydra/hydra.yaml",
    ".hydra/config.yaml",
    ".hydra/overrides.yaml",
)
MADE_LATER = ("run.lock",)
ESCAPE = "\x1b[2J\x1b]0;owned\x07\x1b[31m\x9b1A\u202e"
HUGE = 1 << 40  # bytes, of a file with nothing in it: reading it takes for ever
LIMIT = 60  # seconds for a command that takes a tenth of one


def write(folder: Path, name: str, content: str | bytes) -> None:
    path = folder / name
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_bytes(content.encode(errors="surrogatepass") if isinstance(content, str) else content)


def everywhere(content: str | bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for name in FILES:
            write(folder, name, content)

    return spoil


def as_link(target: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(target if target != "itself" else Path(name).name)

    return spoil


def as_pipe(folder: Path) -> None:
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)


def as_folder(folder: Path) -> None:
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()


def huge(folder: Path) -> None:
    for name in FILES:
        (folder / name).touch()
        os.truncate(folder / name, HUGE)


def huge_after_a_start(folder: Path) -> None:
    os.truncate(folder / "metrics.jsonl", HUGE)
    os.truncate(folder / "run.log", HUGE)


def escapes(folder: Path) -> None:
    text = f"{ESCAPE}text"
    write(folder, "result.json", json.dumps({**RESULT, "error": text, text: text, "list": [text, {text: text}]}))
    write(folder, "manifest.json", json.dumps({**MANIFEST, "command": [text], "platform": text, "device": text}))
    write(folder, "metrics.jsonl", json.dumps({**epoch(1), "epoch": text, "train_loss": text}) + "\n")
    write(folder, "run.log", f"warning: {text}\nerror: {text}\n")
    write(folder, ".hydra/config.yaml", f"seed: {json.dumps(text)}\n{json.dumps(text)}: 1\n")
    write(folder, ".hydra/hydra.yaml", f"    choices:\n      neuron: {text}\n      task: di{ESCAPE}gits\n")
    write(folder, lock.NAME, json.dumps({"pid": 1, "host": text, "started": text}))
    (folder / f"file{ESCAPE}").touch()
    (folder / b"not\xffutf-8".decode(errors="surrogateescape")).touch()


def lock_of_another_machine(folder: Path) -> None:
    (folder / "result.json").unlink()
    write(folder, lock.NAME, json.dumps({"pid": 2**31, "host": "x" * 200, "started": "now"}))


def many_files(folder: Path) -> None:
    for number in range(3000):
        (folder / "figures" / f"{number}").touch()
    deep = folder / "figures"
    for _ in range(200):
        deep = deep / "d"
        deep.mkdir()


def links_for_folders(folder: Path) -> None:
    for name in (".hydra", "figures", "checkpoints"):
        shutil.rmtree(folder / name)
        (folder / name).symlink_to("/etc")


def outside(folder: Path) -> Path:
    return folder.parent.parent / "outside"


LAUGHS = "a: &a [ha, ha]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
)
CASES: dict[str, Callable[[Path], None]] = {
    "empty": everywhere(b""),
    "NUL": everywhere(b"\0" * 100_000),
    "no UTF-8": everywhere(b"\xff\xfe\xc3\x28" * 1000),
    "escapes": escapes,
    "nothing but escapes": everywhere(ESCAPE * 1000),
    "deep JSON": everywhere("[" * 200_000),
    "deep objects": everywhere('{"a":' * 200_000),
    "deep objects that end": everywhere('{"a":' * 900 + "1" + "}" * 900),
    "JSON of other types": everywhere('{"status": {}, "epochs": [], "test_accuracy": {}, "packages": 3, "git": "x"}'),
    "huge numbers": everywhere('{"status": "finished", "epochs": 1' + "0" * 10_000 + ', "test_loss": 1e99999}'),
    "numbers that are large": everywhere(f'{{"status": "finished", "epochs": 1{"0" * 38}, "test_accuracy": 1e308}}'),
    "a million keys": everywhere(json.dumps({str(i): i for i in range(20_000)})),
    "one long line": everywhere('{"kind": "epoch", "x": "' + "x" * 5_000_000 + '"}'),
    "many warnings": everywhere("".join(f"warning: {i}\n" for i in range(50_000))),
    "an epoch of everything": everywhere('{"kind": "epoch", "epoch": [1], "best": {}, "train_loss": "x"}\n' * 1000),
    "YAML with tags": everywhere("a: !!python/object/apply:os.system ['touch pwned']\nb: !!python/name:os.system\n"),
    "YAML that multiplies": everywhere(LAUGHS),
    "YAML in itself": everywhere("a: &a [*a]\n"),
    "deep YAML": everywhere("a: " + "[" * 50_000),
    "YAML of odd types": everywhere("1: 2026-01-01\n2.5: !!binary aGE=\nnull: !!set {a, b}\nd: !!omap [{a: 1}]\n"),
    "YAML with huge numbers": everywhere(f"seed: {'9' * 4000}\na: 0x{'f' * 5000}\n? 0x{'f' * 900}\n: 1\n"),
    "links to a secret": lambda folder: as_link(str(outside(folder)))(folder),
    "links to themselves": as_link("itself"),
    "links to a device": as_link("/dev/zero"),
    "links to /etc": as_link("/etc"),
    "links for folders": links_for_folders,
    "pipes": as_pipe,
    "folders": as_folder,
    "huge": huge,
    "huge after a start": huge_after_a_start,
    "many files": many_files,
    "a lock of another machine": lock_of_another_machine,
}


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run beside a good one; a command that hangs is ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    (tmp_path / "outside").write_text('{"status": "SECRET", "SECRET": 1}\nwarning: SECRET\n')
    make_run(tmp_path / "outputs" / "good")

    def too_long(*_: object) -> None:
        raise AssertionError("hung")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    yield make_run(tmp_path / "outputs" / "hostile")
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_run_is_looked_at(case: str, hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CASES[case](hostile)
    before = snapshot(hostile)
    for words in (["runs"], ["show", "hostile"], ["diff", "hostile", "good"], ["diff", "good", "hostile"]):
        code = main(words)
        out, err = capsys.readouterr()
        assert (code, err) == (0, ""), words
        assert all(line.isprintable() for line in out.split("\n"))
        assert len(out) < 60_000
        assert "SECRET" not in out and "root:" not in out
    assert out.endswith(("\n", "."))
    assert snapshot(hostile) == before
    assert not (hostile / "pwned").exists() and not Path("pwned").exists()


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_a_hostile_run_is_reported(case: str, hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run alone, and as a job of a sweep."""
    CASES[case](hostile)
    before = snapshot(hostile)
    for words in (["report", "outputs/hostile"], ["report", "outputs"], ["best", "outputs"]):
        code = main(words)
        out, err = capsys.readouterr()
        assert code == 0 or (code == 2 and "expected" in err), words
        assert all(line.isprintable() for line in (out + err).split("\n"))
    for path in Path("outputs").rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        for name in ("page.css", *SCRIPTS):
            page = page.replace(asset(name), "")
        assert "SECRET" not in page and "root:" not in page and len(page) < 2_000_000
    after = {name: entry for name, entry in snapshot(hostile).items() if not name.endswith("/report.html")}
    assert after == before
    assert not (hostile / "pwned").exists() and not Path("pwned").exists()


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_a_hostile_run_hides_no_other(case: str, hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CASES[case](hostile)
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (good,) = [line for line in lines if line.endswith("  good")]
    assert good.startswith("finished")
    (bad,) = [line for line in lines if line.endswith("  hostile")]
    assert bad.split()[0].rstrip("+") in ("finished", "failed", "interrupted", "running", "dead")


def test_a_run_with_a_hostile_name(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{ESCAPE}\n\rfinished 100 %"
    make_run(hostile.with_name(name))
    for words in (["runs"], ["show", name], ["diff", name, "good"], ["show", "o"]):
        assert main(words) in (0, 2)
        out, err = capsys.readouterr()
        assert all(line.isprintable() for line in (out + err).split("\n"))


def test_a_table_of_nothing_but_links(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(hostile)
    hostile.symlink_to(hostile.parent)
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 run: 1 finished"


@pytest.mark.long
def test_damage_at_random(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes changed, cut out, repeated, moved to another file: whatever a disk or a person may do."""
    random = Random(0)
    good = {name: (hostile.with_name("good") / name).read_bytes() for name in FILES if name not in MADE_LATER}
    for number in range(100):
        for name, content in good.items():
            write(hostile, name, damage(content, good, random) if random.random() < 0.5 else content)
        for words in (["runs"], ["show", "hostile"], ["diff", "good", "hostile"]):
            code = main(words)
            out, err = capsys.readouterr()
            assert (code, err) == (0, ""), (number, words)
            assert all(line.isprintable() for line in out.split("\n"))


def damage(content: bytes, others: dict[str, bytes], random: Random) -> bytes:
    copy = bytearray(content)
    for _ in range(random.randrange(1, 20)):
        where, size = random.randrange(len(copy) + 1), random.randrange(1, 40)
        kind = random.randrange(5)
        if kind == 0:
            del copy[where : where + size]
        elif kind == 1:
            copy[where:where] = copy[where : where + size] * random.randrange(1, 5)
        elif kind == 2:
            copy[where : where + 1] = random.randbytes(1)
        elif kind == 3:
            copy[where:where] = random.choice([b"null", b"[]", b"{}", b"-1", b'"', b":", b"\n", b"1e999", b"&a", b"*a"])
        elif random.random() < 0.1:
            copy[:] = random.choice(sorted(others.values()))
    return bytes(copy)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every entry with its kind and size."""
    entries = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        entries[str(path)] = (status.st_mode, status.st_size)
    return entries
