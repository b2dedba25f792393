"""LLVM code: written as text, and compiled in memory for this processor."""
