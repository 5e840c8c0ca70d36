"""Where the images are that are to be scored; `arguments.open_sources` opens them."""
