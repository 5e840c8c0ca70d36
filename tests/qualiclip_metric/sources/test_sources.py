"""What arguments name: files, folders, patterns, lists, tables, shards, and these behind URLs."""

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.sources import shard_source
from qualiclip_metric.sources.arguments import open_sources
from qualiclip_metric.sources.item import Item, Url, fetch_urls, is_shard


def png(grey: int = 128) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), (grey, grey, grey)).save(file, "PNG")
    return file.getvalue()


def shard(names: list[str], content: bytes = b"") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            member = b"{}" if name.endswith(".json") else content or png()
            info.size = len(member)
            archive.addfile(info, io.BytesIO(member))
    return file.getvalue()


@pytest.fixture
def remote() -> Iterator[Callable[[str, bytes], str]]:
    """Puts a file behind a URL."""
    fs = fsspec.filesystem("memory")

    def put(name: str, content: bytes) -> str:
        fs.pipe_file(f"/{name}", content)
        return f"memory://{name}"

    yield put
    fs.rm("/", recursive=True)


def keys(*arguments: object, **options: Any) -> list[str]:
    return [item.key for item in open_sources(map(str, arguments), **options).items()]


def whole(item: Item) -> bytes:
    """Content of an item, fetched where it has to be."""
    (there,) = fetch_urls([item])
    assert not isinstance(there.image, Url)
    if isinstance(there.image, Encoded):
        return there.image.content
    assert isinstance(there.image, Path), there.error
    return there.image.read_bytes()


# --- files, folders, patterns ----------------------------------------------------------------


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "deep/c.png", ".hidden/d.png", "e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png())
    found = open_sources([str(tmp_path), f"{tmp_path}/*.txt", "missing.jpg"])
    expected = [str(tmp_path / name) for name in ("a.jpg", "b.png", "deep/c.png", "e.txt")]
    assert [item.key for item in found.items()] == [*expected, "missing.jpg"]
    assert found.count() == 5
    assert len(keys(tmp_path, recursive=False)) == 2


@pytest.mark.parametrize(
    "name", ["", "nothing/*.png", "empty", "memory://nothing", "memory://*.png"]
)
def test_nothing_found_is_said_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no image found|empty name"):
        open_sources([name])


# --- lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a.png\nb c.png\n\nd.png", ["a.png", "b c.png", "d.png"]),
        (b"a.png\r\nb.png\r\n", ["a.png", "b.png"]),
        (b"a\nb.png\0c.png\0", ["a\nb.png", "c.png"]),
        (b"\xff.png\n", ["\udcff.png"]),
        (b"a b.png", ["a b.png"]),
        (b"", []),
    ],
)
def test_lists(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    remote: Callable[[str, bytes], str],
    content: bytes,
    expected: list[str],
) -> None:
    (tmp_path / "list").write_bytes(content)
    for where in (str(tmp_path / "list"), remote("list", content)):
        found = open_sources([], from_file=[where])
        assert [item.key for item in found.items()] == expected
        assert found.count() == len(expected)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    piped = open_sources(["-"])
    assert piped.count() is None  # nobody knows
    assert [item.key for item in piped.items()] == expected


def test_a_name_on_a_pipe_comes_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.write(write, b"a.png\nb.p")
    with os.fdopen(read) as stdin, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        items = open_sources(["-"]).items()
        assert next(items).key == "a.png"
        os.write(write, b"ng")
        os.close(write)
        assert [item.key for item in items] == ["b.png"]


