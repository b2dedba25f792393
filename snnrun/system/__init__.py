"""The machine: files, locks, threads, processes, terminals, compiled code, and the safe reading of strangers' files."""
