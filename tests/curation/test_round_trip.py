"""From a run over people's decisions to what is published, and back to the pixels."""

from pathlib import Path

import numpy as np

from layered.codec import decode_members
from ledger.publication import publish
from shards.reader import Publication
from shards.writer import ShardConfig
from tests.curation.reviews import THRESHOLDS, client_of, decide, event, open_review, review_run
from tests.ledger.runs import sample_id
from tests.shards.samples import make_sample

CONFIG = ShardConfig()


def test_what_people_kept_is_published_and_what_they_rejected_is_not(tmp_path: Path) -> None:
    run = review_run(tmp_path / "run")
    with client_of(open_review(run)) as client:
        for number in range(12):
            decide(client, event(number, "keep" if number % 3 else "reject", reasons=[] if number % 3 else ["ugly"]))
        decide(client, event(1, "pro", caption="two of them, and better said"), event(2, "reject"), event(2, "undo"))
    publication = publish(run, CONFIG, THRESHOLDS).publication
    assert publication.sample_ids == [sample_id(number) for number in range(12) if number % 3]
    _, sidecar = publication.sample(sample_id(1))
    assert (sidecar.decision, sidecar.whole_caption) == ("pro", "two of them, and better said")


def test_a_sample_without_its_rejected_layer_recomposes_exactly(tmp_path: Path) -> None:
    run = review_run(tmp_path / "run")
    with client_of(open_review(run)) as client:
        decide(client, event(5, "reject", layer_index=1, reasons=["halo"]), event(5, "keep"))
        decide(client, event(3, "reject", layer_index=1, reasons=["cut"]))  # the layer that had flagged it
    publication: Publication = publish(run, CONFIG, THRESHOLDS).publication
    for number, layers in ((5, 4), (3, 2)):
        original, record = make_sample(number, layers, style=("flat", "neon", "pixel")[number % 3])
        image, sidecar = publication.sample(sample_id(number))
        wanted = original.without([1])
        assert np.array_equal(image.whole(), wanted.whole())
        assert len(image.layers) == layers - 1
        assert [layer.index for layer in sidecar.layers] == [index for index in range(layers) if index != 1]
        assert record.layers[1].caption not in sidecar.whole_caption
        members = publication.members(sample_id(number))
        stored = decode_members({**members, "base_image.png": members["whole_image.png"]})[0].base
        assert np.array_equal(stored, wanted.whole()), "the stored whole image is the composite"
