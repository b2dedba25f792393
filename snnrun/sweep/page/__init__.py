"""The page of a sweep or a run: ``gather`` reads, ``statistics`` and ``ranking`` judge, the others write."""
