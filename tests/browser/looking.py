"""What holds on every page: it can be read and used by everybody, it fits, and the keyboard is enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Locator, Page, TimeoutError, expect  # noqa: A004 - it is Playwright's own

WIDE, NARROW = 1280, 400
_HEIGHT = 900
#: Rules of WCAG 2.1, A and AA, and three of good practice that keep pages in order.
_AXE_OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    "rules": {name: {"enabled": True} for name in ("heading-order", "page-has-heading-one", "empty-heading")},
    "resultTypes": ["violations"],
}
_NODES_SHOWN = 5
_TABS = 150
_FOLLOWS_WITHIN_MS = 2000


def visit(page: Page, path: str) -> None:
    """Go to a page, and wait until what it does by itself is done: scripts, and parts that it asks for."""
    page.goto(path)
    settle(page)


def settle(page: Page) -> None:
    """Wait until a page has done what it does by itself."""
    page.wait_for_function(_SETTLED)


def follow(page: Page, control: Locator) -> None:
    """Click what leads to another page, and wait until that one has done what it does by itself.

    What it has to click on shows before all of its scripts have come, and does nothing then.
    """
    page.evaluate("() => { window.isBehind = true }")
    control.click()
    page.wait_for_function(f"() => !window.isBehind && ({_SETTLED})()")


#: Alpine has taken the page over, and htmx waits for nothing.
_SETTLED = """() => document.readyState === 'complete'
    && !document.documentElement.hasAttribute('x-cloak')
    && !document.querySelector('.htmx-request')"""


def assert_accessible(page: Page, within: str = "body") -> None:
    """No rule of axe is broken, contrast included; what is broken is told with the elements.

    Args:
        page: As it stands.
        within: CSS selector of the part that is looked at.
    """
    page.evaluate("() => document.getAnimations().forEach(animation => animation.finish())")
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_axe())
    result: dict[str, Any] = page.evaluate(
        "([within, options]) => axe.run(within === 'body' ? document : within, options)", [within, _AXE_OPTIONS]
    )
    assert not result["violations"], f"{page.url}\n" + "\n".join(map(_told, result["violations"]))


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


def _told(violation: dict[str, Any]) -> str:
    lines = [f"{violation['id']}: {violation['help']}"]
    for node in violation["nodes"][:_NODES_SHOWN]:
        reasons = [check["message"] for kind in ("any", "all", "none") for check in node[kind]]
        lines.append(f"  {' '.join(map(str, node['target']))}\n    {node['html'][:300]}\n    {'; '.join(reasons)}")
    if (more := len(violation["nodes"]) - _NODES_SHOWN) > 0:
        lines.append(f"  and {more} more")
    return "\n".join(lines)


@contextmanager
def at_width(page: Page, width: int = NARROW) -> Iterator[None]:
    """In this block the window is so wide; nothing reaches beyond it, before and after what the block does."""
    before = page.viewport_size
    set_width(page, width)
    assert_fits(page)
    yield
    assert_fits(page)
    if before is not None:
        page.set_viewport_size(before)


def set_width(page: Page, width: int) -> None:
    """Make the window so wide."""
    page.set_viewport_size({"width": width, "height": _HEIGHT})


def assert_fits(page: Page) -> None:
    """The document is not wider than the window; what is wide scrolls inside a box of its own.

    Charts and tabs take a moment to follow the window.
    """
    with suppress(TimeoutError):
        page.wait_for_function(_FITS, timeout=_FOLLOWS_WITHIN_MS)
    wide: dict[str, Any] = page.evaluate(_WIDE)
    assert wide["document"] <= wide["window"], (
        f"{page.url} is {wide['document']} px wide in a window of {wide['window']} px because of\n"
        + "\n".join(wide["because"])
    )


_FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"

#: The innermost elements that end beyond the window, unless a box around them scrolls or cuts them.
_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    const isCut = element => {
        for (let box = element.parentElement; box && box !== document.body; box = box.parentElement)
            if (getComputedStyle(box).overflowX !== 'visible') return true;
        return false;
    };
    const beyond = [...document.body.querySelectorAll('*')]
        .filter(element => element.getBoundingClientRect().right > width + 1 && !isCut(element));
    const innermost = beyond.filter(element => !beyond.some(other => other !== element && element.contains(other)));
    return {
        document: document.documentElement.scrollWidth,
        window: width,
        because: innermost.slice(0, 8).map(element => element.outerHTML.slice(0, 200)),
    };
}"""


def tab_to(page: Page, target: Locator) -> None:
    """Move to a control with the Tab key alone, and see that it shows that it has the focus."""
    for _ in range(_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            assert_focus_is_visible(target)
            return
    message = f"{_TABS} times Tab do not lead to {target}"
    raise AssertionError(message)


def assert_focus_is_visible(control: Locator) -> None:
    """The control that has the focus looks different from how it looks without."""
    expect(control).to_be_focused()
    with_focus = control.evaluate(_LOOK)
    control.evaluate("element => element.blur()")
    without = control.evaluate(_LOOK)
    control.evaluate("element => element.focus({focusVisible: true})")
    assert with_focus != without, f"nothing shows that {control} has the focus"


#: How an element and the box around it look: some controls show the focus on the box.
_LOOK = """element => [element, element.parentElement].map(each => {
    const style = getComputedStyle(each);
    return ['outlineStyle', 'outlineWidth', 'outlineColor', 'boxShadow', 'borderColor', 'backgroundColor',
        'textDecorationLine', 'color'].map(name => style[name]).join(' ');
}).join(' | ')"""
