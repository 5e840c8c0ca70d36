"""What scores images: this package's models, baselines, pyiqa's metrics, callables, tables."""
