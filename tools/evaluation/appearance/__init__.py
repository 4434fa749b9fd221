"""(f) Appearance: skin, light and occlusion, and what they do for the fit. One module a measurement."""
