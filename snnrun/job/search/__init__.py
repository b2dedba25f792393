"""The settings of a search and its space of values. Nothing is imported here: every command looks at ``space``."""
