"""Check what the built packages hold: `python .ci/contents.py WHEEL SDIST`."""

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

IN_WHEEL = (
    "qualiclip_metric/py.typed",
    "qualiclip_metric/data/lite.safetensors",
    "qualiclip_metric/pages/page.html.j2",
    "qualiclip_metric/pages/page.css",
    "qualiclip_metric/app/app.html.j2",
    "qualiclip_metric/app/app.css",
)
IN_SDIST = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "NOTICE"),
    *(".ci/run", "mkdocs.yml", "configs/lite.toml", "docs/architecture.md"),
    *("tests/conftest.py", "benchmarks/__main__.py", "benchmarks/golden/lite.json"),
    *(f"benchmarks/report/templates/{name}" for name in ("page.html.j2", "page.css", "base.js")),
)


def main(wheel: str, sdist: str) -> None:
    """Stop with the names of files that are missing, or have no place in the wheel."""
    inside = zipfile.ZipFile(wheel).namelist()
    metadata = Path(wheel).name.rsplit("-", 3)[0] + ".dist-info"
    outside = {PurePosixPath(name).parts[0] for name in inside} - {"qualiclip_metric", metadata}
    if missing := [name for name in IN_WHEEL if name not in inside]:
        sys.exit(f"{wheel} lacks {missing}")
    if outside:
        sys.exit(f"{wheel} holds {sorted(outside)}, expected qualiclip_metric alone")
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[-1] for name in archive.getnames()}
    if missing := [name for name in IN_SDIST if name not in packed]:
        sys.exit(f"{sdist} lacks {missing}; MANIFEST.in names what it holds")
    print(f"wheel: {len(inside)} files, source distribution: {len(packed)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
