"""Sweeps of training runs: the list of jobs, the engines, the search, and the summary at the end."""
