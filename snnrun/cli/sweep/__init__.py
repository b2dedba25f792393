"""Sweeps of training runs: what is kept of one, how its jobs are run, and what is said at its end."""
