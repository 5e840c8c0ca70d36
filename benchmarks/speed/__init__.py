"""Seconds and memory, measured beside a peer in the same run."""
