"""What there is to choose from, and how it is built: the parts of ``conf/``, the settings, whose code may run."""
