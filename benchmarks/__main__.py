"""All benchmarks: ``python -m benchmarks --output docs/performance.json``."""

import sys

import benchmarks
from benchmarks import command, convolutional, convolutional_memory, job, layer, recurrent, start

PARTS = (job.run, layer.run, recurrent.run, convolutional.run, convolutional_memory.run, start.run)

sys.exit(command.main(benchmarks.__doc__, *PARTS))
