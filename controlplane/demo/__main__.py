"""`python -m controlplane.demo`: show all four modes on a sample database; exit code 0 when all is equal."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from controlplane.demo.place import Place, demo_directory, only_one, prepared, revisited, stop
from controlplane.sandbox.process import SandboxError

_ROWS = 300_000
_FEWEST_ROWS = 1000
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit code: 0 equal, 1 not equal or failed, 130 interrupted."""
    options = _parser().parse_args(arguments)
    directory: Path = options.directory or demo_directory()
    for name in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, _interrupt)
    try:
        with only_one(directory):
            return _act(directory, options)
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. The next ./run demo starts anew.\n")
        return _INTERRUPTED


def _act(directory: Path, options: argparse.Namespace) -> int:
    if options.stop:
        sys.stdout.write("The demo's servers are down.\n" if stop(directory) else "The demo's servers were not up.\n")
        return 0
    if options.compare:
        return _tell(revisited(directory), options)
    sys.stdout.write("Starting PostgreSQL, a MongoDB-compatible store and an S3-compatible one on free ports ...\n")
    sys.stdout.flush()
    with prepared(directory, keep=options.keep) as place:
        return _tell(place, options)


def _tell(place: Place, options: argparse.Namespace) -> int:
    """Imports here, once the environment leads to the demo's own control database: Django reads it but once."""
    import django

    django.setup()
    from controlplane.demo.commands import CommandFailedError
    from controlplane.demo.report import Teller
    from controlplane.demo.serving import say_how_to_look, serve
    from controlplane.demo.story import compare_again, tell

    teller = Teller()
    try:
        is_equal = compare_again(place, teller) if options.compare else tell(place, teller, options.rows)
    except CommandFailedError as error:
        teller.line(f"\nThe demo ends here: {error}", style="bold red")
        return 1
    if options.keep or place.was_up:
        say_how_to_look(place, teller)
    if options.serve:
        with suppress(KeyboardInterrupt):
            serve(place, teller, options.port)
    return 0 if is_equal else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run demo",
        description="Start real servers, load a sample shop, run the four modes twice, and compare both ends.",
    )
    parser.add_argument("--keep", action="store_true", help="leave the servers up and say how to look at the data")
    parser.add_argument("--stop", action="store_true", help="stop servers that --keep left up")
    parser.add_argument("--compare", action="store_true", help="only compare both ends again, after --keep")
    parser.add_argument("--serve", action="store_true", help="show the admin pages at the end, until Ctrl-C")
    parser.add_argument("--port", type=int, help="port of the admin pages; a free one without it")
    parser.add_argument("--rows", type=_row_count, default=_ROWS, metavar="N", help=f"about how many rows ({_ROWS})")
    parser.add_argument("--directory", type=Path, help="where to keep the demo's files, instead of var/demo")
    return parser


def _row_count(text: str) -> int:
    count = int(text)
    if count < _FEWEST_ROWS:
        msg = f"at least {_FEWEST_ROWS}"
        raise argparse.ArgumentTypeError(msg)
    return count


if __name__ == "__main__":
    sys.exit(main())
