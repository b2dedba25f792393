"""Imported by the process from which those of the jobs are forked, so that none of them has to import torch."""

from snnrun.run import imports

imports.load("train")