@pytest.mark.parametrize("first", [b"a.p", b"a.png\0b"])
def test_a_pipe_that_pauses_within_a_name_is_still_split(
    monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    """`find -print0` may be slower than the reader: the first read may hold no NUL."""
    read, write = os.pipe()

    def later() -> None:
        os.write(write, b"a.png\0b.png\0"[len(first) :])
        os.close(write)

    with os.fdopen(read) as stdin, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        items = open_sources(["-"]).items()
        os.write(write, first)
        rest = threading.Timer(0.2, later)
        rest.start()
        assert [item.key for item in items] == ["a.png", "b.png"]
        rest.join()


def test_a_list_that_mixes_its_separators_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names = io.TextIOWrapper(io.BytesIO(b"a.png\n" * 20_000 + b"b.png\0"))
    monkeypatch.setattr(sys, "stdin", names)
    with pytest.raises(ValueError, match="NUL"):
        list(open_sources(["-"]).items())


def test_names_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    names = [f"{count:0200}.png" for count in range(1000)]
    (tmp_path / "list").write_text("\n".join(names))
    assert keys(from_file=[str(tmp_path / "list")]) == names


def test_relative_paths_are_below_the_root(remote: Callable[[str, bytes], str]) -> None:
    names = remote("list", b"a.png\n/b.png\nmemory://c.png\n")
    for root, first in (
        ("photos", Path("photos/a.png")),
        ("memory://in", Url("memory://in/a.png")),
    ):
        items = list(open_sources([], from_file=[names], root=root).items())
        assert [item.image for item in items] == [first, Path("/b.png"), Url("memory://c.png")]
        assert [item.key for item in items] == ["a.png", "/b.png", "memory://c.png"]


def test_a_list_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        open_sources([], from_file=["missing.txt"])


# --- tables ----------------------------------------------------------------------------------

ROWS = [{"id": "007", "path": "a.png", "tag": "x,y"}, {"id": "8", "path": "b.png", "tag": None}]


def table(kind: str) -> bytes:
    if kind == "csv":
        return b'id,path,tag\n007,a.png,"x,y"\n8,b.png\n'
    if kind == "jsonl":
        return "\n".join(json.dumps(row) for row in ROWS).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("behind", ["path", "url"])
def test_tables_pass_their_columns_through(
    tmp_path: Path, remote: Callable[[str, bytes], str], kind: str, behind: str
) -> None:
    (tmp_path / f"t.{kind}").write_bytes(table(kind))
    name = str(tmp_path / f"t.{kind}") if behind == "path" else remote(f"t.{kind}", table(kind))
    found = open_sources([name], root="in")
    assert list(found.columns) == ["id", "tag"]
    assert found.count() == 2
    assert list(found.items()) == [
        Item("a.png", Path("in/a.png"), {"id": "007", "tag": "x,y"}),
        Item("b.png", Path("in/b.png"), {"id": "8", "tag": None}),
    ]
    assert [item.key for item in open_sources([name], column="id").items()] == ["007", "8"]


@pytest.mark.parametrize("kind", ["bytes", "struct"])
@pytest.mark.parametrize("named", [True, False])
def test_parquet_with_images(tmp_path: Path, kind: str, named: bool) -> None:
    images = [png(value) for value in range(40)]
    column: list[Any] = [{"bytes": one, "path": None} for one in images]
    rows = {"image": images if kind == "bytes" else column, "label": list(range(40))}
    if named:
        rows["key"] = [f"k{count}" for count in range(40)]
    path = tmp_path / "photos.parquet"
    pq.write_table(pa.table(rows), path, row_group_size=7)
    found = open_sources([str(path)])
    items = list(found.items())
    assert found.count() == 40
    assert dict(found.columns) == {"label": pa.int64()}
    assert [whole(item) for item in items] == images
    assert [item.columns["label"] for item in items] == list(range(40))
    assert items[39].key == ("k39" if named else f"{path}#39")


def test_rows_without_an_image_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"path": "a.png"}\n{"path": null}\n{"other": 1}\n')
    pq.write_table(pa.table({"image": pa.array([None], pa.binary())}), tmp_path / "b.parquet")
    items = list(open_sources([str(tmp_path / "a.jsonl"), str(tmp_path / "b.parquet")]).items())
    assert [item.error for item in items] == [
        None,
        *["the table names no image in this row"] * 2,
        "the table holds no image in this row",
    ]
    assert items[2].key == f"{tmp_path / 'a.jsonl'}#2"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"file,score\nx,1\n", "expected a column image, path, key, got file, score"),
        ("a.csv", b"", "got none"),
        ("a.csv", b"path,path\na,b\n", "several columns are called path"),
        ("a.csv", b'"path\na', "lines 1 to 2: .*quote"),
        ("a.jsonl", b"[1]\n", "line 1: expected a JSON object"),
        ("a.jsonl", b"{nope\n", "line 1: no JSON"),
        ("a.parquet", b"PAR1", "no Parquet file"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_sources([str(tmp_path / name)])
    with pytest.raises(ValueError, match="no such file"):
        open_sources([str(tmp_path / f"missing-{name}")])


def test_several_tables_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "0.csv").write_text("path,id\na.png,1\n")
    (tmp_path / "1.csv").write_text("path,id\nb.png,2\n")
    assert keys(f"{tmp_path}/{{0..1}}.csv") == keys(f"{tmp_path}/?.csv") == ["a.png", "b.png"]
    (tmp_path / "1.csv").write_text("path,other\nb.png,2\n")
    with pytest.raises(ValueError, match="other"):
        keys(f"{tmp_path}/?.csv")


