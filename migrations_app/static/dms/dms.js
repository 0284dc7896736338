// Dialogs, typed confirmations and copying: what every page of this project may use. No inline handlers anywhere.
document.addEventListener("click", (event) => {
    const target = event.target;
    if (!(target instanceof Element)) {
        return;
    }
    const opener = target.closest("[data-dms-open]");
    if (opener) {
        document.getElementById(opener.dataset.dmsOpen).showModal();
        return;
    }
    const closer = target.closest("[data-dms-close]");
    if (closer) {
        closer.closest("dialog").close();
        return;
    }
    const skip = target.closest(".dms-skip");
    if (skip) {
        // By hand: a fragment in the address is a tab of the form to unfold, and a page that is loaded anew would jump.
        event.preventDefault();
        const content = document.querySelector(skip.getAttribute("href"));
        content.tabIndex = -1;
        content.focus();
        return;
    }
    const copier = target.closest("[data-dms-copy]");
    if (copier) {
        copy(copier);
    }
});

// Who signs in anew, in another tab, gets another token; the forms of this page were made with the one before.
const token = () => (document.cookie.match(/(?:^|; )csrftoken=([^;]+)/) || [])[1];
document.addEventListener("submit", (event) => {
    const field = event.target.querySelector("input[name=csrfmiddlewaretoken]");
    if (field && token()) {
        field.value = token();
    }
}, true);
document.addEventListener("htmx:configRequest", (event) => {
    const { parameters } = event.detail;
    if (parameters.csrfmiddlewaretoken !== undefined && token()) {
        parameters.csrfmiddlewaretoken = token();
    }
});

// The button of a dialog works once the name is typed; the server looks again.
const guard = (field) => {
    const button = field.form.querySelector("button[type=submit]");
    button.disabled = field.value.trim() !== field.dataset.dmsTyped;
};
document.addEventListener("input", (event) => {
    if (event.target instanceof HTMLInputElement && event.target.dataset.dmsTyped) {
        guard(event.target);
    }
});
document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-dms-typed]").forEach(guard);
});

// An element's paragraphs and entries, a line each, without the names of icons.
const linesOf = (source) => [...source.querySelectorAll("p, li")].map((each) => {
    const line = each.cloneNode(true);
    line.querySelectorAll("[aria-hidden=true]").forEach((icon) => icon.remove());
    return line.textContent.replace(/\s+/g, " ").trim();
}).filter(Boolean).join("\n");

// data-dms-copy names the element whose text is copied, line by line with data-dms-copy-lines; the button says that it was.
const copy = async (button) => {
    const source = document.getElementById(button.dataset.dmsCopy);
    const isByLine = button.dataset.dmsCopyLines !== undefined;
    const text = isByLine ? linesOf(source) : "value" in source ? source.value : source.textContent;
    const label = button.querySelector("[data-dms-label]") || button;
    const before = label.textContent;
    try {
        await navigator.clipboard.writeText(text);
        label.textContent = "Copied";
    } catch {
        // Without TLS there is no clipboard: select it, so that Ctrl+C does it.
        const selection = window.getSelection();
        selection.selectAllChildren(source);
        label.textContent = "Press Ctrl+C";
    }
    window.setTimeout(() => { label.textContent = before; }, 2000);
};
