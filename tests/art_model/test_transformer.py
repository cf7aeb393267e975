"""The region transformer is FLUX's, over kept tokens, packed samples and times of regions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from art_model.modulation import modulated
from art_model.packing import TokenSample, pack
from art_model.regions import Regions, regions_of
from art_model.rope import rotary_table, rotated
from art_model.transformer import RegionTransformer
from layered import Box, UserError
from layered.torchvision_cure import ensure_torchvision
from tests.art_model.random_designs import (
    SMALL,
    configs,
    exact_rotations,
    layouts,
    oracle_transformer,
    oracle_velocity,
    random_sample,
    random_transformer,
    samples_of,
    times_by_region,
)

LAYOUT = regions_of((70, 50), [Box(-20, 5, 20, 60), Box(33, 3, 40, 9), Box(0, 0, 70, 50)])
OTHER = regions_of((32, 48), [Box(1, 1, 30, 17)])
property_test = settings(deadline=None, max_examples=25)


def largest_difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).detach().abs().max())


# --- parity with diffusers


@property_test
@given(configs(), st.lists(layouts(), min_size=1, max_size=3), st.data())
def test_velocities_are_those_of_diffusers(config: dict[str, Any], designs: list[Regions], data: st.DataObject) -> None:
    times = [data.draw(st.floats(0, 1)) for _ in designs]
    guidance = 3.5 if config["guidance_embeds"] else None
    ours = random_transformer(seed=1, **config)
    oracle = oracle_transformer(config)
    oracle.load_state_dict(ours.state_dict())
    samples = samples_of(config, designs, times, seed=2)
    with torch.no_grad():
        velocity = ours(pack(samples, guidance=guidance))
    with exact_rotations():
        exact = torch.cat([oracle_velocity(oracle, sample, guidance) for sample in samples])
    rounded = torch.cat([oracle_velocity(oracle, sample, guidance) for sample in samples])
    assert largest_difference(velocity, exact) < 1e-9
    assert largest_difference(velocity, rounded) < 1e-5  # it rotates in single precision


@pytest.mark.parametrize("guidance", [None, 3.5])
def test_a_checkpoint_of_diffusers_loads_strictly_and_is_given_back_unchanged(guidance: float | None) -> None:
    config = {**SMALL, "guidance_embeds": guidance is not None}
    theirs = oracle_transformer(config).to(torch.bfloat16).state_dict()
    ours = RegionTransformer(**config).to(torch.bfloat16)
    ours.load_state_dict(theirs, strict=True)
    state = ours.state_dict()
    assert state.keys() == theirs.keys()
    for name, weight in theirs.items():
        assert torch.equal(state[name], weight), name
        assert state[name].dtype == weight.dtype


def test_sizes_by_default_are_those_of_flux() -> None:
    with torch.device("meta"):
        transformer = RegionTransformer(guidance_embeds=True)
    assert sum(parameter.numel() for parameter in transformer.parameters()) == 11_901_408_320  # FLUX.1-dev


# --- packing and cropping


@property_test
@given(st.lists(layouts(), min_size=2, max_size=4), st.data())
def test_a_packed_sample_is_what_it_is_alone(designs: list[Regions], data: st.DataObject) -> None:
    transformer = random_transformer()
    times = [data.draw(st.floats(0, 1)) for _ in designs]
    samples = samples_of(SMALL, designs, times, seed=4)
    batch = pack(samples)
    more = [data.draw(st.integers(0, 7)) for _ in range(3)]
    padded = batch.padded(len(batch.tokens) + more[0], len(batch.text) + more[1], len(batch.row_times) + more[2])
    with torch.no_grad():
        alone = torch.cat([transformer(pack([sample])) for sample in samples])
        assert largest_difference(transformer(batch), alone) < 1e-12
        assert largest_difference(transformer(padded), alone) < 1e-12


@property_test
@given(layouts())
def test_cropping_first_is_cropping_the_full_grid(regions: Regions) -> None:
    """Embedding every layer's full grid, attending among kept tokens, projecting the full grid and cropping it."""
    transformer = random_transformer()
    sample = random_sample(SMALL, regions, time=0.4, seed=5)
    full = regions_of_full_grids(regions)
    kept = torch.tensor([full.index(tuple(place)) for place in regions.positions().tolist()])
    grid = torch.randn(len(full), SMALL["in_channels"], dtype=torch.float64)
    grid[kept] = sample.tokens

    after_embedding: list[Tensor] = []
    before_projection: list[Tensor] = []
    hooks = [
        transformer.x_embedder.register_forward_hook(lambda _, __, out: after_embedding.append(out)),
        transformer.proj_out.register_forward_pre_hook(lambda _, inputs: before_projection.append(inputs[0])),
    ]
    with torch.no_grad():
        cropped_first = transformer(pack([sample]))
        for hook in hooks:
            hook.remove()
        assert largest_difference(transformer.x_embedder(grid)[kept], after_embedding[0]) < 1e-12
        assert len(after_embedding[0]) == len(before_projection[0]) == regions.tokens
        hidden = torch.randn(len(full), transformer.config.width, dtype=torch.float64)
        hidden[kept] = before_projection[0]
        assert largest_difference(transformer.proj_out(hidden)[kept], cropped_first) < 1e-12


