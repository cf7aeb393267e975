import yaml

from shards.card import CardStatistics, render_card
from tests.shards.samples import shard_samples


def card(count: int) -> str:
    statistics = CardStatistics()
    for sample in shard_samples(count):
        statistics.add(sample.split, sample.sidecar, sample.images)
    return render_card("Ten designs", {"Run seed": "7"}, statistics)


def test_the_head_declares_splits_and_every_layer_up_to_the_sets_maximum() -> None:
    head = yaml.safe_load(card(10).split("---\n")[1])
    assert head["configs"][0]["data_files"] == [
        {"split": "train", "path": "train-*.tar"},
        {"split": "val", "path": "val-*.tar"},
    ]
    names = [feature["name"] for feature in head["dataset_info"]["features"]]
    assert [name for name in names if name.startswith("layer_")] == [f"layer_{index:02d}.png" for index in range(5)]
    assert head["size_categories"] == ["n<1K"]
    assert (head["pretty_name"], head["license"]) == ("Ten designs", "other")  # two licences are in it


def test_the_text_counts_samples_layers_styles_and_sources() -> None:
    text = card(10)
    for line in (
        "# Ten designs",
        "| train | 8 |",
        "| val | 2 |",
        "| flat | 10 |",
        "| huge | r1 | MIT | 10 |",
        "| tiny | r1 | Apache-2.0 | 23 |",
        "| Run seed | 7 |",
    ):
        assert line in text.splitlines()
    assert "10 designs made of 33 transparent layers" in text


def test_a_set_without_a_split_does_not_declare_it() -> None:
    assert "val-*.tar" not in card(3)
