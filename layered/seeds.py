"""Seeds that depend on what is drawn, never on who draws it or when."""

import hashlib


def derive_seed(run_seed: int, sample_id: str, layer_index: int, attempt: int, purpose: str) -> int:
    """A seed in [0, 2**63) from the five things that name a draw.

    The same arguments give the same seed on every machine; any two different argument lists give unrelated seeds.

    Args:
        run_seed: the run's `seed`.
        sample_id: the sample's key.
        layer_index: 0 for the lowest foreground layer, -1 for the base image.
        attempt: 0 for the first draw of a layer.
        purpose: what the numbers are for, e.g. ``"noise"``.
    """
    # A length before each field keeps ("a", "bc") and ("ab", "c") apart.
    fields = (str(run_seed), sample_id, str(layer_index), str(attempt), purpose)
    text = "".join(f"{len(field)}:{field}" for field in fields)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