def test_a_null_of_datasets_is_read_from_its_path(tmp_path: Path) -> None:
    """`Dataset.to_parquet` of files on disk writes their paths alone."""
    rows = [{"bytes": None, "path": "a.png"}, {"bytes": b"x", "path": "b.png"}, None]
    pq.write_table(pa.table({"image": rows}), tmp_path / "t.parquet")
    first, second, third = open_sources([f"{tmp_path}/t.parquet"], root="in").items()
    assert first.image == Path("in/a.png")
    assert isinstance(second.image, Encoded)
    assert third.error == "the table holds no image in this row"


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=["large", "view", "dictionary"],
)
def test_keys_and_columns_are_text_of_any_type(tmp_path: Path, kind: pa.DataType) -> None:
    """pandas 3, polars and categories write other types than `string`."""
    text = pa.array(["k0", "k1"]).cast(kind)
    pq.write_table(pa.table({"image": [b"x", b"y"], "key": text, "tag": text}),
                   tmp_path / "t.parquet")  # fmt: skip
    found = open_sources([f"{tmp_path}/t.parquet"])
    assert [item.key for item in found.items()] == ["k0", "k1"]
    assert dict(found.columns) == {"tag": pa.string()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("semicolons.csv", b"path;id\n%;1\n"),
        ("tabs.csv", b"id\tpath\n1\t%\n"),
        ("t.tsv", b"path\tid, or not\n%\t1\n"),
        ("bom.csv", "\ufeffpath,id\n%,1\n".encode()),
        ("utf-16.csv", "path,id\n%,1\n".encode("utf-16")),
        ("utf-16.jsonl", '{"path": "%"}\n'.encode("utf-16")),
        ("utf-16-be.csv", "path,id\n%,1\n".encode("utf-16-be")),
        ("utf-16-le.csv", "path,id\n%,1\n".encode("utf-16-le")),
        ("surplus-delimiter.csv", b"path,id\n%,1,,\n"),
        ("long.csv", b"path,id\n%," + b"x" * 200_000 + b"\n"),
    ],
)
def test_tables_of_other_programs(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert keys(tmp_path / name) == ["%"]


def test_a_damaged_row_costs_itself(tmp_path: Path) -> None:
    rows = ["path,id", "a,b.png,1", '"c"d.png,1', "e.png,1", '"f.png,1', "g.png,1"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    (tmp_path / "t.jsonl").write_text('{"path": "a.png"}\n{"path\n{"path": "c.png"}\n')
    found = open_sources([f"{tmp_path}/t.csv", f"{tmp_path}/t.jsonl"])
    errors = {item.key.removeprefix(f"{tmp_path}/"): item.error for item in found.items()}
    assert [key for key, error in errors.items() if not error] == ["e.png", "a.png", "c.png"]
    assert "line 2: 3 fields" in str(errors["t.csv#0"])
    assert "lines 5 to 6" in str(errors["t.csv#3"]) and "quote" in str(errors["t.csv#3"])
    assert "line 2: no JSON" in str(errors["t.jsonl#1"])


def test_a_parquet_file_that_is_damaged_gives_an_error_and_not_the_end(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"path": [f"{n}.png" for n in range(50_000)]}), path, row_group_size=500
    )
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 5000] = bytes(5000)
    path.write_bytes(content)
    items = list(open_sources([str(path), "next.png"]).items())
    assert items[0].key == "0.png" and items[-1].key == "next.png"
    assert "cannot be read to its end" in str(items[-2].error)


def test_fields_that_begin_later_are_counted(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"path": "a.png"}\n{"path": "b.png", "tag": 1}\n')
    found = open_sources([f"{tmp_path}/t.jsonl"])
    assert len(list(found.items())) == 2
    assert "1 values of tag" in str(found.note())


