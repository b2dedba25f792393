"""The matrix products of a layer: dense, and spike by spike."""
