"""Prints the SHA-256 of the weights that some short runs end with: the numerics of a commit in a dozen lines.

``python -m benchmarks.same_bits`` trains the default run (``seed=0``, two epochs) and the first ten steps of every
experiment preset, each by the command in a process of its own. A change that moves no number prints the same lines
before and after, on one machine and with one release of torch. Two runs are also made with a process for each step,
which the next one resumes; exit code 1 if the weights then differ from those of one process.

Nothing is downloaded: a preset whose data set would be trains on images or events of the same shape that need none,
with smaller batches, and the two largest networks with fewer channels. Needs the extra ``mlxtend``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

#: No figures, and sums in the same order on every machine.
QUIET = ("report.figures=false", "report.summary=false", "report.progress=false", "threads=1", "seed=0")
#: Of each preset: the task that replaces a download, and what makes it small.
PRESETS: dict[str, tuple[str, ...]] = {
    "zero_target": (),
    "zero_target_article": (),
    "snntorch_tutorial_5": ("task=mnist5k", "batch_size=32"),
    "snntorch_tutorial_6": ("task=mnist5k", "batch_size=8", "num_steps=10"),
    "snntorch_population": ("task=mnist5k", "batch_size=32"),
    "spikingjelly_csnn": ("task=mnist5k", "batch_size=4", "model.layers=[16c3p1,mp2,16c3p1,mp2,fc64]"),
    "spikingjelly_lif_fc": ("task=mnist5k", "batch_size=32", "num_steps=20"),
    "dvs_gesture": (
        "task=moving_bars",
        "batch_size=8",
        "model.layers=[8c3p1,mp2,8c3p1,mp2,fc32]",
        "loss.population=2",
    ),
    "shd": ("task=spoken_tones", "batch_size=8", "num_steps=20", "model.hidden=[20]"),
}
RUNS: dict[str, tuple[str, ...]] = {
    "default": ("epochs=2",),
    "augmentation": ("task=mnist5k", "augmentation=[crop]", "model.dropout=0.5", "epochs=1", "max_steps=10"),
    **{name: (f"experiment={name}", *words, "epochs=1", "max_steps=10") for name, words in PRESETS.items()},
}
#: What is stopped and resumed: training parts that draw from a stream of their own.
RESUMED = ("augmentation", "zero_target")


def weights_of(folder: Path, name: str, *words: str, resumed: bool = False) -> str:
    """The SHA-256 of the weights after the last step of a run.

    Raises:
        subprocess.CalledProcessError: if it ended otherwise than it should.
    """
    run = f"hydra.run.dir={name}"
    if resumed:
        # A clock that is over at once lets each process make one step.
        command("snnrun", *words, "max_seconds=1e-9", run, folder=folder, expected=143)
        while command("resume", name, folder=folder, expected=None) == 143:
            pass
    else:
        command("snnrun", *words, run, folder=folder)
    digest: str = json.loads((folder / name / "result.json").read_text())["weights_sha256"]
    return digest


def command(first: str, *words: str, folder: Path, expected: int | None = 0) -> int:
    """The exit code of ``snnrun``."""
    words = words if first == "snnrun" else (first, *words)
    ended = subprocess.run([sys.executable, "-m", "snnrun", *words], cwd=folder, capture_output=True, text=True)
    if ended.returncode not in ((0, 143) if expected is None else (expected,)):
        print(ended.stderr, file=sys.stderr)
        raise subprocess.CalledProcessError(ended.returncode, ["snnrun", *words], ended.stdout, ended.stderr)
    return ended.returncode


def main() -> int:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_bits", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which runs: {', '.join(RUNS)}; all by default")
    names = parser.parse_args().names or list(RUNS)
    if unknown := [name for name in names if name not in RUNS]:
        parser.error(f"expected names of {', '.join(RUNS)}, got {', '.join(unknown)}")
    same = True
    with tempfile.TemporaryDirectory() as temporary:
        for i, name in enumerate(names):
            folder = Path(temporary) / str(i)
            folder.mkdir()
            words = (*QUIET, *RUNS[name])
            print(f"{weights_of(folder, 'whole', *words)}  {name}", flush=True)
            if name in RESUMED:
                words = (*words[:-1], "max_steps=3")
                digest = weights_of(folder, "resumed", *words, resumed=True)
                print(f"{digest}  {name}, three steps, a process for each", flush=True)
                same = same and digest == weights_of(folder, "three", *words)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
