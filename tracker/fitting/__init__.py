"""From landmarks to face parameters: Levenberg-Marquardt on the model's landmark points."""
