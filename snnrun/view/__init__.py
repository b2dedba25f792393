"""Looking before training: a neuron that is driven (``simulate``), and parts that are drawn (``plot``)."""