# --- shards ----------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", ["path", "url"])
def test_shards(tmp_path: Path, remote: Callable[[str, bytes], str], behind: str) -> None:
    for number in range(2):
        content = shard([f"{number}a.png", f"{number}a.json", f"./d/{number}b.jpg", "./._x.png"])
        (tmp_path / f"s-{number:03}.tar").write_bytes(content)
        remote(f"in/s-{number:03}.tar", content)
    place = str(tmp_path) if behind == "path" else "memory://in"
    expected = [
        f"{place}/s-00{n}.tar/{name}" for n in (0, 1) for name in (f"{n}a.png", f"./d/{n}b.jpg")
    ]
    assert keys(f"{place}/s-{{000..001}}.tar") == expected
    assert [key.rpartition("in/")[2] for key in keys(f"{place}/s-*.tar")] == [
        key.rpartition("in/")[2] for key in expected
    ]
    (first, *_) = open_sources([f"{place}/s-000.tar"]).items()
    assert whole(first) == png()


def test_a_shard_that_is_cut_off_gives_what_it_has_and_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    path.write_bytes(shard(["a.png", "b.png"], bytes(5000))[:9000])
    (tmp_path / "none.tar").write_bytes(b"no tar at all" * 100)
    items = list(open_sources([str(path), str(tmp_path / "none.tar"), "missing.tar"]).items())
    assert [item.key for item in items] == [f"{path}/a.png", str(path), f"{tmp_path}/none.tar",
                                            "missing.tar"]  # fmt: skip
    assert items[1].error == "cannot be read as a tar file to its end (unexpected end of data)"
    assert "tar file" in str(items[2].error)
    assert items[3].error == "no such file"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_damaged_header_does_not_end_a_shard_in_silence(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    content = bytearray(shard(["a.png", "b.png", "c.png"], bytes(5000)))
    (tmp_path / "whole.tar").write_bytes(compress(bytes(content)))
    assert len(keys(tmp_path / "whole.tar")) == 3
    second = 512 + 5120  # after a header and the ten blocks of an image
    content[second : second + 12] = b"x" * 12
    (tmp_path / "s.tar").write_bytes(compress(bytes(content)))
    *_, last = items = list(open_sources([str(tmp_path / "s.tar")]).items())
    assert [item.key for item in items] == [f"{tmp_path}/s.tar/a.png", f"{tmp_path}/s.tar"]
    assert last.error == "cannot be read as a tar file to its end (damaged header)"


def zipped(names: list[str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, png())
    return file.getvalue()


def zstd(content: bytes) -> bytes:
    compressed: bytes = pa.compress(content, "zstd", asbytes=True)
    return compressed


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("s.zip", zipped),
        ("s.tar.bz2", lambda names: bz2.compress(shard(names))),
        ("s.tar.xz", lambda names: lzma.compress(shard(names))),
        ("s.tar.zst", lambda names: zstd(shard(names))),
    ],
)
def test_archives_of_other_kinds(
    tmp_path: Path,
    remote: Callable[[str, bytes], str],
    name: str,
    pack: Callable[[list[str]], bytes],
) -> None:
    content = pack(["d/a.png", "b.img", "__MACOSX/._a.png"])
    (tmp_path / name).write_bytes(content)
    for place in (f"{tmp_path}/{name}", remote(name, content)):
        items = list(open_sources([place]).items())
        assert [item.key for item in items] == [f"{place}/d/a.png", f"{place}/b.img"]
        assert whole(items[0]) == png()


def test_members_are_images_by_suffix_or_content_and_the_rest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(shard(["a.png", "b.seg", "c.json", "d.json"]))
    found = open_sources([f"{tmp_path}/s.tar"])
    assert [item.key for item in found.items()] == [
        f"{tmp_path}/s.tar/{n}" for n in ("a.png", "b.seg")
    ]
    assert found.note() == "left out: 2 .json"


