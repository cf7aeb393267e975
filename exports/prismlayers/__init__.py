"""PrismLayers Parquet: the columns of the published sets, both ways."""
