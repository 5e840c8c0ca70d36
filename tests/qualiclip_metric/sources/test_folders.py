"""Image files of folders and patterns, and what is left out."""

import os
from pathlib import Path
from typing import Any

import pytest

from qualiclip_metric import images
from qualiclip_metric.images import ImageError
from qualiclip_metric.sources.folders import LeftOut, find, walk


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
    left_out = LeftOut()
    found = {str(path) for path in walk(".", left_out=left_out)}
    assert {"gone.png", "loop.png"} < found
    assert not any(path.startswith("linked") for path in found)
    assert left_out == {"links to folders": 1, ".txt": 1}
    assert str(left_out.note()).endswith("; name the folders that are to be entered")
    Path("empty").mkdir()
    Path("empty/linked").symlink_to(tree / "sub", target_is_directory=True)
    with pytest.raises(ValueError, match="links to folders"):
        find(["empty"])


def test_a_note_names_what_was_left_out_by_suffix() -> None:
    left_out = LeftOut()
    names = ["a.JXL", "b.jxl", "c", *(f"{number}.t{number}" for number in range(9)), "d.x\n\033"]
    assert not any(map(left_out.admits, names))
    assert left_out.admits("a.img", b"\x89PNG\r\n\x1a\n") and left_out.admits("a.JPG")
    assert not left_out.admits("caption", b"BMW in the rain") and not left_out.admits("b", b"")
    note = str(left_out.note())
    assert note.startswith("left out: 4 without a suffix, 2 .jxl, 1 .t0")
    assert note.endswith("3 others") and note.isprintable()


def test_a_name_with_brackets_that_is_gone_is_a_file_of_that_name(tree: Path) -> None:
    assert find(["gone[1].png", "[ab].png"]) == [Path("gone[1].png"), Path("a.png")]
    with pytest.raises(ValueError, match="no image found"):
        find(["gone*[1].png"])


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
