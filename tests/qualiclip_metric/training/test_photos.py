"""Arguments of `--images` in training, and the reading of photos in tar shards."""

import gzip
import io
import json
import logging
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image

from qualiclip_metric import images
from qualiclip_metric.training import TrainConfig, find_photos
from qualiclip_metric.training.data import PristineDataset
from qualiclip_metric.training.digests import combined_digest, digest_photos
from qualiclip_metric.training.photos import Member, read


def png(grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (70, 80), (grey, grey // 2, 0)).save(file, "PNG")
    return file.getvalue()


def pack(path: Path, contents: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return pack(tmp_path / "a.tar", {f"{grey}.png": png(grey) for grey in (10, 20, 30)})


def test_a_shard_gives_what_a_folder_with_its_files_would(tmp_path: Path) -> None:
    contents = {
        **{"./b.png": png(1), "a/c.png": png(2), "a.png": png(3), "a/b/d.jpg": png(4)},
        **{"note.txt": b"no photo", ".hidden/e.png": png(5), "f/.g.png": png(6)},
    }
    packed = pack(tmp_path / "photos.tar", contents)
    with tarfile.open(packed) as tar:
        tar.extractall(tmp_path / "photos", filter="data")
    found = find_photos([packed])
    assert [str(photo) for photo in found] == [
        f"{packed}/{name}" for name in ("a/b/d.jpg", "a/c.png", "a.png", "./b.png")
    ]
    files = find_photos([tmp_path / "photos"])
    assert [photo.read_bytes() for photo in found] == [path.read_bytes() for path in files]
    for photo, path in zip(found, files, strict=True):
        assert torch.equal(read(photo), images.read(path))
    digests = digest_photos(found), digest_photos(files)
    assert combined_digest(digests[0].values()) == combined_digest(digests[1].values())


def test_shards_patterns_and_folders_mix_and_each_photo_comes_once(
    shard: Path, tmp_path: Path
) -> None:
    pack(tmp_path / "b.tar", {"x.png": png(1)})
    (tmp_path / "c.tar").mkdir()
    (tmp_path / "c.tar" / "y.png").write_bytes(png(2))
    names = [tmp_path / "c.tar" / "*.png", tmp_path / "{a..b}.tar", tmp_path / "c.tar", shard]
    assert [Path(str(photo)).name for photo in find_photos(names)] == [
        *("y.png", "10.png", "20.png", "30.png", "x.png")
    ]
    assert len(find_photos([tmp_path / "[ab].tar"])) == 4


def test_what_cannot_be_read_at_random_is_refused_with_the_cure(
    shard: Path, tmp_path: Path
) -> None:
    content = shard.read_bytes()
    second = find_photos([shard])[1]
    assert isinstance(second, Member)
    damaged = bytearray(content)
    damaged[second.offset - 512 : second.offset - 500] = b"x" * 12
    cut = content[: second.offset + 10]
    bad = {"damaged header": bytes(damaged), "end of data": cut, "invalid": b"no tar" * 200}
    for what, written in {**bad, "": gzip.compress(content)}.items():
        (tmp_path / "bad.tar").write_bytes(written)
        with pytest.raises(ValueError, match=rf"bad.tar: .*whole.*{what}.*; unpack"):
            find_photos([tmp_path / "bad.tar"])
    (tmp_path / "z.tar.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match="uncompressed"):
        find_photos([tmp_path / "z.tar.gz"])
    with pytest.raises(ValueError, match="no image"):
        find_photos([pack(tmp_path / "e.tar", {"a.txt": b""})])
    with pytest.raises(ValueError, match="no such file"):
        find_photos([tmp_path / "none.tar"])
    with pytest.raises(ValueError, match="copy"):
        find_photos(["https://host/a.tar"])


def test_a_damaged_member_is_left_out_as_a_damaged_file_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shard = pack(tmp_path / "s.tar", {"a.png": png(9), "b.png": b"no image", "c.png": png(8)[:99]})
    with caplog.at_level(logging.WARNING):
        dataset = PristineDataset(find_photos([shard]), TrainConfig(crop_size=64))
        assert len([dataset[number] for number in range(3)]) == 3
    assert f"skipped: {shard}/b.png: not an image" in caplog.text
    for photo in find_photos([shard])[1:]:
        with pytest.raises(images.ImageError, match=r"s\.tar/[bc]\.png: "):
            read(photo)


def test_a_shard_that_went_away_or_was_cut_later_is_a_damaged_photo(
    shard: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = find_photos([shard])
    shard.write_bytes(shard.read_bytes()[:600])
    with pytest.raises(images.ImageError, match="shard ends"):
        read(photos[0])
    with caplog.at_level(logging.WARNING):
        assert digest_photos(photos) == {}
    assert "left out" in caplog.text
    shard.unlink()
    with pytest.raises(images.ImageError, match="No such file"):
        read(photos[0])


def test_digests_of_members_are_kept_by_their_place(tmp_path: Path) -> None:
    """A tar file may hold two members of one name and size."""
    shard = tmp_path / "s.tar"
    for content in (b"one", b"two"):
        with tarfile.open(shard, "a") as tar:
            member = tarfile.TarInfo("a.png")
            member.size = 3
            tar.addfile(member, io.BytesIO(content))
    photos, cache = find_photos([shard]), tmp_path / "digests.json"
    found = digest_photos(photos, cache)
    assert len(set(found.values())) == 2
    assert len(json.loads(cache.read_text())) == 2
    assert digest_photos(photos, cache) == found
