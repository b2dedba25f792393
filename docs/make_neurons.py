"""Writes ``docs/neurons.md``: every neuron's equation, from its docstring, and its figure, from a simulation.

    python docs/make_neurons.py           # the page and its figures
    python docs/make_neurons.py --check   # nothing is written; ends with 1 where the page is stale

The neurons are found in ``conf/neuron``, so that a new one is on the page as soon as this has been run. Each is driven
by a step of current that makes it fire, found by trial; the command below a figure makes the same one.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from snnrun.config.build import build
from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.config.settings import Style
from snnrun.job.compose import composer, plain
from snnrun.neuron import Neuron
from snnrun.neuron.input import Step
from snnrun.report import traces_figure
from snnrun.report.neuron_traces import drive, record
from snnrun.run.plot import rates, rheobase
from snnrun.run.simulate import dt_of
from snnrun.training.streams import Streams

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "neurons.md"
IMAGES = DOCS / "images" / "neurons"
STEPS = 100
STYLE = Style(dpi=90, format=("png",))  # small files: there are many
HEAD = """\
# Neurons

Made by `python docs/make_neurons.py` from the docstrings in `snnrun/neuron`; edit those. Each figure shows one neuron
with its default values, driven by a step of current: the input, the other variables of its state, the membrane that is
compared with the threshold (dashed), and its spikes as ticks above. `snnrun list neuron` prints one line for each, and
`snnrun plot neuron=NAME` draws its firing rate against current.

A parameter is a number, a list of one number per neuron, or the text of a distribution: `'neuron.tau=uniform(5,25)'`,
`'neuron.tau=log_uniform(5,50)'` or `'neuron.tau=normal(20,5)'` gives each neuron of every layer a value of its own,
drawn together with the initial weights. The logarithm of a draw from `log_uniform` is uniform. A draw outside the range
of the parameter is drawn again. The draws are in the checkpoints. This works for thresholds, decays, time constants and
whatever else a neuron can learn; numbers such as `dt` and `v_rest` are one for all.

The table shows the test accuracy of each neuron with its default values on the default task
(`snnrun -m neuron=NAME seed=0,1,2 threads=1`; mean ± sd over the seeds; 10 % is chance). It compares defaults, not
neurons: each neuron has values that suit it better.

