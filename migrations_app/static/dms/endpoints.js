// While a server is asked: how long it has been, so that nobody wonders whether something happens.
(() => {
    let timer = null;
    const stop = () => {
        window.clearInterval(timer);
        document.querySelectorAll("[data-dms-seconds]").forEach((each) => { each.textContent = ""; });
    };
    document.addEventListener("htmx:beforeRequest", () => {
        stop();
        const began = Date.now();
        timer = window.setInterval(() => {
            const words = `· ${Math.round((Date.now() - began) / 1000)} s`;
            document.querySelectorAll("[data-dms-seconds]").forEach((each) => { each.textContent = words; });
        }, 1000);
    });
    document.addEventListener("htmx:afterRequest", stop);
    // A server that answers with an error, or not at all, must not leave the page as it was without a word.
    document.addEventListener("htmx:responseError", (event) => say(event, `The service answered ${event.detail.xhr.status}; load the page again, and look into its log if that repeats.`));
    document.addEventListener("htmx:sendError", (event) => say(event, "The service cannot be reached; try again."));
    const say = (event, sentence) => {
        const note = document.createElement("p");
        note.className = "dms-note dms-note-bad";
        note.textContent = sentence;
        event.detail.target.replaceChildren(note);
    };
})();
