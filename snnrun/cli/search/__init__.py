"""A search by Optuna: its settings, its space, the judge of a running job, and the study.

Nothing is imported here, since every command looks at ``space`` and ``faults``.
"""
