"""Sources of images to be scored; `arguments.open_sources` opens them."""
