"""The step of a neuron as data: the tracer, the operations, the program, and its adjoint."""
