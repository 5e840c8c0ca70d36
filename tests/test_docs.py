"""Links of documents lead somewhere; their commands, options and recipes' files exist."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks.__main__ import app as benchmarks_app
from qualiclip_metric.cli import app

ROOT = Path(__file__).parents[1]
LAB = sorted((ROOT / "docs" / "lab").glob("*.md"))
"""Dated entries: their commands are those of their day, so that only their links are checked."""
PAGES = sorted(
    {
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "benchmarks").rglob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
    }
    - {*LAB}
)
SCRIPTS = sorted((ROOT / "runs").glob("*.sh"))
RECIPES = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"]
NAME = r"(?<![A-Za-z])(?:X|NAME|COMMAND)(?![A-Za-z])"
"""Words that stand for any name."""

FILE = re.compile(r"(?<![\w/.~-])(?:qualiclip_metric|benchmarks|tests|docs|configs)/[\w./*-]*")
LINK = re.compile(r"\]\(([^)#\s]+)")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [*PAGES, *LAB], ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    links = {link for link in LINK.findall(page.read_text("utf-8")) if ":" not in link}
    assert sorted(link for link in links if not (page.parent / link).exists()) == []


@pytest.mark.parametrize("page", RECIPES, ids=_id)
def test_files_of_recipes_exist(page: Path) -> None:
    named = {match.rstrip(".,/") for match in FILE.findall(page.read_text("utf-8"))}
    assert sorted(name for name in named if not any(ROOT.glob(re.sub(NAME, "*", name)))) == []


@pytest.mark.parametrize("page", [*PAGES, *SCRIPTS], ids=_id)
def test_commands_and_options_exist(page: Path) -> None:
    assert [problem for words in commands(page) if (problem := _problem(words))] == []


def test_wrong_commands_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Text with `qualiclip score --nonsense`.\n\n"
        "    OMP_NUM_THREADS=1 python -m benchmarks run --metric lite \\\n"
        "        --bogus 3    # a comment\n\n"
        "```sh\npip install . && qualiclip demo --out x | head\nqualiclip scroe a.jpg\n```\n"
    )
    assert [_problem(words) for words in commands(page)] == [
        "qualiclip score has no --nonsense",
        "python -m benchmarks run has no --bogus",
        "",
        "qualiclip has no command scroe",
    ]


def test_every_page_is_in_the_navigation() -> None:
    """`mkdocs build --strict` fails on one that is not."""
    named = re.findall(r"^ +- (\S+\.(?:md|ipynb))$", (ROOT / "mkdocs.yml").read_text(), re.M)
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(set(pages) - set(named)) == []


def commands(page: Path) -> Iterator[list[str]]:
    """Words of every call of ours in a script, or in a page's code blocks and spans."""
    text = page.read_text("utf-8")
    for code in [text] if page.suffix == ".sh" else _code(text):
        for line in code.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\|?|;|>", re.sub(r"(^|\s)#.*", "", line)):
                try:
                    words = shlex.split(part)
                except ValueError:
                    continue
                while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                    del words[0]
                if words[:1] == ["qualiclip"] or words[:3] == ["python", "-m", "benchmarks"]:
                    yield words


def _code(text: str) -> Iterator[str]:
    """Spans, fenced blocks and indented blocks, in their order."""
    kinds = rf"^```\w*\n(?P<fenced>.*?)^```|(?P<indented>(?:^(?: {{4}}.*|)\n)+)|{SPAN.pattern}"
    for match in re.finditer(kinds, text, re.M | re.S):
        yield match["fenced"] or match["indented"] or match[3] or ""


def _problem(words: list[str]) -> str:
    """Name a command or option of a call that does not exist; empty where all do."""
    count = 1 if words[0] == "qualiclip" else 3
    called, arguments = " ".join(words[:count]), words[count:]
    command = _application(called)
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        if re.fullmatch(NAME, name):
            return ""
        if name not in command.commands:
            return f"{called} has no command {name}"
        command, called = _subcommand(command, name), f"{called} {name}"
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
    given = [word.split("=")[0] for word in arguments if re.match(r"--?[a-zA-Z]", word)]
    wrong = [option for option in given if option not in known]
    return f"{called} has no {', '.join(wrong)}" if wrong else ""


@cache
def _application(called: str) -> Any:
    return typer.main.get_command(app if called == "qualiclip" else benchmarks_app)


def _subcommand(group: Any, name: str) -> Any:
    """The real command, which is imported at its first use."""
    context = group.make_context("x", [name], resilient_parsing=True)
    return group.resolve_command(context, [name])[1]
