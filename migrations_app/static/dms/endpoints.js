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
    // A test is of what the form said then: after a change its answer would mislead. The answer may lie below the fold.
    const answer = () => document.getElementById("dms-test-answer");
    document.addEventListener("dms:tested", (event) => {
        if (event.target === answer()) {
            answer().dataset.dmsTested = "";
            answer().scrollIntoView({ block: "nearest" });
        }
    });
    document.addEventListener("input", (event) => {
        const shown = answer();
        const isAbout = shown && (shown.dataset.dmsTested !== undefined || shown.querySelector("[data-dms-running]"));
        if (isAbout && shown.closest("form").contains(event.target)) {
            delete shown.dataset.dmsTested;
            const note = document.createElement("p");
            note.className = "dms-faint";
            note.textContent = "The form has changed since it was tested; test it again.";
            shown.replaceChildren(note);
        }
    });
    const say = (event, sentence) => {
        // A test that broke off says so below the steps that it came to.
        if (event.detail.target.querySelector("[data-dms-verdict]")) {
            return;
        }
        const note = document.createElement("p");
        note.className = "dms-note dms-note-bad";
        note.textContent = sentence;
        event.detail.target.replaceChildren(note);
    };
})();
