"""Imported by the forkserver, so that the processes of the jobs need not import torch."""

from snnrun.run import imports

imports.load("train")
