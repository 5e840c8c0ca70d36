"""Studies: the page on which people vote on image pairs, and the votes."""
