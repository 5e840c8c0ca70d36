"""Behaviour of a metric on undistorted photos and their changed copies; mostly without labels."""
