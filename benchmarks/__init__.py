"""The lab measured against what else a user would pick, side by side in one run; see `docs/speed.md`."""
