"""Other people's face models: reading them, completing them, keeping them in the user's library."""
