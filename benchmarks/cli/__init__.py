"""The subcommands of `python -m benchmarks`, one file each. They only read options and print."""
