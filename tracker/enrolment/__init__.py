"""Getting to know one person well, once, for use in every later session (docs/calibration.md)."""
