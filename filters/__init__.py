"""Filters: a layered image in, named scores out."""
