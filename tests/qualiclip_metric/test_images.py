"""Images as tensors, and finding image files."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric import images
from qualiclip_metric.images import ImageError, find, find_images, pixels, to_tensor
from tests.qualiclip_metric.decoding.sample_files import PHOTO


def test_pixels_are_bytes_where_bytes_suffice(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    array = pixels(tmp_path / "a.png")
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, PHOTO)
    assert images.size(tmp_path / "a.png") == (40, 52)


def test_to_tensor_leaves_the_image_alone() -> None:
    image = Image.fromarray(PHOTO)
    to_tensor(image).zero_()
    np.testing.assert_array_equal(np.asarray(image), PHOTO)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.JPG", "a.png", "note.txt", "sub/c.webp", "sub/deep/d.tiff", ".thumbs/e.png",
                 "sub/._c.webp"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "recursive", "expected"),
    [
        (["."], True, ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tiff"]),
        (["."], False, ["a.png", "b.JPG"]),
        (["sub", "a.png"], True, ["sub/c.webp", "sub/deep/d.tiff", "a.png"]),
        (["*.png", "a.png", "./a.png"], True, ["a.png"]),
        (["**/*.webp"], True, ["sub/c.webp"]),
        (["note.txt", "missing.jpg"], True, ["note.txt", "missing.jpg"]),
    ],
)
def test_find(tree: Path, paths: list[str], recursive: bool, expected: list[str]) -> None:
    assert find(paths, recursive) == [Path(name) for name in expected]


def test_a_file_named_like_a_pattern_is_a_file(tree: Path) -> None:
    Path("x[1].png").touch()
    assert find(["x[1].png"]) == [Path("x[1].png")]


@pytest.mark.parametrize("nothing", ["*.gif", "empty"])
def test_nothing_found_is_said(tree: Path, nothing: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(ValueError, match="no image found"):
        find([nothing])


def test_links_to_folders_are_counted_and_links_to_nothing_found(tree: Path) -> None:
    """Nobody should lose a part of a data set in silence."""
    Path("linked").symlink_to("sub", target_is_directory=True)
    Path("gone.png").symlink_to("nowhere.png")
    Path("loop.png").symlink_to("loop.png")
    found = find_images(["."])
    assert {"gone.png", "loop.png"} < {str(path) for path in found.files}
    assert not any(path.parts[0] == "linked" for path in found.files)
    assert str(found.note()) == "left out: links to folders (1); name those that are to be entered"
    assert find_images(["."], recursive=False).note() is None
    Path("empty").mkdir()
    Path("empty/linked").symlink_to(tree / "sub", target_is_directory=True)
    with pytest.raises(ValueError, match="links to folders"):
        find(["empty"])


def test_a_folder_that_cannot_be_listed_is_found_and_reported(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir, access = os.scandir, os.access

    def refuse(path: str | Path) -> Any:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # as root, tests may list anything
    monkeypatch.setattr(
        os, "access", lambda path, mode: "deep" not in str(path) and access(path, 4)
    )
    assert find(["."])[-1] == Path("sub/deep")
    with pytest.raises(ImageError, match="permission"):
        images.read("sub/deep")


def test_an_empty_name_is_no_folder() -> None:
    with pytest.raises(ValueError, match="empty name"):
        find([""])


def test_repeats_can_be_kept(tree: Path) -> None:
    paths = ["a.png", ".", "a.png"]
    assert find_images(paths, recursive=False).files.count(Path("a.png")) == 3
