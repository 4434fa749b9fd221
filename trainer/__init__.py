"""Trains the tracker's networks: data, differentiable image formation, networks, losses, the papers' methods."""
