"""How data sets are scored: batches, processes, runs that go on where they stopped."""
