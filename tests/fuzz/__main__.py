"""`python -m tests.fuzz SECONDS FOLDER`: the readers of texts under atheris.

It follows what code each text reaches, within what reads texts: all of Python's library would take minutes to
prepare. Where atheris has no build for this Python, hypothesis makes the texts.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

READERS = ["timeball", "dateutil", "cronsim", "croniter", "idna"]


def main(seconds: int, folder: str) -> None:
    """Fuzz so long; texts that reach something new are kept in the folder."""
    if find_spec("atheris") is None:
        from tests.fuzz.texts import under_hypothesis

        print("atheris has no build for this Python: hypothesis makes the texts")
        under_hypothesis(seconds)
        return
    import atheris

    with atheris.instrument_imports(include=READERS):
        from tests.fuzz.texts import seed, try_bytes

    seed(folder)
    options = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=600", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, folder], try_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
