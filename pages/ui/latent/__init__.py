"""The parts of the page Latent Space."""