def regions_of_full_grids(regions: Regions) -> list[tuple[int, ...]]:
    """Positions of a grid, the same for every layer, that holds all regions."""
    positions = regions.positions()
    low, high = positions.amin(0).tolist(), positions.amax(0).tolist()
    return [
        (layer, y, x)
        for layer in range(high[0] + 1)
        for y in range(low[1], high[1] + 1)
        for x in range(low[2], high[2] + 1)
    ]


def test_no_sample_sees_another() -> None:
    transformer = random_transformer()
    samples = samples_of(SMALL, [LAYOUT, OTHER], [0.3, 0.6], seed=6)
    changed = [samples[0], replace(samples[1], tokens=samples[1].tokens + 1, text=samples[1].text * 2)]
    with torch.no_grad():
        before, after = transformer(pack(samples)), transformer(pack(changed))
    assert torch.equal(before[: LAYOUT.tokens], after[: LAYOUT.tokens])
    assert largest_difference(before[LAYOUT.tokens :], after[LAYOUT.tokens :]) > 0.01


# --- times of regions


@property_test
@given(layouts(), st.floats(0, 1))
def test_one_time_for_every_region_is_one_time(regions: Regions, time: float) -> None:
    transformer = random_transformer()
    uniform = random_sample(SMALL, regions, time=time, seed=7)
    by_region = replace(uniform, times=times_by_region(regions, [time] * len(regions.items)))
    with torch.no_grad():
        assert torch.equal(transformer(pack([uniform])), transformer(pack([by_region])))


@property_test
@given(layouts(), st.data())
def test_times_of_regions_are_those_of_an_oracle_that_modulates_token_by_token(
    regions: Regions, data: st.DataObject
) -> None:
    transformer = random_transformer()
    held = [data.draw(st.sampled_from([0.0, 0.3, 0.8])) for _ in regions.items]
    one = random_sample(SMALL, regions, time=times_by_region(regions, held), seed=8)
    other = random_sample(SMALL, OTHER, time=0.5, seed=9)
    with torch.no_grad():
        packed = transformer(pack([one, other]))
        assert largest_difference(packed[: regions.tokens], token_by_token(transformer, one)) < 1e-9
        assert largest_difference(packed[regions.tokens :], token_by_token(transformer, other)) < 1e-9


