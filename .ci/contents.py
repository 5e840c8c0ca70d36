"""Check what the built packages hold: `python .ci/contents.py WHEEL SDIST`, in a checkout."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

NOT_PACKED = (".github/", ".gitignore")


def main(wheel: str, sdist: str) -> None:
    """Stop with the names of files that are missing, or have no place in the wheel."""
    tracked = subprocess.check_output(["git", "ls-files"], text=True).split()
    inside = zipfile.ZipFile(wheel).namelist()
    metadata = Path(wheel).name.rsplit("-", 3)[0] + ".dist-info"
    outside = {PurePosixPath(name).parts[0] for name in inside} - {"qualiclip_metric", metadata}
    package = [name for name in tracked if name.startswith("qualiclip_metric/")]
    if missing := sorted(set(package) - set(inside)):
        sys.exit(f"{wheel} lacks {missing}; setup.cfg, package_data, names what it holds")
    if outside:
        sys.exit(f"{wheel} holds {sorted(outside)}, expected qualiclip_metric alone")
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[-1] for name in archive.getnames()}
    expected = [name for name in tracked if not name.startswith(NOT_PACKED)]
    if missing := sorted(set(expected) - packed):
        sys.exit(f"{sdist} lacks {missing}; MANIFEST.in names what it holds")
    print(f"wheel: {len(inside)} files, source distribution: {len(packed)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
