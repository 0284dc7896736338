// A piece of a page that is fetched again and again: when the answer comes from elsewhere, the person is signed out, and
// the sign-in page must not be put into the piece.
document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    const asked = new URL(requestConfig.path, window.location.href).pathname;
    if (xhr.responseURL && new URL(xhr.responseURL).pathname !== asked) {
        event.detail.shouldSwap = false;
        window.location.reload();
    }
});