def token_by_token(transformer: RegionTransformer, sample: TokenSample) -> Tensor:
    """One sample, written anew: every token, text too, has its own embedding of time, and nothing is shared."""
    times = torch.as_tensor(sample.times).expand(len(sample.tokens))
    every = torch.cat([times.max().expand(len(sample.text)), times])
    alone = replace(sample, times=0.0)
    embeddings = [transformer.time_text_embed(replace(pack([alone]), row_times=time[None])) for time in every]
    embedding = torch.cat(embeddings)
    of_text, of_image = embedding[: len(sample.text)], embedding[len(sample.text) :]
    positions = torch.cat([torch.zeros(len(sample.text), 3, dtype=torch.int64), sample.positions])
    table = rotary_table(positions, transformer.config.axes_dims_rope, torch.float64)
    heads = transformer.config.num_attention_heads

    def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key = rotated(query, table), rotated(key, table)
        scores = torch.einsum("qhd,khd->hqk", query, key) / query.shape[-1] ** 0.5
        return torch.einsum("hqk,khd->qhd", scores.softmax(-1), value).flatten(1)

    def split(values: Tensor) -> Tensor:
        return values.view(len(values), heads, -1)

    text, image = transformer.context_embedder(sample.text), transformer.x_embedder(sample.tokens)
    for block in transformer.transformer_blocks:
        attn: Any = block.attn
        image_parts = block.norm1.linear(of_image).chunk(6, -1)
        text_parts = block.norm1_context.linear(of_text).chunk(6, -1)
        normed_image = modulated(image, image_parts[0], image_parts[1])
        normed_text = modulated(text, text_parts[0], text_parts[1])
        query = torch.cat([attn.norm_added_q(split(attn.add_q_proj(normed_text))),
                           attn.norm_q(split(attn.to_q(normed_image)))])  # fmt: skip
        key = torch.cat([attn.norm_added_k(split(attn.add_k_proj(normed_text))),
                         attn.norm_k(split(attn.to_k(normed_image)))])  # fmt: skip
        value = torch.cat([split(attn.add_v_proj(normed_text)), split(attn.to_v(normed_image))])
        seen = attended(query, key, value)
        image = image + image_parts[2] * attn.to_out[0](seen[len(text) :])
        text = text + text_parts[2] * attn.to_add_out(seen[: len(text)])
        image = image + image_parts[5] * block.ff(modulated(image, image_parts[3], image_parts[4]))
        text = text + text_parts[5] * block.ff_context(modulated(text, text_parts[3], text_parts[4]))
    joint = torch.cat([text, image])
    for block in transformer.single_transformer_blocks:
        attn = block.attn
        shift, scale, gate = block.norm.linear(embedding).chunk(3, -1)
        normed = modulated(joint, shift, scale)
        mlp = torch.nn.functional.gelu(block.proj_mlp(normed), approximate="tanh")
        query, key = attn.norm_q(split(attn.to_q(normed))), attn.norm_k(split(attn.to_k(normed)))
        seen = attended(query, key, split(attn.to_v(normed)))
        joint = joint + gate * block.proj_out(torch.cat([seen, mlp], -1))
    scale, shift = transformer.norm_out.linear(of_image).chunk(2, -1)
    return transformer.proj_out(modulated(joint[len(text) :], shift, scale))


# --- layer embedding


def test_the_layer_embedding_begins_as_nothing_and_then_tells_layers_apart() -> None:
    plain, embedded = random_transformer(), RegionTransformer(**SMALL, layer_embedding_rows=5).double()
    missing = embedded.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys == ["layer_embedding.weight"]
    batch = pack([random_sample(SMALL, LAYOUT, time=0.4, seed=10)])
    assert embedded.layer_embedding is not None
    with torch.no_grad():
        assert torch.equal(plain(batch), embedded(batch))
        embedded.layer_embedding.weight[3, 0] = 1
        assert largest_difference(plain(batch), embedded(batch)) > 1e-3


def test_more_layers_than_rows_are_an_error_and_without_rows_any_number_works() -> None:
    many = regions_of((16, 16), [Box(0, 0, 16, 16)] * 60)
    batch = pack([random_sample(SMALL, many, time=0.4, seed=11)])
    with pytest.raises(UserError, match=r"a design of 62 layers, .* does not fit a layer embedding of 52 rows"):
        random_transformer(layer_embedding_rows=52)(batch)
    assert random_transformer()(batch).shape == (62, SMALL["in_channels"])


