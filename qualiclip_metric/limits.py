"""Limits of decoding, apart from `decoding` so that `--help` needs no Pillow."""

MAX_PIXELS = 178_956_970
"""Most pixels of a file that is decoded, by default: Pillow's limit, .5 GB as bytes of RGB."""
