"""What was asked for: the words of a command become a config, which is checked before anything starts."""
