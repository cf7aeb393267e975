"""Ways of running, briefs, and the vocabulary of the embedded models."""

from pathlib import Path

DEMO_CONFIG = Path(__file__).parent / "demo.yaml"
IMPORT_CONFIG = Path(__file__).parent / "import.yaml"
SIMULATION_CONFIG = Path(__file__).parent / "simulation.yaml"
