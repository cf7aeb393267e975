"""The viewer shows what the pixels are: compared with the compositor that publishes them."""

import numpy as np

from layered.arrays import UInt8Array
from tests.curation.browser.conftest import Page, Site
from tests.curation.browser.designs import BOXES, HOSTILE, HOSTILE_CAPTION, MERGED, design


def differs_by(shown: UInt8Array, expected: UInt8Array) -> int:
    """The greatest difference of any value."""
    assert shown.shape == expected.shape
    return int(np.abs(shown.astype(int) - expected).max())


def alpha_on_canvas(image_number: int, layer: int) -> UInt8Array:
    image, _ = design(image_number)
    canvas = np.zeros((160, 240), np.uint8)
    box = BOXES[layer]
    inside = image.layers[layer].pixels[max(0, -box.y0) : 160 - box.y0, : 240 - box.x0, 3]
    canvas[max(0, box.y0) : max(0, box.y0) + inside.shape[0], box.x0 : box.x0 + inside.shape[1]] = inside
    return canvas


def test_layers_in_the_browser_make_the_whole_image(page: Page) -> None:
    page.view(0)
    assert differs_by(page.picture(), design(0)[0].whole()) <= 2


def test_a_rejected_layer_is_gone_at_once_and_the_caption_asks_to_be_edited(page: Page) -> None:
    page.view(5)
    page.press("ArrowDown", "d")
    assert differs_by(page.picture(), design(5)[0].without({1}).whole()) <= 2
    assert "may still name it" in page.inner_text(".panel.right .banner")
    page.press("d")
    assert differs_by(page.picture(), design(5)[0].whole()) <= 2


def test_matte_of_one_layer_is_its_alpha(page: Page) -> None:
    page.view(0)
    page.press("ArrowDown", "o", "m")
    shown = page.picture()
    assert differs_by(shown, np.repeat(alpha_on_canvas(0, 1)[..., None], 3, axis=2)) <= 2


def test_matte_of_all_layers_is_what_covers_the_base(page: Page) -> None:
    page.view(0)
    page.press("m")
    clear = np.prod([1 - alpha_on_canvas(0, layer) / 255 for layer in range(3)], axis=0)
    assert differs_by(page.picture()[..., 0], np.round(255 * (1 - clear)).astype(np.uint8)) <= 3


def test_heat_makes_faint_alpha_loud(page: Page) -> None:
    page.view(0)
    page.press("ArrowDown", "o", "h")
    shown, alpha = page.picture(), alpha_on_canvas(0, 1)
    assert (shown[alpha == 0] == 0x1E).all()
    faint = shown[(alpha > 0) & (alpha < 24)].astype(int)
    assert (faint.max(axis=1) - faint.min(axis=1) > 80).all()
    assert (shown[alpha == 255] == 0xDC).all()


def test_difference_is_black_against_the_own_whole_and_not_against_another_merged_image(page: Page) -> None:
    page.view(0)
    page.press("f")
    page.until("document.querySelector('.viewer .reference img')")
    assert page.picture().max() <= 4 * 2
    page.press("f", "Escape")
    page.view(MERGED)
    page.press("f")
    page.until("document.querySelector('.viewer .reference img')")
    assert 28 <= np.median(page.picture()) <= 52  # ten grays, four times as large


def test_layers_are_hidden_shown_alone_and_faded(page: Page) -> None:
    page.view(0)
    image, _ = design(0)
    page.press("v")
    assert differs_by(page.picture(), image.without({2}).whole()) <= 2
    page.press("v")
    page.click("[aria-label='Only layer 0']")
    page.click(".swatch.white")
    alpha = alpha_on_canvas(0, 0)
    shown = page.picture()
    assert (shown[alpha == 0] == 255).all()
    assert tuple(shown[70, 70]) == (214, 72, 54)
    page.fill("input[aria-label='Opacity of layer 0']", "0.5")
    assert abs(int(page.picture()[70, 70, 1]) - (72 + 255) / 2) <= 2


