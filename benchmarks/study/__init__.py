"""What people say of image pairs: the page they vote on, and its votes."""
