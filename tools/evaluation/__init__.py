"""Accuracy: one file per question, each with a function that returns figures under plain names."""
