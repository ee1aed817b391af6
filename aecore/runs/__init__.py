"""Runs: trainings that live outside the page, in worker processes, with a database as the one source of truth."""
