"""What a measurement was made on, in a few words."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor, cores and Python, for the head of a table."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{processor or platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
