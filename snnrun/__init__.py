"""snnrun trains spiking neural networks from a composed config, and keeps a record of what it did."""

__version__ = "0.1.0"
