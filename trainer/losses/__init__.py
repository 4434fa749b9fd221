"""Losses: likelihoods of landmarks under predicted distributions, and geometry. What is unknown (NaN) is left out."""
