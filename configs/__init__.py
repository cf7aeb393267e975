"""Ways of running, briefs, and the vocabulary of the embedded models."""
