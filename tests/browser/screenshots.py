"""`./run screenshots`: pictures of the admin for the documentation, over the demo's data, light and dark.

The demo's servers start, its mappings run twice, a past is written for the charts, and each of the shots in `shots.py`
is taken. A shot that cannot be taken is told, the others are taken all the same, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

from controlplane.demo.place import Place, only_one, prepared
from controlplane.sandbox.process import SandboxError
from tests.browser import chromium
from tests.browser.people import Role
from tests.browser.site import PROJECT, Site, run_site
from tests.browser.visiting import visiting

IMAGES = PROJECT / "docs" / "images"
_ROWS = 20_000
_QUALITY = 0.82
#: Chromium turns its own picture into WebP, which is a third of a PNG.
_TO_WEBP = """async ([png, quality]) => {
    const picture = new Image();
    picture.src = `data:image/png;base64,${png}`;
    await picture.decode();
    const canvas = document.createElement('canvas');
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext('2d').drawImage(picture, 0, 0);
    return canvas.toDataURL('image/webp', quality).split(',')[1];
}"""


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures; 0 when all of them were taken."""
    options = _parser().parse_args(arguments)
    program = chromium.find()
    if program is None:
        sys.stderr.write(f"{chromium.REMEDY}\n")
        return 1
    # Root runs its servers under another account, which must be able to come here.
    with tempfile.TemporaryDirectory(prefix="screenshots-") as base:
        Path(base).chmod(0o755)
        try:
            with only_one(Path(base) / "demo"), prepared(Path(base) / "demo", keep=False) as place:
                return _take_all(place, program, options.only)
        except SandboxError as error:
            sys.stderr.write(f"{error}\n")
            return 1


def _take_all(place: Place, program: Path, only: list[str]) -> int:
    """Imports here, once the environment leads to the demo's own control database: Django reads it but once."""
    import django

    django.setup()
    from controlplane.demo import reviews, shop, story
    from controlplane.demo.report import Teller
    from tests.browser import past, shots

    teller = Teller()
    story.load_and_import(place, teller, _ROWS)
    story.run_all(teller)
    shop.change(place)
    reviews.change(place)
    story.run_all(teller)
    chosen = [shot for shot in shots.SHOTS if not only or shot.name in only]
    failed: list[str] = []
    with _site(place) as site, site.worker(), sync_playwright() as playwright:
        known = site.call(past.write, place.postgres.address)
        browser = playwright.chromium.launch(executable_path=program, args=chromium.ARGUMENTS)
        for is_dark in (False, True):
            with visiting(browser, site, Role.SUPERUSER, dark=is_dark, is_strict=False) as page:
                for shot in chosen:
                    try:
                        shot.take(page, known)
                    except (Error, AssertionError, KeyError) as error:
                        failed.append(f"{shot.name}: {str(error).splitlines()[0]}")
                        continue
                    _save(browser, page, IMAGES / f"{shot.name}-{'dark' if is_dark else 'light'}.webp")
        browser.close()
    for line in failed:
        sys.stderr.write(f"not taken: {line}\n")
    return 1 if failed else 0


@contextmanager
def _site(place: Place) -> Iterator[Site]:
    directory = Path(os.environ["DMS_VAR_DIR"])
    environment = {name: value for name, value in place.environment().items() if name != "DMS_VAR_DIR"}
    # A source that is down is not to fill the list of runs.
    with run_site(directory, **environment, DMS_RESUME_DELAY_S="3600") as site:
        yield site


def _save(browser: Browser, page: Page, path: Path) -> None:
    png = base64.b64encode(page.screenshot(animations="disabled", caret="hide")).decode()
    # A page without the service's rules of what scripts may do.
    studio = browser.new_page()
    try:
        webp = base64.b64decode(studio.evaluate(_TO_WEBP, [png, _QUALITY]))
    finally:
        studio.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(webp)
    sys.stdout.write(f"{path.relative_to(PROJECT)}  {len(webp) // 1024} kB\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run screenshots", description="Take the pictures in docs/images/.")
    parser.add_argument("only", nargs="*", metavar="NAME", help="of a picture; all of them without it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
