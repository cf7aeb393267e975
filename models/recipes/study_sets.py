"""The sets that the study of ART+ needs beside the pipeline's shards, as publications of their own.

    python -m models.recipes.study_sets --briefs 2000 --out runs/study/briefs.jsonl
    python -m models.recipes.study_sets --exact runs/study/run --out runs/study/exact
    python -m models.recipes.study_sets --own 4800 --out runs/study/own
    python -m models.recipes.study_sets --join runs/study/run/shards runs/study/own --out runs/study/joined [--random N]

`--briefs` writes designs of the kind that the design bench asks for, of the whole vocabulary, for the pipeline to
make; none of them is in the bench. `--exact` draws every sample of a publication again with the things and the scene
that its captions name, each thing as its exact sprite in the box that the brief asked for: what is left between both
sets is what drawing, matting and filtering did to the pixels. `--own` draws designs as the embedded ART has learnt
from, with captions that name some of their things: a training on them is ART's own, continued. `--join` puts
publications together, with pixels and captions as they are: who learns from the pipeline's shards and ART's own designs
forgets less of what ART could draw. `--random` takes only so many training samples of the first of them.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from layered.arrays import UInt8Array
from layered.box import Box
from layered.brief import Brief, write_briefs
from layered.codec import decode_members, encode_members
from layered.image import Layer, LayeredImage
from layered.placing import fit, trim
from layered.sidecar import LayerRecord, Sidecar
from models.recipes.art_designs import CANVASES, draw_art_design, partial_caption
from models.recipes.design_bench import TRAINING_STREAM, bench_design
from models.recipes.scenes import paint
from models.recipes.sprites import place
from models.vocabulary import load_vocabulary
from shards.reader import Publication
from shards.writer import ShardConfig, ShardSample, write_publication

OWN_STREAM: Final = 91  # of designs that neither ART's training nor any bench draws from
_VALIDATION_PART: Final = 10  # every tenth of the own designs
_SPRITE_SIDE: Final = 192
_TINIEST_ALPHA: Final = 8
_SPRITES: Final = "exact sprites"


def study_briefs(count: int) -> list[Brief]:
    """Briefs with boxes of real layouts' statistics, as the bench has them, none of which is in the bench."""
    items = (bench_design("all", number, TRAINING_STREAM)[0] for number in range(count))
    return [item.brief.model_copy(update={"id": f"study-{number:05d}"}) for number, item in enumerate(items)]


def exact_samples(publication: Publication) -> Iterator[ShardSample]:
    """The samples of a publication, each with exact pixels.

    Raises:
        ValueError: for a caption that names nothing of the vocabulary; the sample is named.
    """
    for row in publication.manifest.select(["sample_id", "split"]).to_pylist():
        _, sidecar = decode_members(publication.members(row["sample_id"]))
        yield _shard_sample(row["split"], *exact_sample(sidecar))


def exact_sample(sidecar: Sidecar) -> tuple[LayeredImage, Sidecar]:
    """A sample drawn again from what its sidecar says: captions, boxes of the brief, canvas.

    Raises:
        ValueError: as `exact_samples`.
    """
    layers = tuple(_exact_layer(sidecar.id, record) for record in sidecar.layers)
    scene, color = _scene_of(sidecar)
    seed = int.from_bytes(hashlib.sha256(sidecar.id.encode()).digest()[:8], "big")
    image = LayeredImage(paint(scene, color, sidecar.canvas, np.random.default_rng(seed)), layers)
    described = tuple(
        _described(layer, record.index, record.caption, Box.of(record.layout_box))
        for layer, record in zip(layers, sidecar.layers, strict=True)
    )
    return image, sidecar.model_copy(update={"layers": described, "scores": {}, "provenance": {"drawn": _SPRITES}})


def own_samples(count: int) -> Iterator[ShardSample]:
    """Designs like those that the embedded ART was trained on; every tenth is for validation."""
    for index in range(count):
        rng = np.random.default_rng([OWN_STREAM, index])
        design = draw_art_design(rng, CANVASES[0])
        # Layers without captions of their own keep variants from naming more than the designs of ART's training did.
        records = tuple(_described(layer, place, "", layer.box) for place, layer in enumerate(design.image.layers))
        sidecar = Sidecar(
            id=f"own-{index:06d}",
            canvas=design.image.canvas,
            style_category=load_vocabulary().default_style,
            whole_caption=partial_caption(design.contents, rng).text,
            base_caption=design.contents.scene,
            layer_count=len(records),
            layers=records,
            provenance={"drawn": _SPRITES},
        )
        yield _shard_sample("val" if index % _VALIDATION_PART == 0 else "train", design.image, sidecar)


