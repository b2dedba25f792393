"""What the project says about its speed, measured: snnrun and its peers in turn, on the same task, in one run.

In a clone, with the peers (those that are not installed are named and left out)::

    pip install -e ".[mlxtend,benchmark]"
    python -m benchmarks --output docs/performance.json     # all but ``busy``, over half an hour on two cores
    python -m benchmarks.report                             # docs/performance.md and its figure, from that file

    python -m benchmarks.job --output job.json              # training a network, whole
    python -m benchmarks.layer --output layer.json          # one layer; LIF alone; growth with time, batch and width
    python -m benchmarks.recurrent --output recurrent.json  # training steps of recurrent networks
    python -m benchmarks.convolutional --output conv.json   # training steps of convolutional networks
    python -m benchmarks.start --output start.json          # short runs, from the start of the process to its end
    python -m benchmarks.busy --output busy.json            # a run beside a busy loop, and beside a second run
    python -m benchmarks.gpu --output docs/gpu.json         # kernels for GPUs; counts without one, measures on one
    python -m benchmarks --quick                            # in seconds, for a look; its numbers mean nothing

Nothing else should run meanwhile.
"""