| neuron | accuracy (%) | neuron | accuracy (%) | neuron | accuracy (%) |
| --- | --- | --- | --- | --- | --- |
| `adaptive_threshold` | 97.6 ± 0.2 | `if` | 97.7 ± 0.8 | `psn` | 97.1 ± 0.2 |
| `adex` | 96.9 ± 0.6 | `ilif` | 98.1 ± 0.4 | `qif` | 97.3 ± 0.2 |
| `adex_refractory` | 91.9 ± 0.5 | `izhikevich` | 91.8 ± 0.9 | `resonate` | 95.1 ± 1.1 |
| `adlif` | 96.8 ± 0.4 | `klif` | 97.9 ± 0.4 | `rlif` | 96.9 ± 0.3 |
| `alif` | 96.4 ± 0.5 | `lapicque` | 97.7 ± 0.6 | `rsynaptic` | 92.9 ± 1.4 |
| `alpha` | 98.1 ± 0.6 | `liaf` | 95.4 ± 0.9 | `sconv2dlstm` | 94.6 ± 1.6 |
| `brf` | 97.7 ± 0.4 | `lif` | 98.1 ± 0.6 | `se_adlif` | 94.4 ± 1.0 |
| `clif` | 97.4 ± 0.2 | `lif_current` | 96.8 ± 0.4 | `silif` | 93.3 ± 1.0 |
| `csilif` | 89.8 ± 3.6 | `lif_refractory` | 91.4 ± 1.0 | `sliding_psn` | 96.7 ± 0.3 |
| `cubalif` | 96.0 ± 0.7 | `lsnn` | 95.6 ± 0.2 | `slstm` | 96.4 ± 0.7 |
| `eif` | 94.4 ± 0.7 | `masked_psn` | 94.9 ± 1.4 | `synaptic` | 96.5 ± 0.4 |
| `glif` | 96.9 ± 0.3 | `plif` | 95.5 ± 0.7 | `tclif` | 96.2 ± 0.8 |
"""


def main() -> int:
    check = "--check" in sys.argv[1:]
    names = [path.stem for path in sorted((conf_folder() / "neuron").glob("*.yaml"))]
    configs = {name: composed(name) for name in names}
    amplitudes = {name: amplitude(config) for name, config in configs.items()}
    text = page(configs, amplitudes)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if check else IMAGES
        folder.mkdir(parents=True, exist_ok=True)
        if not check:
            for old in folder.glob("*.png"):
                old.unlink()
        for name, config in configs.items():
            figure(name, config, amplitudes[name], folder)
            print(f"{name}: input.amplitude={amplitudes[name]:g}")
    if not check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/neurons.md is stale: run python docs/make_neurons.py", file=sys.stderr)
        return 1
    return 0


def composed(name: str) -> dict[str, Any]:
    """The resolved config of a simulation with this neuron."""
    with composer(Catalogue(primary="simulate")) as hydra:
        return plain(hydra.compose([f"neuron={name}", f"num_steps={STEPS}"]))


def page(configs: dict[str, dict[str, Any]], amplitudes: dict[str, float]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(name, config, amplitudes[name]) for name, config in configs.items())])


def section(name: str, config: dict[str, Any], amplitude: float) -> str:
    """A neuron's docstring up to its arguments, its source, and its figure."""
    maker = build(config["neuron"], "neuron")
    doc = inspect.getdoc(maker.func if isinstance(maker, functools.partial) else maker) or ""
    body, _, _ = doc.partition("\nArgs:")
    source = re.search(r"^Source: .*?(?=\n\n|\Z)", doc, re.M | re.S)
    parts = [f"## {name}", markdown(body.partition("\nSource:")[0])]
    if source:
        parts.append(markdown(source[0]))
    command = f"snnrun simulate neuron={name} input.amplitude={amplitude:g}"
    parts += [f"![{name}: input, state, membrane and spikes over time](images/neurons/{name}.png)", f"`{command}`"]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def markdown(text: str) -> str:
    """Docstring markup as Markdown: literal blocks fenced, names in code quotes."""
    lines: list[str] = []
    literal = False
    for line in text.splitlines():
        if literal and line and not line.startswith(" "):
            while not lines[-1]:
                lines.pop()
            lines += ["```", ""]
            literal = False
        if line.rstrip().endswith("::"):
            lead = line.rstrip()[:-2].rstrip()
            lines += [f"{lead}:", "", "```text"] if lead else ["```text"]
            literal = True
        elif not (literal and lines[-1] == "```text" and not line):
            lines.append(line[4:] if literal else line)
    if literal:
        while lines and not lines[-1].strip():
            lines.pop()
        lines.append("```")
    plain = re.sub(r":(?:class|func|mod|meth):`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", "\n".join(lines))
    return _single(plain)


def _single(text: str) -> str:
    """Double code quotes made single, fences left alone."""
    return re.sub(r"(?<!`)``(?!`)", "`", text)


def amplitude(config: dict[str, Any]) -> float:
    """A current at which the neuron fires every ten steps or so; 0.25 where it fires at none."""
    neuron = made(config)
    least = rheobase(neuron, STEPS)
    if least is None:
        return 0.25
    currents = [float(f"{1.1 * least * 2 ** (k / 2):.2g}") for k in range(16)]
    with torch.no_grad():
        outputs = drive(neuron, torch.tensor(currents)[None, :, None].expand(STEPS, -1, -1)).spikes
    if not bool(torch.isin(outputs, torch.tensor([0.0, 1.0])).all()):
        return 0.25  # a graded output, which needs no threshold to be passed
    found = rates(neuron, torch.tensor(currents), STEPS)
    enough = [current for current, rate in zip(currents, found.tolist(), strict=True) if rate >= 0.08]
    return enough[0] if enough else currents[int(found.argmax())]


def made(config: dict[str, Any]) -> Neuron:
    """One neuron, with the initial values of seed 0."""
    maker: Callable[..., Neuron] = build(config["neuron"], "neuron")
    with Streams(0, torch.device("cpu")).initialisation():
        return maker(shape=(1,))


def figure(name: str, config: dict[str, Any], amplitude: float, folder: Path) -> None:
    """Draw one neuron, as ``snnrun simulate`` does."""
    neuron, dt = made(config), dt_of(config)
    traces = record(neuron, Step(amplitude=amplitude)(STEPS, dt), dt)
    (path,) = traces_figure(traces, f"{type(neuron).__name__}, step input", folder, STYLE)
    # Few colours are enough for lines and text, and make a third of the file.
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(48)
    path.unlink()
    few.save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    sys.exit(main())
