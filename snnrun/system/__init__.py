"""The machine: files, locks, threads, processes, terminals, and the safe reading of strangers' files."""
