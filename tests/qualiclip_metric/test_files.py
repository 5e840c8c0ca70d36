"""Files are replaced whole or not at all; links, devices and pipes are treated as what they are."""

import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest

from qualiclip_metric.files import (
    InUseError,
    atomic_write,
    check_writable,
    error_text,
    exclusive_lock,
    is_special,
    link_or_copy,
    write_text,
    writing,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_raises_leaves_the_old_content_and_no_scratch(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    for open_it in (atomic_write, writing):
        with pytest.raises(RuntimeError), open_it(path):
            raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_of_a_link_the_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real/a.txt")
    with writing(tmp_path / "link.txt") as file:
        file.write("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real/a.txt").read_text() == "new"
    assert names(tmp_path / "real") == ["a.txt"]


def test_a_dangling_link_gets_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("later.txt")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "later.txt").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
@pytest.mark.parametrize("atomic", [False, True])
def test_a_named_pipe_is_written_to(atomic: bool, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    if atomic:
        write_text(pipe, "row\n")
    else:
        with writing(pipe) as file:
            file.write("row\n")
    reader.join(10)
    assert received == ["row\n"]
    assert is_special(pipe)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no /dev/null")
def test_devices_stay_devices() -> None:
    for device in ("/dev/null", "/dev/stdout"):
        if Path(device).exists():
            assert is_special(device)
            check_writable(device)
    before = Path("/dev/null").stat().st_rdev
    with writing("/dev/null") as file:
        file.write("row\n")
    assert Path("/dev/null").stat().st_rdev == before


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(NotADirectoryError, match="there is no folder"):
        check_writable(tmp_path / "no/a.txt")
    check_writable(tmp_path / "a.txt")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_known_before(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        check_writable(tmp_path / "a.txt")


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, atomic_write(tmp_path / "file"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error_text(caught.value) == f"{tmp_path / 'file'}: {os.strerror(errno.ENOSPC)}"
    assert not list(tmp_path.iterdir())


def test_errors_of_the_system_are_said_in_words(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "text")
    with pytest.raises(FileExistsError) as caught:
        file.mkdir()
    assert error_text(caught.value) == (
        f"{file}: expected a folder, and there is a file of this name"
    )
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "none").read_bytes()
    assert error_text(missing.value) == f"{tmp_path}/none: No such file or directory"
    assert error_text(OSError("of our own")) == "of our own"


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no /dev/shm")
def test_a_file_on_a_memory_disk_is_a_file() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, "scores.csv")
        with writing(path) as file:
            file.write("row")
            assert not path.exists()
        assert not is_special(path)


@pytest.mark.skipif(os.name != "posix", reason="the umask is POSIX")
def test_a_new_file_has_the_mode_of_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o027)
    monkeypatch.setattr(os, "umask", None)  # it is the whole process's, and is left alone
    try:
        write_text(tmp_path / "a.txt", "text")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_lock_is_held_by_one_and_its_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "scores.csv"
    with exclusive_lock(target), pytest.raises(InUseError), exclusive_lock(target):
        raise AssertionError
    assert names(tmp_path) == [".scores.csv.lock"]  # who waits for it must find the same file
    with exclusive_lock(target):
        assert names(tmp_path) == [".scores.csv.lock"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_gets_a_second_name_and_no_other_file_loses_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EXDEV, "another device")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    source, target = tmp_path / "a.jpg", tmp_path / "kept" / "b" / "a.jpg"
    source.write_text("photo")
    for _ in range(2):  # an interrupted run does it again
        link_or_copy(source, target)
    assert target.samefile(source) == links
    assert (source.read_text(), target.read_text()) == ("photo", "photo")
    other = tmp_path / "other.jpg"
    other.write_text("of another photo")
    with pytest.raises(FileExistsError, match="another file"):
        link_or_copy(other, target)
    assert target.read_text() == "photo"
    assert names(target.parent) == ["a.jpg"]
