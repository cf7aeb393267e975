"""Peak memory of one call, from the kernel's own high-water mark."""

import ctypes
from collections.abc import Callable
from pathlib import Path

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
_SMALL, _LARGE = 2**18, 2**25  # bytes; 32 MB is the largest that glibc takes


def peak_bytes_of(call: Callable[[], object], *, exact: bool = False) -> int:
    """How far resident memory rises during a call, in bytes. Linux with glibc.

    Args:
        call: what to measure.
        exact: lets every block from 256 KB up come from the kernel and go back to it at once, so that no block that
            malloc keeps is counted; slows the call down. Otherwise this holds from 32 MB up.
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _SMALL if exact else _LARGE)
    libc.malloc_trim(0)  # what malloc still holds would hide what the call takes
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = _status("VmRSS")
    call()
    peak = _status("VmHWM") - before
    libc.mallopt(_MMAP_THRESHOLD, _LARGE)
    return peak


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
