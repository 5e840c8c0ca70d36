"""Is our implementation the published one? Checked on checkpoints drawn from a seed."""
