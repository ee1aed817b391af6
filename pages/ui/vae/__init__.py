"""The parts of the VAE page."""
