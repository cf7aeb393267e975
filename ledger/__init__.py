"""The run directory: storage, commit records, index, decisions, publications."""
