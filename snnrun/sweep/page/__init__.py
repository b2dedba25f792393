"""The page of a sweep or a run: ``gather`` reads, ``statistics`` and ``ranking`` compare, the others write."""
