"""All benchmarks: ``python -m benchmarks --output docs/performance.json``."""

import sys

import benchmarks
from benchmarks import command, convolutional, job, layer, recurrent, start

sys.exit(command.main(benchmarks.__doc__, job.run, layer.run, recurrent.run, convolutional.run, start.run))
