"""Samples to tar files and back: writer, reader, manifest, dataset card, verification."""
