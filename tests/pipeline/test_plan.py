"""The plan: fixed, extendable, full batches, chunks that nothing crosses."""

import hashlib
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layered.brief import Brief, BriefLayer
from layered.errors import UserError
from layered.seeds import derive_seed
from pipeline.briefs import BriefList, load_briefs
from pipeline.config import RunConfig, load_config
from pipeline.plan import Plan, extend_plan, make_plan, restyled, sample_id_of, split_of
from pipeline.plan_config import DesignerConfig, PlanConfig
from pipeline.plan_summary import describe_plan
from stages.layer_flux import LayerFluxConfig
from stages.records import BASE_IMAGE

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SHARED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)


def run_config(model_folder: Path, *, batch_size: int = 8, seed: int = 3, **plan: object) -> RunConfig:
    layer_flux = LayerFluxConfig(model=str(model_folder), batch_size=batch_size)
    return RunConfig(seed=seed, plan=PlanConfig(**plan), layer_flux=layer_flux)


def planned(config: RunConfig) -> Plan:
    return make_plan(config, load_briefs(config.plan, config.seed))


def some_briefs(count: int, layers: int = 3) -> BriefList:
    def layer(index: int) -> BriefLayer:
        return BriefLayer(kind="image", caption=f"a dog {index}", box=(index, 0, index + 50, 50))

    return BriefList(
        [
            Brief(
                id=f"b{index}",
                canvas=(256, 256),
                style="flat",
                whole_caption=f"design {index}",
                base_caption="a beach",
                layers=tuple(map(layer, range(layers))),
            )
            for index in range(count)
        ]
    )


@SHARED_FOLDER
@given(
    samples=st.integers(1, 60), chunk_layers=st.integers(1, 200), batch_size=st.integers(1, 20), seed=st.integers(0, 99)
)
def test_every_draw_is_in_one_batch_of_its_sample_s_chunk(
    model_folder: Path, samples: int, chunk_layers: int, batch_size: int, seed: int
) -> None:
    config = run_config(model_folder, batch_size=batch_size, seed=seed, samples=samples, chunk_layers=chunk_layers)
    plan = planned(config)
    chunks = list(plan.chunks())
    assert [chunk.index for chunk in chunks] == list(range(plan.chunk_count))
    assert [sample.index for chunk in chunks for sample in chunk.samples] == list(range(samples))
    for chunk in chunks:
        ids = {sample.sample_id for sample in chunk.samples}
        draws = [draw for batch in chunk.batches for draw in batch]
        wanted = [(sample.sample_id, BASE_IMAGE) for sample in chunk.samples]
        for sample in chunk.samples:
            assert sample.chunk == chunk.index
            layers = enumerate(sample.brief.layers)
            wanted += [(sample.sample_id, index) for index, layer in layers if layer.kind == "image"]
        assert Counter((draw.sample_id, draw.layer_index) for draw in draws) == Counter(wanted)
        assert all(text.sample_id in ids for text in chunk.texts)
        assert all(1 <= len(batch) <= batch_size and len({draw.size for draw in batch}) == 1 for batch in chunk.batches)
        assert chunk.draws <= chunk_layers or len(chunk.samples) == 1
    assert plan.draws_per_chunk() == [chunk.draws for chunk in chunks]
    assert plan.batch_count() == sum(len(chunk.batches) for chunk in chunks)


@SHARED_FOLDER
@given(first=st.integers(1, 40), more=st.integers(0, 40), seed=st.integers(0, 99))
def test_a_larger_plan_keeps_every_row_and_chunk(model_folder: Path, first: int, more: int, seed: int) -> None:
    small = run_config(model_folder, seed=seed, samples=first, chunk_layers=40)
    large = run_config(model_folder, seed=seed, samples=first + more, chunk_layers=40)
    old = planned(small)
    extended = extend_plan(old, large, load_briefs(large.plan, seed))
    assert extended.table.slice(0, len(old)).equals(old.table)
    assert [extended.chunk(index) for index in range(old.chunk_count)] == list(old.chunks())
    assert len(extended) == first + more
    # Apart from chunks and batches, a sample is the same as in a plan made at once.
    whole = planned(large)
    fixed = ["sample_id", "index", "brief", "style", "split", "seed", "variation"]
    assert extended.table.select(fixed).equals(whole.table.select(fixed))
    one_by_one = (
        {
            (draw.sample_id, draw.layer_index): draw
            for chunk in each.chunks()
            for batch in chunk.batches
            for draw in batch
        }
        for each in (extended, whole)
    )
    assert next(one_by_one) == next(one_by_one)


def test_a_plan_survives_its_file_and_equal_plans_have_equal_bytes(model_folder: Path, tmp_path: Path) -> None:
    config = run_config(model_folder, samples=30)
    plan = planned(config)
    plan.write(tmp_path / "plan.parquet")
    read = Plan.read(tmp_path / "plan.parquet")
    assert list(read.chunks()) == list(plan.chunks())
    assert planned(config).to_bytes() == plan.to_bytes() == read.to_bytes()


