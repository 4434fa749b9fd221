"""Real frames as training data: crops of clips and pictures with the landmarks of a patient teacher."""
