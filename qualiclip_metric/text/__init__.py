"""Text encoders: features of prompts."""
