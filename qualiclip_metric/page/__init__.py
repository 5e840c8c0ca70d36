"""The page of `qualiclip app`: photos dropped in a browser, scored and explained here."""
