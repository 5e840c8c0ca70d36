"""On which image pairs two metrics disagree most: the gMAD competition (Ma et al., CVPR 2016)."""
