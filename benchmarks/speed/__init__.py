"""Seconds, memory and images per second: against pyiqa's class, of `lite`, of whole commands."""
