"""`python -m qualiclip_metric`: the command line."""

from qualiclip_metric.cli import main

if __name__ == "__main__":
    main()
