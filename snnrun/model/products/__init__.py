"""The products and convolutions of a layer: dense, and spike by spike."""
