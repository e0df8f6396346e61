"""Which files are taken, in which order, and how their outputs are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from briges.runtime.errors import ImageError
from briges.runtime.inputs import OUTPUT_SUFFIXES, assign_stems, find_inputs


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _make(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def _found(*paths: str, out: str = "out") -> list[str]:
    return [item.path.as_posix() for item in find_inputs(paths, Path(out))]


def _stems(*paths: str, out: str = "out") -> list[str]:
    return [item.stem for item in assign_stems([Path(path) for path in paths], Path(out))]


def _refusal(*paths: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        find_inputs(paths, Path("out"))
    return caught.value


def test_a_folder_gives_its_images_and_videos_in_the_order_people_count() -> None:
    _make("d/img10.jpg", "d/img2.JPG", "d/a.png", "d/clip.MP4", "d/notes.txt", "d/sub/deep.jpg", "d/.hidden.jpg")
    assert _found("d") == ["d/a.png", "d/clip.MP4", "d/img2.JPG", "d/img10.jpg"]


def test_names_that_mix_digits_and_letters_anywhere_can_be_ordered() -> None:
    _make("d/1.png", "d/a.png", "d/1a.png", "d/a1.png", "d/01.png", "d/²3.png")
    assert _found("d") == ["d/01.png", "d/1.png", "d/1a.png", "d/a.png", "d/a1.png", "d/²3.png"]


def test_our_own_outputs_are_not_taken_for_photographs() -> None:
    _make("d/x.jpg", "d/x_depth.png", "d/x_depth.npy", "d/x_depth_color.png", "d/v_depth.mp4", "d/x_depth_map.jpg")
    assert _found("d") == ["d/x.jpg", "d/x_depth_map.jpg"]
    assert _found("d/*") == ["d/x.jpg", "d/x_depth_map.jpg"]
    assert _found("d/x_depth.png") == ["d/x_depth.png"], "named directly it is wanted"


def test_patterns_are_expanded_with_two_stars_across_folders() -> None:
    _make("p/a.jpg", "p/q/b.jpg", "p/q/r/c.jpg", "p/q/d.txt")
    assert _found("p/*.jpg") == ["p/a.jpg"]
    assert _found("p/**/*.jpg") == ["p/a.jpg", "p/q/b.jpg", "p/q/r/c.jpg"]
    assert _found("p/?.[jp]*g") == ["p/a.jpg"]


def test_a_file_whose_name_looks_like_a_pattern_is_taken_literally() -> None:
    _make("photo[1].jpg", "photo1.jpg")
    assert _found("photo[1].jpg") == ["photo[1].jpg"]


def test_a_file_named_directly_is_taken_whatever_its_suffix_and_only_once() -> None:
    _make("frame.raw", "b.jpg", "a.jpg")
    assert _found("b.jpg", "frame.raw", "./b.jpg", ".", "a.jpg") == ["b.jpg", "frame.raw", "a.jpg"]


def test_two_links_to_one_file_are_two_inputs() -> None:
    _make("a.jpg")
    Path("b.jpg").symlink_to("a.jpg")
    assert _found("a.jpg", "b.jpg") == ["a.jpg", "b.jpg"]


def test_videos_are_told_by_their_suffix() -> None:
    items = assign_stems([Path("a.MOV"), Path("a.jpg")], Path("out"))
    assert [item.is_video for item in items] == [True, False]


def test_what_does_not_exist_is_named() -> None:
    error = _refusal("nowhere/photo.jpg")
    assert (error.subject, error.came) == ("input nowhere/photo.jpg", "does not exist")
    assert "check the path" in error.cure
    assert _refusal("a" * 5000).came == "does not exist"
    assert _refusal("").came == "does not exist"


def test_a_pattern_without_a_match_is_an_error() -> None:
    _make("d/notes.txt")
    for pattern in ("d/*.jpg", "d/*"):
        error = _refusal(pattern)
        assert (error.subject, error.came) == (f"pattern {pattern}", "matches no image or video")
        assert "quote it" in error.cure


def test_a_folder_without_an_image_is_an_error_that_says_what_is_looked_for() -> None:
    _make("d/notes.txt", "d/sub/x.jpg")
    error = _refusal("d")
    assert (error.subject, error.came) == ("folder d", "holds no image or video")
    assert ".jpg" in error.expected
    assert ".mp4" in error.expected
    assert "subfolders are not searched" in error.cure


def test_one_bad_path_among_good_ones_is_still_an_error() -> None:
    _make("a.jpg")
    assert _refusal("a.jpg", "b.jpg").subject == "input b.jpg"


def test_inputs_of_one_stem_get_names_of_their_own_without_regard_to_case() -> None:
    assert _stems("a/x.jpg", "b/x.png", "X.jpg", "y.jpg", "x.mp4") == ["x", "x-2", "X-3", "y", "x-4"]


def test_a_number_that_another_input_has_by_nature_is_not_given_again() -> None:
    assert _stems("x-2.jpg", "x.jpg", "x.png", "b/x-2.jpg") == ["x-2", "x", "x-3", "x-2-2"]


def test_no_output_can_replace_an_input() -> None:
    _make("d/x.jpg", "d/x_depth.png")
    assert _stems("d/x.jpg", "d/x_depth.png", out="d") == ["x-2", "x_depth"]
    assert _stems("d/x.jpg", "d/x_depth.png", out="elsewhere") == ["x", "x_depth"]


def test_all_outputs_of_a_run_have_different_names() -> None:
    stems = _stems("x.jpg", "x.png", "X.jpg", "x_depth.png", "x_depth_color.png", "x-2.jpg", "x-2_depth.jpg")
    names = [f"{stem}{suffix}".casefold() for stem in stems for suffix in OUTPUT_SUFFIXES]
    assert len(set(names)) == len(names)
