"""Errors of the run directory that are nobody's wrong input."""

from layered.errors import FailedWorkError


class DamagedChunkError(FailedWorkError):
    """A chunk does not hold what its commit record says. The message names the sample and the way out."""
