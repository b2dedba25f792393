"""The settings of a search and its space of values. Imports nothing, since every command imports ``space``."""
