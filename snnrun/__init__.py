"""snnrun trains spiking neural networks from a composed config, and keeps a record of what it did."""

from snnrun.system.threads import sleep_while_waiting

__version__ = "0.1.0"

sleep_while_waiting()  # before anything loads torch
