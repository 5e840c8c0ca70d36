"""What a metric does on undistorted photos and their changed copies, without labels."""
