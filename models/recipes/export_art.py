"""Writes `models/layerprism-tiny/art` from what `train_art` has learned; the decoder must lie there already.

    python -m models.recipes.export_art [--trained FOLDER …]

Of several checkpoints the mean of their weights is taken: of one training, each at a rate that had come down, it draws
what is named as often as the last and repeats itself less than the first (Wortsman et al., "Model soups", arXiv
2203.05482). Folders stand from the first to the last.

What ART shares with the tiny FLUX (autoencoder, CLIP text encoder and its tokenizer) stays in the folder above. Beside
the model lies the course of its held-out loss, as `curve.json` and `curve.png`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import nn

from art_model.checkpoint import Art, save_art
from art_model.transparent_decoder import load_decoder
from models import TINY
from models.recipes.art_latents import load_vae
from models.recipes.cards import write_section
from models.recipes.train_art import FOLDER, HELD_OUT_TIMES, SETTINGS, load_average

Model = TypeVar("Model", bound=nn.Module)

CLASSES = ("merged", "background", "foreground")


def curve_table(points: Sequence[dict[str, Any]], rows: int = 8) -> str:
    """Markdown: the held-out losses, means over all times, at some steps."""
    shown = [points[round(place * (len(points) - 1) / (rows - 1))] for place in range(rows)] if points else []
    lines = [f"| step | {' | '.join(CLASSES)} |", "|---|---|---|---|"]
    for point in shown:
        means = [sum(losses) / len(losses) for losses in zip(*point["held_out"], strict=True)]
        lines.append(f"| {point['step']} | {' | '.join(f'{mean:.4f}' for mean in means)} |")
    return "\n".join(lines)


def draw_curve(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Held-out loss of each class over the steps, a line for each time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    for number, (name, axes) in enumerate(zip(CLASSES, figure.subplots(1, 3), strict=True)):
        for place, time in enumerate(HELD_OUT_TIMES):
            steps, losses = [p["step"] for p in points], [p["held_out"][place][number] for p in points]
            axes.plot(steps, losses, label=f"t = {time}")
        axes.set_title(name)
        axes.set_xlabel("step")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("held-out loss")
    figure.axes[-1].legend(fontsize=7)
    figure.savefig(path, dpi=110)
    with Image.open(path) as drawn:
        few = drawn.convert("RGB").quantize(64)
    few.save(path, optimize=True)  # a quarter of the bytes


def mean_of(models: Sequence[Model]) -> Model:
    """The first of the models, with the mean of all their weights."""
    states = [model.state_dict() for model in models]
    models[0].load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    return models[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--trained", type=Path, nargs="+", default=[FOLDER], help="folders of train_art's checkpoints, in their order"
    )
    arguments = parser.parse_args()
    out = TINY / "art"
    model = mean_of([load_average(folder) for folder in arguments.trained])
    model.prompts.tokenizer_2.model_max_length = SETTINGS.text_length
    decoder = load_decoder(out / "decoder")
    save_art(out, Art(model.transformer, model.prompts, load_vae(), decoder, SETTINGS))
    points = json.loads((arguments.trained[-1] / "curve.json").read_text("utf-8"))
    lines = ",\n ".join(json.dumps(point) for point in points)
    (out / "curve.json").write_text(f"[{lines}]\n", "utf-8")
    draw_curve(points, out / "curve.png")
    write_section(out / "README.md", "curve", curve_table(points))
    for path in sorted(out.rglob("*.safetensors")):
        print(f"{path.relative_to(out)} {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
