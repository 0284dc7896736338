"""Every shot has its two pictures, small, and a place in the documentation; no picture is left from an earlier page."""

from __future__ import annotations

from tests.browser.shots import SHOTS
from tests.browser.site import PROJECT

_THEMES = ("light", "dark")
_LARGEST_BYTES = 150_000
_IMAGES = PROJECT / "docs" / "images"


def test_every_shot_has_its_two_pictures_and_they_are_small() -> None:
    pictures = {path.name: path.stat().st_size for path in _IMAGES.iterdir()}

    assert set(pictures) == {f"{shot.name}-{theme}.webp" for shot in SHOTS for theme in _THEMES}
    assert max(pictures.values()) < _LARGEST_BYTES


def test_every_picture_is_shown_in_both_themes() -> None:
    page = (PROJECT / "docs" / "admin.md").read_text(encoding="utf-8")

    assert [path for path in _IMAGES.iterdir() if f'"images/{path.name}"' not in page] == []
