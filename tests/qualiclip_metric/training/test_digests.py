"""Photos are read and hashed once, and which are held out follows from their contents."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from qualiclip_metric.training import digests
from qualiclip_metric.training.digests import combined_digest, digest_photos, read_split, split


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.png").write_bytes(bytes([number]) * 50)
    return sorted(folder.iterdir())


@pytest.fixture
def hashed(monkeypatch):
    """The files that are read and hashed, in order."""
    seen = []
    original = digests._sha256

    def count(path):
        seen.append(path.name)
        return original(path)

    monkeypatch.setattr(digests, "_sha256", count)
    return seen


def test_digests_are_those_of_the_contents(files):
    found, done = digest_photos(files, progress=(calls := []).append), calls
    assert found == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert done == [1, 2, 3, 4, 5, 6]


def test_a_photo_is_read_again_only_where_it_changed(files, tmp_path, hashed):
    cache = tmp_path / "run" / "digests.json"
    first = digest_photos(files, cache)
    assert len(hashed) == 6
    assert digest_photos(files, cache) == first and len(hashed) == 6
    files[1].write_bytes(b"longer than before" * 10)
    os.utime(files[2], ns=(0, files[2].stat().st_mtime_ns + 1))
    again = digest_photos(files, cache)
    assert hashed[6:] == ["1.png", "2.png"]
    assert {path for path in files if again[path] != first[path]} == {files[1]}


def test_a_run_cut_off_while_hashing_goes_on(files, tmp_path, hashed, monkeypatch):
    monkeypatch.setattr(digests, "SAVE_EVERY", 2)

    def kill(done):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digest_photos(files, tmp_path / "cache.json", kill)
    assert len(json.loads((tmp_path / "cache.json").read_text())) == 4
    digest_photos(files, tmp_path / "cache.json")
    assert hashed[5:] == ["4.png", "5.png"]


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [1, 2]}', "{"])
def test_a_damaged_cache_is_not_used(files, tmp_path, text, caplog):
    cache = tmp_path / "digests.json"
    cache.write_text(text)
    assert len(digest_photos(files, cache)) == 6
    assert "read again" in caplog.text
    assert len(json.loads(cache.read_text())) == 6


def test_a_photo_that_cannot_be_opened_is_left_out(files, caplog):
    missing = files[0].with_name("missing.png")
    assert list(digest_photos([missing, *files])) == files
    assert "missing.png" in caplog.text


def test_the_split_depends_on_contents_alone(files):
    found = digest_photos(files)
    learn, held = split(found, 0.3)
    assert set(learn) | set(held) == set(files) and not set(learn) & set(held) and held
    moved = digest_photos([path.rename(path.with_name(f"x{path.name}")) for path in files][::-1])
    assert sorted(p.name[1:] for p in split(moved, 0.3)[1]) == sorted(p.name for p in held)
    assert combined_digest(moved.values()) == combined_digest(found.values())
    assert split(found, 0.0)[1] == []
    assert split(found, 1e-9)[1] == [min(found, key=found.get)]


def test_no_copy_of_the_one_photo_held_out_is_trained_on():
    a, b, copy, other = (Path(name) for name in ("a", "b", "copy", "other"))
    found = {a: "f" * 64, b: "e" * 64, copy: "e" * 64, other: "f" * 64}
    assert split(found, 1e-9) == ([a, other], [b, copy])
    assert split({b: "e" * 64, copy: "e" * 64}, 1e-9) == ([b, copy], [])


def test_few_photos_held_out_are_said(files, tmp_path, caplog):
    found = read_split(files, 1e-9, tmp_path)
    assert found.sources == {"photos": 5, "digest": found.digest, "held_out": 1}
    assert "1 of 6 photos held out" in caplog.text
    caplog.clear()
    read_split(files, 0.0, tmp_path)
    assert not caplog.text  # nothing held out, as asked
    with pytest.raises(ValueError, match="at least one"):
        read_split([tmp_path / "missing.png"], 0.0, tmp_path)
