"""Turns the words of a command into a config and checks it before anything starts."""
