"""Kernels: a program over all time steps, planned once and run by LLVM or by torch."""
