"""The catalogue of parts in ``conf/``, the settings, the building of parts, and the trust in their code."""
