"""Benchmark harness: datasets, metrics, score tables, statistics. `python -m benchmarks`."""
