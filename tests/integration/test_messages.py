"""The words of the command's messages, all in one file, so that other tests assert facts.

``SNNRUN_WRITE_MESSAGES=1 pytest -n 0 tests/integration/test_messages.py`` writes ``messages.txt`` anew; read its diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from support.command import Command

FILE = Path(__file__).with_name("messages.txt")
LINES = """
epoch=5
epochs=abc
epochs=0
seed=-1
seed=0,1
neuron=liff
neuron=lif neuron.bet=0.9
neuron.beta=7
surrogate=atan surrogate.alpha=-1
optimizer.lr=fast
encoder=nothing loss=nothing
model=convnet model.layers=[8x3]
threads=none device=abacus
neuron.beta
=1
--epochs 5
--train
trian epochs=1
name=a/b
-m neuron=if,lif hydra/launcher=cloud
list neurons
list neuron liff
show nowhere
resume nowhere
evaluate nowhere
reproduce nowhere
diff nowhere elsewhere
best nowhere
report nowhere
runs --sort=colour
simulate neuron=liff
plot surfaces
"""


def test_every_message_is_the_one_in_the_file(command: Command) -> None:
    transcripts = []
    for line in LINES.split("\n")[1:-1]:
        code, out, err = command(*line.split())
        assert (code == 0) == (err == ""), line
        transcripts.append(f"$ snnrun {line}\n{err}{out}exit code {code}\n")
        assert list(Path.cwd().iterdir()) == [], line
    # The names of all parts or keys change with every part that is added.
    text = re.sub(r"there are \w+(, \w+){4,}", "there are …", "\n".join(transcripts))
    if os.environ.get("SNNRUN_WRITE_MESSAGES"):
        FILE.write_text(text, encoding="utf-8")
    assert text.splitlines() == FILE.read_text(encoding="utf-8").splitlines()
