"""A fresh process that imports the package and scores with `lite` asks for no connection."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

GUARD = """
import json, sys
asked = open("asked.jsonl", "a", buffering=1)  # children that are forked write to it as well
def hook(event, args):
    if event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        what = [event, str(args[1])]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        what = [event, str(args[0])]
    else:
        return
    print(json.dumps(what), file=asked)
    raise OSError(f"no network: {what}")
sys.addaudithook(hook)
"""


def attempts(code: str, folder: Path) -> list[list[str]]:
    """Connections and look-ups that code asks for in a new process, which get none.

    Nothing was ever downloaded there, and no variable says that there is no network, or that the
    process belongs to a CI run: libraries that report their use do not report that.
    """
    dropped = ("OFFLINE", "QUALICLIP", "CI", "GITHUB_ACTIONS")
    kept = {k: v for k, v in os.environ.items() if not any(name in k for name in dropped)}
    (folder / "home").mkdir(exist_ok=True)
    folders = ("HOME", "XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME", "QUALICLIP_HOME")
    command = [sys.executable, "-c", f"{GUARD}\n{code}"]
    done = subprocess.run(
        command,
        check=False,
        env={**kept, **{name: str(folder / "home") for name in folders}},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    asked = folder / "asked.jsonl"
    found = [json.loads(line) for line in asked.read_text().splitlines()]
    asked.unlink()
    return found


def test_the_guard_sees_what_is_asked_for(tmp_path: Path) -> None:
    code = """
import socket
for ask in (lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: socket.getaddrinfo("example.org", 443),
            lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9))):
    try:
        ask()
    except OSError:
        pass
"""
    seen = [name for name, _ in attempts(code, tmp_path)]
    assert seen == ["socket.getaddrinfo", "socket.getaddrinfo", "socket.sendto"]


def test_importing_and_scoring_by_call_command_and_pyiqa(tmp_path: Path) -> None:
    Image.radial_gradient("L").convert("RGB").save(tmp_path / "photo.png")
    code = f"""
import importlib.util, sys
import qualiclip_metric
for name in qualiclip_metric.__all__:
    getattr(qualiclip_metric, name)
img = qualiclip_metric.read("photo.png")[None]
for engine in {["torch"] + ["openvino"] * bool(find_spec("openvino"))}:
    score = float(qualiclip_metric.create("lite", engine=engine)(img))
    assert 0 < score < 1, (engine, score)
from qualiclip_metric.cli import main
sys.argv = ["qualiclip", "score", "photo.png", "--format", "csv"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
if importlib.util.find_spec("pyiqa"):
    import pyiqa
    metric = pyiqa.create_metric("qualiclip", weights="lite")
    assert 0 < float(metric("photo.png")) < 1
"""
    assert attempts(code, tmp_path) == []
