// What django-unfold leaves to be mended for who does not see the page: names of controls, and icons that are words.
(() => {
    "use strict";

    const labelOf = control => {
        const label = control.id && document.querySelector(`label[for="${CSS.escape(control.id)}"]`);
        if (label && !label.id) {
            label.id = `label_of_${control.id}`;
        }
        return label;
    };

    // Django's lists with a filter name their controls by the tooltip alone.
    const nameTooltips = root => {
        for (const tooltip of root.querySelectorAll("span.help-tooltip[aria-label]:not([role])")) {
            tooltip.setAttribute("role", "img");
        }
    };

    // select2 puts its own control in place of a select and leaves the label behind.
    const nameSelect2 = root => {
        for (const container of root.querySelectorAll(".select2-container")) {
            const select = container.previousElementSibling;
            const label = select && labelOf(select);
            const shown = container.querySelector(".select2-selection__rendered");
            const control = container.querySelector(".select2-selection");
            if (!label || !control || control.dataset.named) {
                continue;
            }
            control.dataset.named = "true";
            control.setAttribute("aria-labelledby", [label.id, shown && shown.id].filter(Boolean).join(" "));
            if (shown && shown.getAttribute("role") === "textbox") {
                shown.setAttribute("aria-labelledby", label.id);
            }
        }
    };

    // A table of forms names its columns, not its fields.
    const nameCells = root => {
        const unnamed = "input:not([type=hidden]):not([aria-label]), select:not([aria-label]), textarea:not([aria-label])";
        for (const control of root.querySelectorAll(`td :is(${unnamed})`)) {
            const cell = control.closest("td");
            const head = cell.closest("table").querySelector("thead tr");
            const heading = head && head.cells[cell.cellIndex];
            if (!labelOf(control) && heading && heading.textContent.trim()) {
                control.setAttribute("aria-label", heading.textContent.trim().replace(/\s+/g, " "));
            }
        }
    };

    // An icon is a word in a font; beside other words it is not to be read out.
    const hideIcons = root => {
        for (const icon of root.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
            const around = icon.closest("a, button, label, [role]") || icon.parentElement;
            const words = [...around.querySelectorAll(".material-symbols-outlined")].reduce(
                (text, each) => text.replace(each.textContent, ""), around.textContent);
            if (words.trim() || around.hasAttribute("aria-label") || around.hasAttribute("title")) {
                icon.setAttribute("aria-hidden", "true");
            }
        }
    };

    const mend = () => [nameTooltips, nameSelect2, nameCells, hideIcons].forEach(each => each(document));

    let isWaiting = false;
    const mendSoon = () => {
        if (!isWaiting) {
            isWaiting = true;
            requestAnimationFrame(() => {
                isWaiting = false;
                mend();
            });
        }
    };

    document.addEventListener("DOMContentLoaded", () => {
        mend();
        new MutationObserver(mendSoon).observe(document.body, {childList: true, subtree: true});
    });
})();
