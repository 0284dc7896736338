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

// data-dms-copy names the element whose text is copied; the button says that it was.
const copy = async (button) => {
    const source = document.getElementById(button.dataset.dmsCopy);
    const text = "value" in source ? source.value : source.textContent;
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