def test_a_part_of_a_chunk_keeps_its_draws_as_they_are(model_folder: Path) -> None:
    (chunk,) = make_plan(run_config(model_folder, samples=6), some_briefs(6)).chunks()
    wanted = {"s0000001", "s0000004"}
    part = chunk.only(wanted)
    assert {sample.sample_id for sample in part.samples} == wanted
    kept = {draw for batch in part.batches for draw in batch}
    assert kept == {draw for batch in chunk.batches for draw in batch if draw.sample_id in wanted}
    assert all(part.batches)


def test_a_run_can_only_grow(model_folder: Path) -> None:
    old = planned(run_config(model_folder, samples=9))
    fewer = run_config(model_folder, samples=5)
    with pytest.raises(UserError, match=r"planned with 9 samples, now 5 are asked for: a run can only grow"):
        extend_plan(old, fewer, load_briefs(fewer.plan, 3))


def test_draws_hold_prompt_size_caption_and_the_seed_of_their_name(model_folder: Path) -> None:
    layers = (
        BriefLayer(kind="image", caption="a red apple", box=(0, 0, 100, 90)),
        BriefLayer(kind="text", text="Hi", box=(0, 0, 50, 20)),
        BriefLayer(kind="text", text="Ho", font="DejaVu Serif", color="#ff0000", box=(0, 30, 50, 50)),
        BriefLayer(kind="image", caption="a dog", box=(0, 0, 40, 90)),
    )
    brief = Brief(id="x", canvas=(512, 320), style="neon", whole_caption="w", base_caption="a beach", layers=layers)
    config = run_config(model_folder)
    (chunk,) = make_plan(config, BriefList([brief])).chunks()
    draws = {draw.layer_index: draw for batch in chunk.batches for draw in batch}
    assert sorted(draws) == [BASE_IMAGE, 0, 3]
    assert draws[BASE_IMAGE].prompt == "a beach, neon style"
    assert draws[BASE_IMAGE].size == (80, 48)
    assert draws[0].prompt == "a red apple, neon style, on a plain gray background"
    assert (draws[0].size, draws[0].caption, draws[0].attempt) == ((64, 64), "a red apple", 0)
    assert draws[3].seed == derive_seed(3, "s0000000", 3, 0, "noise")
    assert [(text.layer_index, text.text, text.font, text.color) for text in chunk.texts] == [
        (1, "Hi", "DejaVu Sans", "#000000"),
        (2, "Ho", "DejaVu Serif", "#ff0000"),
    ]
    assert chunk.texts[1].box == layers[2].placed_box()


def test_equal_prompts_stand_side_by_side(model_folder: Path) -> None:
    plan = make_plan(run_config(model_folder, batch_size=16, samples=8), some_briefs(8))
    prompts = [draw.prompt for chunk in plan.chunks() for batch in chunk.batches for draw in batch]
    assert sum(one != other for one, other in pairwise(prompts)) == len(set(prompts)) - 1


def test_briefs_of_a_file_are_taken_in_turn(model_folder: Path) -> None:
    briefs = some_briefs(3)
    table = make_plan(run_config(model_folder, samples=7), briefs).table
    assert table["brief_id"].to_pylist() == ["b0", "b1", "b2", "b0", "b1", "b2", "b0"]
    assert table["variation"].to_pylist() == [0, 0, 0, 1, 1, 1, 2]
    assert len(make_plan(run_config(model_folder), briefs)) == 3
    assert len(make_plan(run_config(model_folder, variations=4), briefs)) == 12
    with pytest.raises(UserError, match=r"samples is 7, but 3 briefs in 2 variations make 6: raise plan\.variations"):
        make_plan(run_config(model_folder, samples=7, variations=2), briefs)


def test_variations_of_designed_briefs_stand_together(model_folder: Path) -> None:
    table = planned(run_config(model_folder, samples=5, variations=2)).table
    assert table["brief_id"].to_pylist() == [f"designed-{index:07d}" for index in (0, 0, 1, 1, 2)]
    assert table["variation"].to_pylist() == [0, 1, 0, 1, 0]
    assert len(set(table["seed"].to_pylist())) == 5


def test_variations_of_one_brief_share_a_split_whatever_their_style(model_folder: Path) -> None:
    config = run_config(
        model_folder, samples=200, splits={"train": 0.6, "val": 0.3, "test": 0.1}, styles=("neon", "flat")
    )
    table = make_plan(config, some_briefs(20)).table
    split_by_brief: dict[str, set[str]] = {}
    for identity, split in zip(table["brief_id"].to_pylist(), table["split"].to_pylist(), strict=True):
        split_by_brief.setdefault(identity, set()).add(split)
    assert all(len(splits) == 1 for splits in split_by_brief.values())
    assert set(table["style"].to_pylist()) == {"neon", "flat"}


