"""Draw docs/images/imports-*.svg from the real import graph: `python docs/draw_imports.py`.

A box is a file or folder of the package with the first sentence of its docstring, an arrow is an
import. Arrows that follow from others are left out (A -> C where A -> B -> C). Needs the extra
`dev`, which brings grimp, and Graphviz, which brings `dot`.
"""

import subprocess
import sys
from html import escape
from pathlib import Path
from textwrap import wrap

import grimp
import networkx

ROOT = Path(__file__).parents[1]
FLOWS = {
    "score": ("qualiclip_metric", "cli.score"),
    "train": ("qualiclip_metric", "cli.train"),
    "benchmarks": ("benchmarks", ""),
}
"""Picture -> package, and the module where the flow starts; the whole package where none is."""

LETTERS = 30  # per line of a box
STYLE = """
bgcolor=white; nodesep=0.2; ranksep=0.4;
node [shape=box, style="rounded,filled", fillcolor="#eef4fb", color="#4477aa",
      fontname="Helvetica,Arial,sans-serif", fontsize=11];
edge [color="#7a8794", arrowsize=0.7];
"""


def imports(package: str, start: str) -> networkx.DiGraph:
    """Which part of a package imports which, as far as a flow reaches.

    Args:
        package: Name of the package.
        start: Module of the package that the flow starts at, drawn with what it shares with its
            neighbours in one box; empty for the whole package.

    Returns:
        Graph of names relative to the package: `scoring`, `encoders`, `cli.score`.
    """
    graph = grimp.build_graph(package, cache_dir=None, exclude_type_checking_imports=True)
    first = f"{package}.{start}"
    modules = graph.find_upstream_modules(first) | {first} if start else graph.modules
    modules = modules - {package, f"{package}.__main__", f"{package}._version"}
    if start:  # models are named in pyiqa's plugin, too, which is no part of a flow
        modules = {m for m in modules if m.split(".")[1] not in ("plugin", "_import_hook")}

    def part(module: str) -> str:
        name = module.split(".")[1]
        return start if start.startswith(f"{name}.") else name

    found = networkx.DiGraph()
    found.add_nodes_from(map(part, modules))
    for module in modules:
        for imported in graph.find_modules_directly_imported_by(module) & modules:
            if part(imported) != part(module):
                found.add_edge(part(module), part(imported))
    return found


def first_line(package: str, name: str) -> str:
    """The first sentence of a module's docstring."""
    path = ROOT.joinpath(package, *name.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    line = source.read_text(encoding="utf-8").split('"""')[1].strip().split("\n")[0]
    return line.split(". ")[0].rstrip(".").replace("`", "")


def dot(package: str, graph: networkx.DiGraph) -> str:
    """The graph in Graphviz's language."""
    lines = []
    for name in sorted(graph):
        text = "<br/>".join(escape(line) for line in wrap(first_line(package, name), LETTERS))
        lines.append(f'"{name}" [label=<<b>{name}</b><br/>{text}>];')
    lines += [f'"{a}" -> "{b}";' for a, b in sorted(networkx.transitive_reduction(graph).edges)]
    return "\n".join(["digraph {", STYLE, *lines, "}"])


def main() -> None:
    """Write the pictures."""
    sys.path.insert(0, str(ROOT))
    for name, (package, start) in FLOWS.items():
        path = ROOT / "docs" / "images" / f"imports-{name}.svg"
        source = dot(package, imports(package, start))
        subprocess.run(["dot", "-Tsvg", "-o", path], input=source, text=True, check=True)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
