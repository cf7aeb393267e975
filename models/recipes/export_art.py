"""Writes `models/layerprism-tiny/art` from what `train_art` has learned; the decoder must lie there already.

    python -m models.recipes.export_art

What ART shares with the tiny FLUX (autoencoder, CLIP text encoder and its tokenizer) stays in the folder above.
"""

import argparse
from pathlib import Path

from art_model.checkpoint import Art, save_art
from art_model.transparent_decoder import load_decoder
from models import TINY
from models.recipes.art_latents import load_vae
from models.recipes.train_art import FOLDER, SETTINGS, load_average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained", type=Path, default=FOLDER, help="the folder of train_art's checkpoint")
    parser.add_argument("--out", type=Path, default=TINY / "art")
    arguments = parser.parse_args()
    model = load_average(arguments.trained)
    model.prompts.tokenizer_2.model_max_length = SETTINGS.text_length
    decoder = load_decoder(arguments.out / "decoder")
    save_art(arguments.out, Art(model.transformer, model.prompts, load_vae(), decoder, SETTINGS))
    for path in sorted(arguments.out.rglob("*.safetensors")):
        print(f"{path.relative_to(arguments.out)} {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
