"""The command line: every mistake one clear line and exit code 2, nothing written."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import DEMO_CONFIG
from layered.png import decode_png, encode_png
from pipeline.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def layerprism(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["layerprism", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return run


def config_with(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(f"extends: {DEMO_CONFIG}\n{text}\n")
    return path


BAD_CONFIGS = {
    "broken YAML": ("plan: [", r"my.yaml:"),
    "unknown key": ("layer_flux: {attemps: 2}", "did you mean `attempts`?"),
    "wrong type": ("layer_flux: {attempts: many}", "`layer_flux.attempts`"),
    "missing model path": ("layer_flux: {model: ./no/such/model}", "no/such/model"),
    "missing brief file": ("plan: {briefs: {path: none.jsonl}}", "none.jsonl"),
    "unknown matting back end": ("matting: {backend: magic}", "'magic'"),
}


@pytest.mark.parametrize("mistake", BAD_CONFIGS)
def test_a_wrong_configuration_is_one_line_and_exit_code_2(layerprism: Command, tmp_path: Path, mistake: str) -> None:
    text, expected = BAD_CONFIGS[mistake]
    out = tmp_path / "run"
    for command in (("plan",), ("run", "--out", out)):
        code, _, errors = layerprism(command[0], config_with(tmp_path, text), *command[1:])
        assert code == 2, errors
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1
        assert expected in errors
    assert not out.exists()


BAD_BRIEFS = {
    "empty list": ("\n", "holds no brief"),
    "impossible box": (
        '{"id":"b","canvas":[99,99],"style":"flat","whole_caption":"","base_caption":"a beach",'
        '"layers":[{"caption":"a dog","box":[50,10,40,60]}]}',
        "my.jsonl:1: layers.0.box: box [50, 10, 40, 60] is empty",
    ),
    "not JSON": ("{", "my.jsonl:1:"),
}


@pytest.mark.parametrize("mistake", BAD_BRIEFS)
def test_bad_briefs_are_named_by_file_and_line(layerprism: Command, tmp_path: Path, mistake: str) -> None:
    text, expected = BAD_BRIEFS[mistake]
    (tmp_path / "my.jsonl").write_text(text)
    config = config_with(tmp_path, "plan: {briefs: {path: my.jsonl}, samples: 1}")
    code, _, errors = layerprism("run", config, "--out", tmp_path / "run")
    assert (code, errors.count("\n")) == (2, 1)
    assert expected in errors
    assert not (tmp_path / "run").exists()


def test_paths_that_are_not_there_are_one_line_and_exit_code_2(layerprism: Command, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    for arguments in (
        ("run", tmp_path / "none.yaml", "--out", tmp_path / "run"),
        ("run", DEMO_CONFIG, "--out", tmp_path),
        ("run", DEMO_CONFIG, "--out", tmp_path / "run", "--only", "composing"),
        ("run", DEMO_CONFIG, "--out", tmp_path / "run", "--only", "filters"),
        ("status", tmp_path),
        ("retry", tmp_path / "none"),
        ("shard", tmp_path),
        ("verify", tmp_path),
        ("inspect", tmp_path / "none"),
        ("matte", tmp_path / "none.png", "-o", tmp_path / "out"),
        ("matte", tmp_path / "letter.txt", "-o", tmp_path / "out"),
        ("layer", "a dog", "-o", tmp_path / "dog.png", "--set", "layer_flux.model=./none"),
        ("plan", DEMO_CONFIG, "--set", "seed"),
    ):
        code, _, errors = layerprism(*arguments)
        assert (code, errors.count("\n")) == (2, 1), (arguments, errors)
        assert errors.startswith("error: "), arguments
    assert {path.name for path in tmp_path.iterdir()} == {"letter.txt"}


def test_the_help_and_a_missing_argument_come_from_the_parser(layerprism: Command) -> None:
    code, output, _ = layerprism("--help")
    assert code == 0
    assert "verify" in output
    assert layerprism("run")[0] == 2


def test_a_plan_prints_samples_batch_fill_and_unknown_words(layerprism: Command, tmp_path: Path) -> None:
    (tmp_path / "my.jsonl").write_text(
        '{"id":"b","canvas":[99,99],"style":"cartoon","whole_caption":"","base_caption":"a beach",'
        '"layers":[{"caption":"a red zeppelin","box":[10,10,60,60]}]}'
    )
    code, output, _ = layerprism(
        "plan", config_with(tmp_path, "plan: {briefs: {path: my.jsonl}, samples: 3, variations: 3}")
    )
    assert code == 0
    assert "3 of 1 briefs" in output
    assert "mean batch fill" in output
    assert "zeppelin 3" in output


def test_one_layer_is_drawn_and_the_same_seed_draws_it_again(layerprism: Command, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ("--seed", seed, "--set", "layer_flux.steps=4")
        code, _, errors = layerprism("layer", "a red apple", "-o", tmp_path / "new" / f"{name}.png", *options)
        assert code == 0, errors
    first, again, other = ((tmp_path / "new" / f"{name}.png").read_bytes() for name in "abc")
    assert first == again != other
    alpha = decode_png(first)[..., 3]
    assert alpha.max() == 255
    assert alpha.min() == 0


def test_unknown_words_are_warned_of_and_the_layer_is_drawn_all_the_same(layerprism: Command, tmp_path: Path) -> None:
    picture = tmp_path / "zeppelin.png"
    code, _, errors = layerprism("layer", "a red zeppelin", "-o", picture, "--set", "layer_flux.steps=2")
    assert code == 0
    assert "warning: layerprism-tiny does not know: zeppelin\n" in errors
    assert picture.exists()


def test_pictures_are_matted_at_their_own_size(layerprism: Command, tmp_path: Path) -> None:
    y, x = np.mgrid[:80, :100]
    disc = (x - 50) ** 2 + (y - 40) ** 2 < 30**2
    picture = np.where(disc[..., None], (200, 30, 30), (128, 128, 128)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "disc.png")
    code, output, _ = layerprism("matte", tmp_path / "disc.png", "-o", tmp_path / "out", "--background", "#808080")
    assert code == 0
    assert "disc.png" in output
    rgba = decode_png((tmp_path / "out" / "disc.png").read_bytes())
    assert rgba.shape == (80, 100, 4)
    assert np.abs(rgba[..., 3] / 255 - disc).mean() < 0.02


def test_a_transparent_picture_is_not_matted_again(layerprism: Command, tmp_path: Path) -> None:
    (tmp_path / "clear.png").write_bytes(encode_png(np.zeros((8, 8, 4), np.uint8)))
    code, _, errors = layerprism("matte", tmp_path / "clear.png", "-o", tmp_path / "out")
    assert code == 2
    assert "is transparent already" in errors


def saved_render(path: Path, background: tuple[int, int, int], shift: int = 0) -> Path:
    """A half-transparent disc over a colour."""
    y, x = np.mgrid[:80, :100]
    alpha = 0.5 * ((x - 50 - shift) ** 2 + (y - 40) ** 2 < 30**2)[..., None]
    pixels = np.rint(alpha * (200, 30, 30) + (1 - alpha) * np.array(background)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_two_renders_on_two_colours_give_the_exact_layer(layerprism: Command, tmp_path: Path) -> None:
    first = saved_render(tmp_path / "disc.png", (0, 0, 0))
    second = saved_render(tmp_path / "other.png", (255, 255, 255))
    code, output, _ = layerprism("matte", first, "--second", second, "-o", tmp_path / "out")
    assert code == 0
    assert "disc.png" in output
    rgba = decode_png((tmp_path / "out" / "disc.png").read_bytes())
    assert np.abs(rgba[40, 50].astype(int) - (200, 30, 30, 128)).max() <= 2
    assert not rgba[5, 5].any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--backend", "magic"], "valid here: keyer, layerprism"),
        (["--backend", "triangulation"], "--second"),
        (["--backend", "native"], "has no transparency"),
        (["--backend", "keyer", "--set", "matting.model=x"], "keyer has no model"),
        (["--backend", "layerprism", "--set", "matting.model=nowhere"], "nowhere holds no config.json"),
        (["--second", "MOVED"], "do not show the same layer"),
        (["--second", "SAME"], "too alike"),
        (["--second", "SAME", "--backend", "keyer"], "not for the back end keyer"),
        (["--second-background", "#ffffff"], "give it with --second"),
    ],
)
def test_what_cannot_be_matted_is_said_in_one_line(
    layerprism: Command, tmp_path: Path, options: list[str], said: str
) -> None:
    picture = saved_render(tmp_path / "disc.png", (0, 0, 0))
    others = {
        "MOVED": saved_render(tmp_path / "moved.png", (255, 255, 255), shift=4),
        "SAME": saved_render(tmp_path / "same.png", (0, 0, 0)),
    }
    code, _, errors = layerprism(
        "matte", picture, "-o", tmp_path / "out", *(others.get(each, each) for each in options)
    )
    assert code == 2
    assert said in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1