# --- training


def gradients(transformer: RegionTransformer) -> dict[str, Tensor]:
    transformer.zero_grad()
    batch = pack(samples_of(SMALL, [LAYOUT, OTHER], [0.3, 0.6], seed=12))
    transformer(batch).square().mean().backward()
    return {name: parameter.grad for name, parameter in transformer.named_parameters() if parameter.grad is not None}


def test_gradient_checkpointing_changes_no_gradient() -> None:
    transformer = random_transformer()
    kept = gradients(transformer)
    runs: list[int] = []
    transformer.single_transformer_blocks[0].register_forward_pre_hook(lambda *_: runs.append(1))
    transformer.gradient_checkpointing = True
    computed_again = gradients(transformer)
    assert len(runs) == 2  # forward, and again in the backward pass
    assert kept.keys() == computed_again.keys() == dict(transformer.named_parameters()).keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(computed_again[name], gradient)


def test_lora_attaches_to_attention_and_output_and_trains() -> None:
    ensure_torchvision()
    from peft import LoraConfig, get_peft_model

    transformer = random_transformer()
    batch = pack([random_sample(SMALL, LAYOUT, time=0.4, seed=13)])
    before = transformer(batch).detach()
    attention = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]
    adapted = get_peft_model(transformer, LoraConfig(r=2, lora_alpha=2, target_modules=[*attention, "proj_out"]))
    assert torch.equal(adapted(batch), before)
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert all("lora_" in name for name in trained)
    for part in attention:
        assert any(f"transformer_blocks.1.attn.{part}.lora_A" in name for name in trained), part
    assert any("single_transformer_blocks.1.attn.to_q.lora_B" in name for name in trained)
    assert any("single_transformer_blocks.1.proj_out.lora_B" in name for name in trained)

    optimiser = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(8):
        loss = adapted(batch).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_bf16_autocast_stays_near_double_precision() -> None:
    transformer = random_transformer()
    batch = pack(samples_of(SMALL, [LAYOUT, OTHER], [0.3, 0.6], seed=14))
    exact = transformer(batch).detach()
    single = RegionTransformer(**SMALL)
    single.load_state_dict(transformer.state_dict())
    tensors = {name: value.float() for name, value in vars(batch).items()
               if isinstance(value, Tensor) and value.dtype == torch.float64}  # fmt: skip
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        halved = single(replace(batch, **tensors))
    assert largest_difference(halved.double(), exact) < 0.05 * float(exact.abs().max())


def test_varlen_in_bf16_on_cuda_is_near_the_oracle() -> None:
    if not torch.cuda.is_available():
        pytest.skip("CUDA is missing")
    transformer = random_transformer(attention_head_dim=64, axes_dims_rope=(16, 24, 24)).to("cuda")
    batch = pack(samples_of(SMALL, [LAYOUT, OTHER], [0.3, 0.6], seed=15))
    exact = transformer(moved(batch, torch.float64)).detach()
    halved = transformer.bfloat16()(moved(batch, torch.bfloat16))
    assert largest_difference(halved.double(), exact) < 0.05 * float(exact.abs().max())


def moved(batch: Any, dtype: torch.dtype) -> Any:
    """A batch on CUDA; what is in double precision changes to `dtype`."""
    tensors = {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}
    return replace(
        batch,
        **{
            name: value.to("cuda", dtype if value.is_floating_point() else value.dtype)
            for name, value in tensors.items()
        },
    )


# --- wrong sizes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"patch_size": 2}, "patch_size 2"),
        ({"axes_dims_rope": (4, 4, 6)}, "add up to attention_head_dim 12"),
        ({"axes_dims_rope": (6, 6)}, "three axes"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        RegionTransformer(**{**SMALL, **wrong})
