"""Sweeps of training runs: the list of jobs, what runs them, the search, and what is shown at the end."""
