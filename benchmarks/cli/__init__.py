"""The subcommands of `python -m benchmarks`, one file each. They print; they compute nothing."""
