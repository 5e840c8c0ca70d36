"""What documents name is there: files, modules, links, commands and their options, pictures."""

import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from benchmarks.__main__ import build as benchmarks_app
from qualiclip_metric.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "benchmarks").rglob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
OF_OTHER_PROJECTS = {
    ".github/workflows/metric.yml",
    "tests/golden/lite.json",
    "tests/test_metric_values.py",
}
"""Files that docs/ci.md proposes to projects that use the metric."""

EARLIER = ("benchmarks.speed_steps", "python -m benchmarks gmad timing")
"""What is quoted together with the last commit that had it."""

PLACEHOLDERS = ("X", "NAME", "COMMAND")
"""Words that stand for any name."""

FILE = re.compile(
    r"(?<![\w/.~-])(?:qualiclip_metric|benchmarks|tests|docs|configs|\.ci|\.github)/[\w./*{},-]*"
)
MODULE = re.compile(
    r"(?<![\w/.-])(?:qualiclip_metric|benchmarks)(?:\.(?!md\b)[A-Za-z_]\w*)+(?![\w/-])"
)
LINK = re.compile(r"\]\(([^)#\s]+)")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@PAGE
def test_files_are_there(page: Path) -> None:
    text = _text(page)
    named = {match.rstrip(".,/") for match in FILE.findall(text)} - OF_OTHER_PROJECTS
    patterns = {name: re.sub(rf"\b({'|'.join(PLACEHOLDERS)})\b", "*", name) for name in named}
    assert sorted(name for name, glob in patterns.items() if not any(ROOT.glob(glob))) == []


@PAGE
def test_scripts_named_without_a_folder_are_there(page: Path) -> None:
    text = _text(page)
    named = {name for name in re.findall(r"`(\w+\.py)`", text) if f"# {name}\n" not in text}
    own = {path.name for path in ROOT.rglob("*.py")}
    assert sorted(named - own) == []


@PAGE
def test_modules_and_their_names_are_there(page: Path) -> None:
    names = set(MODULE.findall(_text(page)))
    assert sorted(name for name in names if not _exists(name)) == []


@PAGE
def test_links_lead_somewhere(page: Path) -> None:
    links = {link for link in LINK.findall(_text(page)) if ":" not in link}
    assert sorted(link for link in links if not (page.parent / link).exists()) == []


@PAGE
def test_commands_and_options_are_there(page: Path) -> None:
    wrong = [problem for words in commands(page) if (problem := _problem(words))]
    assert wrong == []


def test_commands_are_found_and_wrong_ones_noticed(tmp_path: Path) -> None:
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


def test_architecture_has_a_paragraph_per_folder() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = [
        f"{path.parent.relative_to(ROOT)}/"
        for package in ("qualiclip_metric", "benchmarks")
        for path in (ROOT / package).glob("*/__init__.py")
    ]
    assert len(folders) > 15
    assert [folder for folder in folders if f"**`{folder}`**" not in text] == []


@pytest.mark.parametrize("name", ["score", "train", "benchmarks"])
def test_pictures_show_what_is_there(name: str) -> None:
    """No box and no arrow of what is gone; the cure is `python docs/draw_imports.py`."""
    pytest.importorskip("grimp", reason="grimp, of the extra dev, reads the import graph")
    drawing = _script(ROOT / "docs" / "draw_imports.py")
    graph = drawing.imports(*drawing.FLOWS[name])
    picture = (ROOT / "docs" / "images" / f"imports-{name}.svg").read_text(encoding="utf-8")
    titles = re.findall(r'class="(node|edge)">\s*<title>([^<]+)</title>', picture)
    boxes = {title for kind, title in titles if kind == "node"}
    arrows = {tuple(title.split("&#45;&gt;")) for kind, title in titles if kind == "edge"}
    assert len(boxes) > 5
    assert boxes <= set(graph)
    assert len(arrows) > 5
    assert arrows <= set(graph.edges)


def commands(page: Path) -> Iterator[list[str]]:
    """Words of every call of ours in a page: in code blocks, and in spans with an argument."""
    for code in _code(_text(page)):
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


def _text(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    for name in EARLIER:
        text = text.replace(name, "...")
    return text


def _code(text: str) -> Iterator[str]:
    """Spans, fenced blocks and indented blocks, in their order."""
    kinds = rf"^```\w*\n(?P<fenced>.*?)^```|(?P<indented>(?:^(?: {{4}}.*|)\n)+)|{SPAN.pattern}"
    for match in re.finditer(kinds, text, re.M | re.S):
        yield match["fenced"] or match["indented"] or match[3] or ""


def _problem(words: list[str]) -> str:
    """What a call names and the command line does not have; empty where all is well."""
    count = 1 if words[0] == "qualiclip" else 3
    called, arguments = " ".join(words[:count]), words[count:]
    command = _application(called, arguments[0] if arguments else "")
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        if name in PLACEHOLDERS:
            return ""
        if name not in command.commands:
            return f"{called} has no command {name}"
        command, called = _subcommand(command, name), f"{called} {name}"
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
    given = [word.split("=")[0] for word in arguments if re.match(r"--?[a-zA-Z]", word)]
    wrong = [option for option in given if option not in known]
    return f"{called} has no {', '.join(wrong)}" if wrong else ""


@cache
def _application(called: str, name: str) -> Any:
    return typer.main.get_command(app if called == "qualiclip" else benchmarks_app([name]))


def _subcommand(group: Any, name: str) -> Any:
    """The real command, which `qualiclip` imports at its first use."""
    context = group.make_context("x", [name], resilient_parsing=True)
    return group.resolve_command(context, [name])[1]


def _exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def _script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
