"""What is to be scored, wherever it lies, and the rows that are written as scoring goes on."""
