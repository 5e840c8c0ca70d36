"""The page of `qualiclip app`: photos dropped in a browser are scored and explained here."""
