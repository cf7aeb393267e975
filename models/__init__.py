"""The embedded models: their vocabulary, their loaders, and the recipes that trained them."""
