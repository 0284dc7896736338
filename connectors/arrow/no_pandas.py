"""Arrow without pandas, which costs a quarter of a second and 40 MB of every run."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa


class _NoPandas(MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            message = "pandas is kept out"
            raise ModuleNotFoundError(message, name=fullname)


def keep_pandas_out() -> None:
    """Let pyarrow take pandas for not installed, unless it is there already.

    With the first value that it is given pyarrow imports pandas, to be able to recognise what is pandas'. No such value
    comes to the connectors. Whoever asks pyarrow for a DataFrame gets one all the same.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(finder)