def test_splits_have_their_shares() -> None:
    shares = {"train": 0.7, "val": 0.2, "test": 0.1}
    briefs = some_briefs(3000).briefs
    counts = Counter(split_of(brief, shares) for brief in briefs)
    for name, share in shares.items():
        assert counts[name] / 3000 == pytest.approx(share, abs=4.5 * (share * (1 - share) / 3000) ** 0.5)
    assert {split_of(brief, {"train": 0.0, "val": 1.0}) for brief in briefs} == {"val"}


def test_styles_are_given_in_turn_and_captions_follow(model_folder: Path) -> None:
    table = make_plan(run_config(model_folder, samples=6, styles=("neon", "flat")), some_briefs(3)).table
    assert table["style"].to_pylist() == ["neon", "flat", "neon", "flat", "neon", "flat"]
    brief = (
        some_briefs(1)
        .briefs[0]
        .model_copy(
            update={"style": "anime", "whole_caption": "This is a anime style image. The image presents anime."}
        )
    )
    assert restyled(brief, "outline").whole_caption == "This is an outline style image. The image presents anime."


def test_ids_are_keys_that_sort_by_index() -> None:
    ids = [sample_id_of(index) for index in (0, 9, 10, 12345, 9_999_999)]
    assert ids == sorted(ids)
    assert sample_id_of(42) == "s0000042"


def test_batches_of_a_real_plan_are_well_filled(model_folder: Path) -> None:
    config = run_config(model_folder, batch_size=8, samples=150)
    summary = describe_plan(planned(config), config)
    assert summary.batch_fill >= 0.8


def test_closing_chunks_where_batches_are_full_helps(model_folder: Path) -> None:
    # Four draws a sample and batches of eight: a chunk of 28 draws wastes half a batch, one of 24 none.
    config = run_config(model_folder, batch_size=8, samples=60, chunk_layers=31)
    plan = make_plan(config, some_briefs(60))
    assert [chunk.draws for chunk in plan.chunks()] == [24] * 10


def test_the_summary_counts_what_is_planned(model_folder: Path) -> None:
    config = run_config(model_folder, samples=20, designer=DesignerConfig(max_layers=6))
    plan = planned(config)
    summary = describe_plan(plan, config)
    chunks = list(plan.chunks())
    samples = [sample for chunk in chunks for sample in chunk.samples]
    assert summary.samples == summary.briefs == 20
    assert summary.layers + 20 == sum(chunk.draws for chunk in chunks)
    assert summary.text_layers == sum(len(chunk.texts) for chunk in chunks)
    assert summary.batches == sum(len(chunk.batches) for chunk in chunks)
    assert summary.layers_per_sample == Counter(len(sample.brief.layers) for sample in samples)
    assert summary.splits == Counter(sample.split for sample in samples)
    assert summary.styles == Counter(sample.brief.style for sample in samples)
    assert summary.seconds is None
    assert summary.price is None
    assert summary.storage_bytes > 20 * 512 * 320


def test_time_and_money_follow_the_measured_speed(model_folder: Path) -> None:
    config = run_config(model_folder, samples=10)
    config = config.model_copy(
        update={
            "layer_flux": config.layer_flux.model_copy(update={"seconds_per_layer": 36.0}),
            "executor": config.executor.model_copy(update={"workers": 4, "price_per_hour": 2.5}),
        }
    )
    summary = describe_plan(planned(config), config)
    assert summary.seconds == pytest.approx((summary.layers + 10) * 36 / 4)
    assert summary.price == pytest.approx((summary.layers + 10) * 36 / 3600 * 2.5)


def test_unknown_words_are_counted_for_the_embedded_model_only(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.plan_summary.EMBEDDED_MODEL", str(model_folder))
    config = run_config(model_folder)
    layer = BriefLayer(kind="image", caption="a wombat", box=(0, 0, 50, 50))
    brief = some_briefs(1).briefs[0].model_copy(update={"layers": (layer,)})
    plan = make_plan(config, BriefList([brief]))
    assert describe_plan(plan, config).unknown_words == {"wombat": 1}
    monkeypatch.undo()
    assert describe_plan(plan, config).unknown_words == {}


def test_a_missing_model_folder_is_one_clear_line() -> None:
    config = RunConfig(plan=PlanConfig(samples=1), layer_flux=LayerFluxConfig(model="./no/such/folder"))
    with pytest.raises(UserError, match=r"layer_flux\.model: .*no/such/folder does not exist"):
        planned(config)


@pytest.mark.parametrize(
    ("name", "samples", "digest"),
    [("demo", 48, "17391ae093fdc3cb8cfd0b2b5cda3301"), ("cluster", 400, "4e73107f9a7ddf6f8a5d54c7b74bb0d4")],
)
def test_a_plan_is_what_it_has_always_been(name: str, samples: int, digest: str) -> None:
    """A plan that comes out otherwise is another run: whoever changes it on purpose says so in the changelog."""
    config = load_config(CONFIGS / f"{name}.yaml", [f"plan.samples={samples}"])
    rows = json.dumps(planned(config).table.to_pylist())
    assert hashlib.sha256(rows.encode()).hexdigest()[:32] == digest
