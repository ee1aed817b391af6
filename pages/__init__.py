"""The pages of the lab: one file, one page, one question. Arithmetic lives in `aecore`."""
