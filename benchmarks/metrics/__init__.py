"""Metrics to compare: our models, baselines, pyiqa's metrics, callables, published tables."""
