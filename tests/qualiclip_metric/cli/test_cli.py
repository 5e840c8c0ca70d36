"""The command line as a whole: commands, help, version, missing extras; `info`."""

import json
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest
import typer
from typer.testing import CliRunner

from qualiclip_metric import __version__, checkpoints
from qualiclip_metric.cli import COMMANDS, app, lazy, main
from qualiclip_metric.cli._metric import choose_device
from qualiclip_metric.cli.terminal import Terminated, end_on_sigterm
from qualiclip_metric.engines.processor import has_bf16_instructions
from qualiclip_metric.files import printable


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"qualiclip-metric {__version__}\n")


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for name, (_, _, summary) in COMMANDS.items():
        assert name in result.stdout
        assert summary.split(":")[0].split(";")[0] in " ".join(result.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_wraps_at_80_columns(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "80"}, terminal_width=80)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "─" not in result.stdout  # boxes leave the words a column of 20 letters


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from qualiclip_metric.cli import app\n"
        "for words in (['--help'], ['--version'], ['score', '--help']):\n"
        "    try: app(words)\n"
        "    except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'pyiqa', 'pandas', 'timm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "answer"), [(["scroe"], "'score'"), (["--nope"], "--nope"), ([], "")]
)
def test_usage_errors_exit_2(words: list[str], answer: str) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert answer in result.stderr


def test_a_missing_extra_stops_its_command_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def needy() -> None:
        raise ImportError("needs a thing: pip install 'qualiclip-metric[thing]'")

    monkeypatch.setattr(lazy, "_imported", lambda *_: typer.main.get_command(_typer(needy)))
    monkeypatch.setattr(sys, "argv", ["qualiclip", "info"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "error: needs a thing: pip install 'qualiclip-metric[thing]'\n"
    )


def _typer(function: object) -> typer.Typer:
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command()(function)  # type: ignore[type-var]
    return single


def test_an_import_error_without_a_cure_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("no such name")

    monkeypatch.setattr(lazy, "_imported", lambda *_: typer.main.get_command(_typer(broken)))
    monkeypatch.setattr(sys, "argv", ["qualiclip", "info"])
    with pytest.raises(ImportError, match="no such name"):
        main()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a b.jpg", "a b.jpg"), ("ü[red].png", "ü[red].png"), ("a\nb", "a\\nb"),
     ("\x1b[31m", "\\x1b[31m"), ("\udc80", "\\udc80")],
)  # fmt: skip
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_sigterm_to_a_whole_job_ends_it_without_an_error() -> None:
    """As from a job scheduler: torch raises an error when a worker ends with the same signal."""

    def worker_killed(_number: int, _frame: object) -> None:
        raise RuntimeError("DataLoader worker is killed by signal: Terminated.")

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCHLD)}
    try:
        end_on_sigterm()
        signal.signal(signal.SIGCHLD, worker_killed)
        signal.pthread_sigmask(signal.SIG_BLOCK, before)
        for number in before:  # both at once: a worker may end before this process looks
            signal.raise_signal(number)
        with pytest.raises(Terminated):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
        signal.raise_signal(signal.SIGCHLD)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
        for number, handler in before.items():
            signal.signal(number, handler)


# --- info ------------------------------------------------------------------------------------


def test_info_as_json() -> None:
    result = CliRunner().invoke(app, ["info", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["versions"]["qualiclip-metric"] == __version__
    assert facts["versions"]["torch"] != "not installed"
    assert set(facts["models"]) == set(checkpoints.names())
    assert "threads for torch" in facts["device"]["cpu"]
    assert facts["device"]["bf16"].startswith("fast") == has_bf16_instructions()
    assert find_spec("pyiqa") is None or "pyiqa" in facts["pyiqa plugin"]["status"]


def test_info_for_people_says_the_same() -> None:
    runner = CliRunner()
    facts = json.loads(runner.invoke(app, ["info", "--json"]).stdout)
    text = runner.invoke(app, ["info"]).stdout
    for title, entries in facts.items():
        assert f"\n{title}\n" in f"\n{text}"
        for name, value in entries.items():
            assert f"  {name} " in text
            assert value in text


@pytest.mark.parametrize(
    ("cuda", "mps", "device"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_device_is_a_gpu_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, device: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    assert choose_device("auto") == device
    assert choose_device("cuda:1") == "cuda:1"
