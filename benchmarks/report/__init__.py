"""How results are presented: one self-contained page."""
