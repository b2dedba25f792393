"""One run: its execution, its folder, its checkpoints, and how folders of runs are found and compared."""
