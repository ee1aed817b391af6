"""The parts of the Operations page."""
