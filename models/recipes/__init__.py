"""The scripts that trained the embedded models, in the order of `make tiny`."""
