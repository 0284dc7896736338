// Pieces of a page that ask for themselves again. A session that has ended leads to the login page, and not into a piece.
document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo } = event.detail;
    const asked = new URL(pathInfo.finalRequestPath || pathInfo.requestPath, window.location.href).pathname;
    if (xhr.responseURL && new URL(xhr.responseURL).pathname !== asked) {
        event.detail.shouldSwap = false;
        window.location.reload();
    }
    // A click counts only where the same element is under both of its halves; the next piece comes soon.
    if (xhr.status !== 286 && document.querySelector(":is(a, button):active")) {
        event.detail.shouldSwap = false;
    }
});
