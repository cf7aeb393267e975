"""Layered images in other programs' files: one module per format, both ways where it makes sense."""
