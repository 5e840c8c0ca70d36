"""Statistics: correlations, fits, intervals, significance, rankings; arrays only."""