def joined_samples(publications: Sequence[Publication], most: int | None = None) -> Iterator[ShardSample]:
    """The samples of some publications, one publication after the other, in their splits.

    Args:
        most: of the first publication's training samples at most so many, at random but always the same.

    Raises:
        ValueError: when two samples have one id; it is named.
    """
    seen: set[str] = set()
    for number, publication in enumerate(publications):
        rows = publication.manifest.select(["sample_id", "split"]).to_pylist()
        if number == 0 and most is not None:
            chosen = _random_training_ids(rows, most)
            rows = [row for row in rows if row["split"] != "train" or row["sample_id"] in chosen]
        for row in rows:
            if row["sample_id"] in seen:
                raise ValueError(f"{row['sample_id']} is in two of the publications")
            seen.add(row["sample_id"])
            yield _shard_sample(row["split"], *decode_members(publication.members(row["sample_id"])))


def _random_training_ids(rows: Sequence[Mapping[str, str]], count: int) -> set[str]:
    ids = [row["sample_id"] for row in rows if row["split"] == "train"]
    return set(np.random.default_rng(count).permutation(ids)[:count].tolist())


def _exact_layer(sample_id: str, record: LayerRecord) -> Layer:
    label = load_vocabulary().concept_in(record.caption)
    if label is None:
        raise ValueError(f"{sample_id}, layer {record.index}: no sprite is known for {record.caption!r}")
    return Layer(*fit(_sprite(label), Box.of(record.layout_box)))


@functools.cache
def _sprite(label: str) -> UInt8Array:
    pixels = np.asarray(place(label, load_vocabulary().default_style, 1.0, (0.0, 0.0), _SPRITE_SIDE))
    return trim(pixels, _TINIEST_ALPHA)


def _scene_of(sidecar: Sidecar) -> tuple[str, str | None]:
    try:
        return _scenes()[sidecar.base_caption]
    except KeyError:
        raise ValueError(f"{sidecar.id}: no scene is known for {sidecar.base_caption!r}") from None


@functools.cache
def _scenes() -> dict[str, tuple[str, str | None]]:
    """Scene and colour by each of the captions that they are given."""
    vocabulary = load_vocabulary()
    return {
        scene.caption(color, wording): (scene.name, color)
        for scene in vocabulary.scenes.values()
        for color in (vocabulary.colors if scene.takes_color else (None,))
        for wording in range(len(scene.captions))
    }


def _described(layer: Layer, index: int, caption: str, wanted: Box) -> LayerRecord:
    return LayerRecord.of_layer(index, layer, caption, wanted, model=_SPRITES, licence="OFL-1.1")


def _shard_sample(split: str, image: LayeredImage, sidecar: Sidecar) -> ShardSample:
    members = encode_members(image, sidecar)
    return ShardSample(split, sidecar, {name: data for name, data in members.items() if name.endswith(".png")})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--briefs", type=int, metavar="COUNT", help="briefs for the pipeline; --out is a .jsonl")
    source.add_argument("--exact", type=Path, metavar="RUN", help="a run whose publication is drawn again")
    source.add_argument("--own", type=int, metavar="COUNT", help="designs of ART's own kind")
    source.add_argument("--join", type=Path, nargs="+", metavar="FOLDER", help="publications to be put together")
    parser.add_argument(
        "--random", type=int, metavar="COUNT", help="of the first one that is joined, so many at random"
    )
    parser.add_argument("--out", type=Path, required=True, help="a new folder, or file")
    given = parser.parse_args(arguments)
    if given.out.exists():
        parser.error(f"{given.out} exists")
    if given.briefs:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        write_briefs(given.out, study_briefs(given.briefs))
        return
    title = f"Designs of {_SPRITES}"
    if given.exact:
        samples = exact_samples(Publication.open(given.exact / "shards"))
    elif given.own:
        samples = own_samples(given.own)
    else:
        title = "Designs of " + " and ".join(map(str, given.join))
        samples = joined_samples([Publication.open(folder) for folder in given.join], given.random)
    written = write_publication(samples, given.out, ShardConfig(title=title), {"name": title})
    print(f"{written.manifest.num_rows} samples in {written.path}")


if __name__ == "__main__":
    main()
