"""LayerFLUX with a random FluxPipeline: independent draws, same bytes, and one line for every mistake."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from layered.errors import UserError
from models import TINY
from stages.layer_flux import EMBEDDED_MODEL, LayerFlux, LayerFluxConfig, resolve_defaults
from stages.records import Draw, Drawn
from tests.stages.conftest import CALL_FACTS


@pytest.fixture(scope="module")
def stage(random_flux: Path) -> Iterator[LayerFlux]:
    threads = torch.get_num_threads()
    stage = LayerFlux(LayerFluxConfig(model=str(random_flux)))
    stage.setup()
    yield stage
    torch.set_num_threads(threads)


def draw(index: int, prompt: str = "a red apple", size: tuple[int, int] = (32, 32)) -> Draw:
    return Draw("s", index, 0, 100 + index, prompt, prompt, size)


def pictures(stage: LayerFlux, draws: list[Draw]) -> list[np.ndarray]:
    results = stage.process(draws)
    assert all(isinstance(each, Drawn) for each in results)
    return [each.rgb for each in results if isinstance(each, Drawn)]


def test_a_draw_is_the_same_alone_and_in_company(stage: LayerFlux) -> None:
    draws = [draw(0), draw(1, "a blue circle"), draw(2, "a dog, pixel style")]
    together = pictures(stage, draws)
    for each, picture in zip(draws, together, strict=True):
        (alone,) = pictures(stage, [each])
        # The last bits of a matrix product depend on the batch's shape.
        assert np.abs(alone.astype(int) - picture.astype(int)).max() <= 1


def test_neighbours_of_equal_number_change_no_byte(stage: LayerFlux) -> None:
    first = pictures(stage, [draw(0), draw(1, "a blue circle")])[0]
    second = pictures(stage, [draw(0), draw(7, "a cat")])[0]
    assert first.tobytes() == second.tobytes()


def test_a_remembered_prompt_gives_the_same_bytes(random_flux: Path, stage: LayerFlux) -> None:
    pictures(stage, [draw(0), draw(1)])
    warm = pictures(stage, [draw(0), draw(1)])
    fresh = LayerFlux(LayerFluxConfig(model=str(random_flux)))
    fresh.setup()
    assert [each.tobytes() for each in pictures(fresh, [draw(0), draw(1)])] == [each.tobytes() for each in warm]


def test_seed_prompt_and_size_all_matter(stage: LayerFlux) -> None:
    (one,) = pictures(stage, [draw(0)])
    (other_seed,) = pictures(stage, [draw(1)])
    (other_prompt,) = pictures(stage, [draw(0, "a blue circle")])
    (wide,) = pictures(stage, [draw(0, size=(48, 32))])
    assert one.tobytes() != other_seed.tobytes()
    assert one.tobytes() != other_prompt.tobytes()
    assert one.shape == (32, 32, 3)
    assert wide.shape == (32, 48, 3)


def test_guidance_asks_for_a_second_forward(random_flux: Path, stage: LayerFlux) -> None:
    plain = LayerFlux(LayerFluxConfig(model=str(random_flux), true_cfg_scale=1.0))
    plain.setup()
    assert pictures(plain, [draw(0)])[0].tobytes() != pictures(stage, [draw(0)])[0].tobytes()


def test_a_picture_is_what_the_pipeline_itself_draws(random_flux: Path, stage: LayerFlux) -> None:
    from diffusers import FluxPipeline

    pipeline = FluxPipeline.from_pretrained(random_flux, local_files_only=True)
    image = pipeline(
        prompt="a red apple",
        negative_prompt="",
        true_cfg_scale=3.0,
        guidance_scale=1.0,
        width=32,
        height=32,
        num_inference_steps=2,
        max_sequence_length=CALL_FACTS["max_sequence_length"],
        generator=torch.Generator().manual_seed(100),
    ).images[0]
    assert np.abs(np.asarray(image).astype(int) - pictures(stage, [draw(0)])[0].astype(int)).max() <= 1


def test_who_drew_it_is_recorded(random_flux: Path, stage: LayerFlux) -> None:
    first, second = stage.process([draw(0), draw(1)])
    assert isinstance(first, Drawn)
    assert isinstance(second, Drawn)
    assert (first.model, first.revision, first.licence) == (str(random_flux), "random", "CC0-1.0")
    assert first.batch_shape == (2, 32, 32)
    assert second.draw == draw(1)


def test_a_batch_has_one_size(stage: LayerFlux) -> None:
    with pytest.raises(ValueError, match="one size"):
        stage.process([draw(0), draw(1, size=(48, 32))])


def test_prompts_are_passed_as_text_where_embeddings_cannot_be_stacked(random_flux: Path) -> None:
    from stages.generator import Generator

    class MaskedPipeline:
        """Takes a mask beside its embeddings, as Qwen-Image does."""

        def __call__(
            self,
            prompt: list[str],
            negative_prompt: list[str],
            true_cfg_scale: float,
            width: int,
            height: int,
            generator: list[torch.Generator],
            output_type: str,
            prompt_embeds: object = None,
            prompt_embeds_mask: object = None,
        ) -> "MaskedPipeline":
            self.seen = prompt, negative_prompt, true_cfg_scale
            self.images = np.zeros((len(prompt), height, width, 3), np.float32)
            return self

    pipeline = MaskedPipeline()
    generator = Generator(pipeline, resolve_defaults(LayerFluxConfig(model=str(random_flux))), "")
    assert generator.draw([("a cat", 1), ("a dog", 2)], (48, 32))[0].shape == (32, 48, 3)
    assert pipeline.seen == (["a cat", "a dog"], ["", ""], 3.0)


def test_the_models_own_settings_fill_what_the_configuration_leaves_open(random_flux: Path) -> None:
    resolved = resolve_defaults(LayerFluxConfig(model=str(random_flux), steps=5))
    assert resolved.steps == 5
    assert resolved.true_cfg_scale == 3.0
    assert resolved.layer_sizes == ((32, 32), (48, 32))
    assert resolved.prompt_template.count("{suffix}") == 1


def test_a_hub_model_is_planned_with_the_settings_of_flux_and_without_its_weights() -> None:
    resolved = resolve_defaults(LayerFluxConfig(model="black-forest-labs/FLUX.1-dev"))
    assert (resolved.steps, resolved.guidance_scale, resolved.true_cfg_scale) == (28, 3.5, 1.0)
    assert all(abs(w * h / 1024**2 - 1) < 0.04 and w % 16 == h % 16 == 0 for w, h in resolved.layer_sizes)
    assert resolved.location == "black-forest-labs/FLUX.1-dev"


def test_the_embedded_model_is_named_alike_on_every_machine() -> None:
    resolved = resolve_defaults(LayerFluxConfig())
    assert resolved.model == EMBEDDED_MODEL
    assert resolved.location == str(TINY)


@pytest.mark.parametrize("model", ["nowhere", "./nowhere", "models/nowhere", "/no/where", "a/b/c"])
def test_a_missing_folder_is_named(model: str) -> None:
    with pytest.raises(UserError, match=r"layer_flux\.model: .* does not exist"):
        resolve_defaults(LayerFluxConfig(model=model))


def test_a_folder_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no model_index\.json"):
        resolve_defaults(LayerFluxConfig(model=str(tmp_path)))


def test_a_broken_settings_file_is_named(random_flux: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "layerprism.json").write_text(json.dumps(CALL_FACTS | {"num_inference_steps": 0}))
    with pytest.raises(UserError, match=r"layerprism\.json: num_inference_steps"):
        resolve_defaults(LayerFluxConfig(model=str(tmp_path)))


def test_a_broken_pipeline_is_one_line(random_flux: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text((random_flux / "model_index.json").read_text())
    stage = LayerFlux(LayerFluxConfig(model=str(tmp_path)))
    with pytest.raises(UserError, match=r"^layer_flux\.model: cannot load [^\n]*$"):
        stage.setup()


def test_a_device_that_is_not_there_is_named(random_flux: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    stage = LayerFlux(LayerFluxConfig(model=str(random_flux), device="cuda"))
    with pytest.raises(UserError, match="no CUDA device"):
        stage.setup()


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"device": "gpu"}, {"attempts": 0}, {"layer_sizes": []}, {"step": 1}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LayerFluxConfig.model_validate_json(json.dumps(wrong))
