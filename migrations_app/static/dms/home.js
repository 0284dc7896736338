// The charts of the home page, when they are asked for again: the new figures go into the charts that are there. To put new
// canvases in their place would make them flicker, close their tables, and keep the old charts in memory.
(() => {
    const PARTS = [".home-legend", "figcaption", "tbody"];

    // Puts the content of one element into another, and the focus back to where it was.
    const renew = (shown, fresh) => {
        if (shown.innerHTML === fresh.innerHTML) {
            return;
        }
        const focused = shown.contains(document.activeElement) ? document.activeElement.id : "";
        shown.replaceChildren(...fresh.childNodes);
        const again = focused && document.getElementById(focused);
        if (again) {
            again.focus({ preventScroll: true });
        }
    };
    const renewChart = (shown, fresh) => {
        for (const part of PARTS) {
            renew(shown.querySelector(part), fresh.querySelector(part));
        }
        for (const part of [".home-nothing", ".home-drawn"]) {
            shown.querySelector(part).hidden = fresh.querySelector(part).hidden;
        }
        const label = fresh.querySelector("figure").getAttribute("aria-label");
        shown.querySelector("figure").setAttribute("aria-label", label);
        const canvas = shown.querySelector("canvas");
        const data = fresh.querySelector("canvas").dataset.value;
        if (canvas.dataset.value !== data) {
            canvas.dataset.value = data;
            canvas.dispatchEvent(new CustomEvent("dms:figures", { bubbles: true }));
        }
    };

    document.addEventListener("htmx:configRequest", (event) => {
        if (event.detail.elt.id === "home-history") {
            event.detail.parameters.seen = event.detail.elt.dataset.mark;
        }
    });
    document.addEventListener("htmx:beforeSwap", (event) => {
        const { xhr, shouldSwap } = event.detail;
        const shown = event.detail.target;
        if (shown.id !== "home-history" || !shouldSwap || xhr.status !== 200) {
            return;
        }
        event.detail.shouldSwap = false;
        const answer = new DOMParser().parseFromString(xhr.responseText, "text/html").getElementById("home-history");
        const charts = [...shown.querySelectorAll("[data-dms-chart]")];
        const fresh = answer ? [...answer.querySelectorAll("[data-dms-chart]")] : [];
        if (charts.length !== fresh.length) {
            // Another release of the service has answered.
            window.location.reload();
            return;
        }
        charts.forEach((chart, number) => renewChart(chart, fresh[number]));
        shown.dataset.mark = answer.dataset.mark;
    });
})();
