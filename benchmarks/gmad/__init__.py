"""Which image pairs tell two metrics apart: the gMAD competition (Ma et al., CVPR 2016)."""
