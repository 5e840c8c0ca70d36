"""Where scores are kept, and the tables made of them."""
