"""Writes the documents into a folder (`make openapi`), or with --check says where it falls short of the code."""

import sys
from pathlib import Path

from api.app import create_app
from api.openapi.serve import DOCUMENTS, undocumented, written
from timeball.settings import Settings


def check(folder: Path) -> list[str]:
    """What is wrong with the committed documents, in words."""
    faults = [
        f"{route} has no entry in OPERATIONS of api/openapi"
        for route in undocumented(create_app(Settings(secret="-" * 32)))
    ]
    for name in DOCUMENTS:
        path = folder / f"{name}.json"
        if not path.exists() or path.read_bytes() != written(name):
            faults.append(f"{path} is not what the code says: run make openapi")
    return faults


def main() -> int:
    folder = Path(sys.argv[-1])
    if "--check" not in sys.argv:
        for name in DOCUMENTS:
            (folder / f"{name}.json").write_bytes(written(name))
        return 0
    faults = check(folder)
    for fault in faults:
        print(fault)
    print(f"OpenAPI: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
