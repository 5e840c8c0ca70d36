"""Contact sheets: one self-contained page for many images, without script and without network."""