def test_alt_click_on_the_picture_shows_that_layer_alone(page: Page) -> None:
    page.view(0)
    page.press("9")
    box = page.locator(".viewer .canvas").bounding_box()
    page.mouse.move(box["x"] + 70, box["y"] + 70)
    assert "layer 0   alpha 255 (1.00)" in page.locator(".probe").text_content()
    page.keyboard.down("Alt")
    page.mouse.click(box["x"] + 70, box["y"] + 70)
    page.keyboard.up("Alt")
    assert page.locator("[aria-label='Only layer 0']").get_attribute("aria-pressed") == "true"
    assert page.locator(".viewer .plane:visible").count() == 1


def test_zoom_and_place_stay_from_sample_to_sample(page: Page) -> None:
    page.view(0)
    page.press("+", "+")
    page.mouse.move(600, 400)
    page.mouse.down()
    page.mouse.move(500, 380)
    page.mouse.up()
    before = page.locator(".viewer .scene").evaluate("scene => scene.style.transform")
    page.press("ArrowRight")
    page.until("document.querySelector('.viewer .sample-title').textContent.startsWith('s0000001')")
    assert page.locator(".viewer .scene").evaluate("scene => scene.style.transform") == before
    page.press("0")
    assert page.locator(".viewer .scene").evaluate("scene => scene.style.transform") != before


def test_exploded_stack_lifts_every_layer_further(page: Page) -> None:
    page.view(0)
    page.press("e")
    lifts = page.locator(".viewer .plane").evaluate_all(
        "planes => planes.map((plane) => new DOMMatrix(getComputedStyle(plane).transform).m43)"
    )
    assert len(lifts) == 4
    assert lifts == sorted(lifts)
    assert len(set(lifts)) == 4
    lefts = [page.locator(f".viewer .plane[data-layer='{index}']").bounding_box()["x"] for index in (-1, 0, 1, 2)]
    assert len({round(left) for left in lefts}) == 4  # seen apart
    page.press("i")


def test_boxes_stand_where_the_record_says(page: Page) -> None:
    page.view(0)
    page.press("9", "b", "l")
    canvas = page.locator(".viewer .canvas").bounding_box()
    placed = page.locator(".viewer .box:not(.layout)[data-layer='1']").bounding_box()
    asked = page.locator(".viewer .box.layout[data-layer='1']").bounding_box()
    assert (placed["x"] - canvas["x"], placed["y"] - canvas["y"], placed["width"]) == (90, 50, 100)
    assert (asked["x"] - canvas["x"], asked["width"]) == (86, 108)
    page.press("b", "l")


def test_edge_zoom_goes_to_half_transparent_pixels(page: Page) -> None:
    page.view(0)
    page.press("w")
    stage = page.locator(".viewer .stage").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    page.until("/layer 2   alpha \\d+/.test(document.querySelector('.probe').textContent)")
    alpha = int(page.locator(".probe").text_content().split("alpha ")[1].split()[0])
    assert 0 < alpha < 255
    first = page.locator(".viewer .scene").evaluate("scene => scene.style.transform")
    page.press("w")
    assert page.locator(".viewer .scene").evaluate("scene => scene.style.transform") != first


def test_scores_stand_beside_their_thresholds_and_origins_are_named(page: Page) -> None:
    page.view(2)
    page.press("ArrowDown")
    assert "alpha halo of layer 1 0.10 < 0.30" in page.inner_text(".panel.right .flags")
    row = page.locator(".scores tr.flagged").first.inner_text()
    assert "0.10" in row
    assert "≥ 0.30" in row
    about = page.inner_text("[aria-label=Provenance]")
    assert str(2**62 + 1) in about
    assert "Apache-2.0" in about
    assert "90, 50 – 190, 150" in about


def test_captions_are_text_whatever_they_hold(page: Page, site: Site) -> None:
    page.view(HOSTILE)
    assert page.inner_text(".caption-text >> nth=0") == HOSTILE_CAPTION
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0


def test_a_layer_that_cannot_be_shown_is_marked_and_the_rest_is_there(page: Page) -> None:
    page.route("**/layer_01.png", lambda route: route.fulfill(status=200, content_type="image/png", body=b"no picture"))
    page.view(0)
    page.wait_for_selector(".viewer .broken")
    assert page.locator(".viewer .broken").count() == 1
    assert page.locator(".viewer img.layer").count() == 3
    assert "cannot be shown" in page.inner_text("#notice")
