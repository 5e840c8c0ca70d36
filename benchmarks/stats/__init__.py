"""What the numbers mean: correlations, fits, intervals, significance, rankings; arrays only."""
