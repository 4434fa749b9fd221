"""Metrics: how far landmarks and fitted faces are from the truth, and whether sigmas say so."""
