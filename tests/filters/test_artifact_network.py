"""The artifact network's own views: what a straight join leaves in the sums along it, and what the background hides."""

import pytest
import torch

from filters.artifact_network import ArtifactNetwork, NetworkShape, frame_planes, line_profiles, picture_planes

COVERED, _, ALONE, _, PART_ALONE, LIGHT, ALPHA = range(7)
MARGIN = 3  # rows at each end whose neighbours are not all there


def test_a_join_stands_out_where_it_is_and_is_nothing_elsewhere() -> None:
    picture = torch.full((1, 4, 128, 128), 0.6)
    picture[:, 3] = 1
    picture[:, :3, 70:] = 0.3
    profile = line_profiles(picture)[0]
    assert profile.shape == (7, 122)
    rows = set((torch.nonzero(profile[ALONE])[:, 0] + MARGIN).tolist())
    assert rows == {69, 70}
    assert profile[ALONE].max() == pytest.approx(0.3)
    assert profile[PART_ALONE].max() == 1
    assert profile[LIGHT].max() == pytest.approx(0.3)
    assert not profile[ALPHA].any()
    assert not line_profiles(picture.transpose(2, 3))[0][ALONE].any()


def test_a_join_of_half_the_length_is_half_as_much_and_a_thin_object_s_counts_in_full() -> None:
    picture = torch.ones(2, 4, 128, 128)
    picture[0, :3, 70:, :64] = 0
    picture[1, :, :, 32:] = 0
    picture[1, :3, 70:, :32] = 0
    profile = line_profiles(picture)
    assert profile[0, PART_ALONE].max() == pytest.approx(0.5)
    assert profile[1, PART_ALONE].max() == pytest.approx(1)
    assert profile[1, COVERED].max() == pytest.approx(0.25)


def test_a_slow_change_of_light_is_no_join() -> None:
    ramp = torch.linspace(0, 1, 128)[None, None, :, None].expand(1, 3, 128, 128)
    profile = line_profiles(torch.cat([ramp, torch.ones(1, 1, 128, 128)], dim=1))
    assert profile[0, ALONE].max() < 1e-6


def test_likeness_to_the_background_is_seen_where_it_is_known() -> None:
    picture = torch.full((2, 4, 8, 8), 0.5)
    picture[:, 3] = 1
    gray = torch.full((2, 3), 0.5)
    likeness = picture_planes(picture, gray, torch.tensor([1.0, 0.0]))[:, 4]
    assert (likeness[0] == 1).all()
    assert (likeness[1] == 0).all()


def test_a_frame_that_is_not_known_says_nothing() -> None:
    frames = torch.rand(2, 3, 64, 64)
    planes = frame_planes(frames, torch.zeros(2, 3), torch.tensor([1.0, 0.0]))
    assert planes[0, :4].any()
    assert not planes[1].any()


def test_logits_are_one_a_name_and_one_for_any_and_do_not_depend_on_neighbours() -> None:
    torch.manual_seed(0)
    network = ArtifactNetwork(["halo", "seams"], NetworkShape((4, 6, 8), (4, 4, 4), 8, 4)).eval()
    inputs = torch.rand(3, 4, 128, 128), torch.rand(3, 3, 64, 64), torch.rand(3, 3), torch.ones(3)
    logits = network(*inputs)
    assert logits.shape == (3, 3)
    assert torch.allclose(logits[1:2], network(*(each[1:2] for each in inputs)), atol=1e-5)