@pytest.mark.parametrize("name", ["s.tar", "s.zip"])
def test_a_shard_without_an_image_is_an_error(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("a.txt", "a caption")
    (tmp_path / "s.tar").write_bytes(shard(["a.txt"], b"a caption"))
    (item,) = open_sources([f"{tmp_path}/{name}"]).items()
    assert item.error == "no image found; left out: 1 .txt"


def test_links_in_a_shard_are_rows_with_an_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, kind in (("a.png", tarfile.REGTYPE), ("b.png", tarfile.LNKTYPE),
                           ("c.png", tarfile.SYMTYPE), ("d.txt", tarfile.SYMTYPE)):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.png" if kind != tarfile.REGTYPE else ""
            info.size = 0 if info.linkname else len(png())
            tar.addfile(info, None if info.linkname else io.BytesIO(png()))
    errors = [item.error for item in open_sources([f"{tmp_path}/s.tar"]).items()]
    assert errors[0] is None and len(errors) == 3
    assert all("a link to a.png" in str(error) for error in errors[1:])
    with pytest.raises(ValueError, match="a link to"):
        shard_source.members(tmp_path / "s.tar")


def test_a_damaged_member_of_a_zip_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(zipped(["a.png", "b.png"]))
    place = content.index(b"a.png") + 12
    content[place : place + 8] = b"\xff" * 8
    (tmp_path / "s.zip").write_bytes(content)
    first, second = open_sources([f"{tmp_path}/s.zip"]).items()
    assert "cannot be read from the zip file" in str(first.error)
    assert whole(second) == png()
    monkeypatch.setattr(shard_source, "MEMBER_BYTES", 10)
    assert "expected at most 10" in str(next(open_sources([f"{tmp_path}/s.zip"]).items()).error)


# --- URLs ------------------------------------------------------------------------------------


def test_files_folders_and_patterns_behind_urls(remote: Callable[[str, bytes], str]) -> None:
    for name in ("in/b.png", "in/a.jpg", "in/deep/c.png", "in/e.txt"):
        remote(name, png())
    names = [key.removeprefix("memory://").lstrip("/") for key in keys("memory://in")]
    assert names == ["in/a.jpg", "in/b.png", "in/deep/c.png"]
    assert len(keys("memory://in", recursive=False)) == 2
    assert len(keys("memory://in/*.png")) == 1
    (item,) = open_sources(["memory://in/a.jpg"]).items()
    assert whole(item) == png()


def test_chained_urls(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(zipped(["d/a.png", "d/b.png", "c.txt"]))
    for name in ("zip://d/*.png", "zip://d", "zip://"):
        found = open_sources([f"{name}::{tmp_path}/p.zip"])
        items = list(found.items())
        assert [item.key for item in items] == [f"zip://d/{n}.png::{tmp_path}/p.zip" for n in "ab"]
        assert whole(items[0]) == png()
    assert found.note() == "left out: 1 .txt"
    (item,) = open_sources([f"simplecache::file://{tmp_path}/p.z*"]).items()
    assert item.key == f"simplecache::file://{tmp_path}/p.zip"


def test_a_url_without_a_suffix_is_a_file_where_there_is_one(
    remote: Callable[[str, bytes], str],
) -> None:
    (item,) = open_sources([remote("photo", png())]).items()
    assert whole(item) == png()
    assert is_shard("https://host/a.tar?signed=1") and not is_shard("zip://a.png::b.zip")
    assert keys("https://host/a.png?size=1") == ["https://host/a.png?size=1"]


def test_what_cannot_be_fetched_is_an_error(remote: Callable[[str, bytes], str]) -> None:
    names = ["memory://none.png", "nowhere://a.png", remote("there.png", png())]
    items = [Item(name, Url(name)) for name in names]
    missing, unknown, there = fetch_urls([*items])
    assert missing.error == "no such file"
    assert "cannot be fetched" in str(unknown.error)
    assert "[remote]" in str(unknown.error)
    assert isinstance(there.image, Encoded)


def test_fetching_keeps_the_order_and_does_not_run_ahead(
    remote: Callable[[str, bytes], str],
) -> None:
    taken = 0

    def items() -> Iterator[Item]:
        nonlocal taken
        for count in range(50):
            taken += 1
            name = remote(f"{count}.png", b"x") if count % 3 else str(count)
            yield Item(str(count), Url(name) if count % 3 else Path(name))

    stream = fetch_urls(items(), at_once=4)
    assert next(stream).key == "0"
    assert taken <= 6
    assert [item.key for item in stream] == [str(count) for count in range(1, 50)]
