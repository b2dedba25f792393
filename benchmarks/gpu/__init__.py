"""Kernels for GPUs: what can be counted and compiled without a GPU, and on one all measurements, in one command.

``python -m benchmarks.gpu [--device cpu|cuda] [--quick] [--rounds N] [--epochs N] [--seeds N] [--output FILE]``

Everywhere: the machine code of every neuron (:mod:`.machine_code`), and the launches and bytes of a training step
beside SpikingJelly's (:mod:`.launches`). On a GPU also times and memory: every neuron alone, after its spikes and
gradients were compared with the reference's (:mod:`.neurons`), convolutions of a ResNet-18's size
(:mod:`.convolutions`), and the jobs of :mod:`benchmarks.job`, ``layer``, ``recurrent`` and ``convolutional``.
``--device cpu`` measures the same on the CPU: with ``--quick`` a test of the command, whose numbers mean nothing.
"""
