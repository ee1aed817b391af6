"""The parts of the Denoising page."""
