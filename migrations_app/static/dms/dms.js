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

// What somebody has filled in is not sent by a session that has ended: the page to sign in would take its place.
const SIGNED_IN = "/admin/signed-in/";
const SIGNING_IN = "/admin/login/";
const heldBack = new WeakMap();
const isHeldBack = (form) => form.method === "post"
    && !form.matches("[hx-post], [data-hx-post]")
    && !window.location.pathname.startsWith(SIGNING_IN)
    && form.querySelector("input:not([type=hidden], [type=submit]), select, textarea") !== null;
const noteOf = (form) => {
    let note = form.querySelector(":scope > [data-dms-signed-out]");
    if (!note) {
        note = document.createElement("p");
        note.className = "dms-note dms-note-warning";
        note.dataset.dmsSignedOut = "";
        note.setAttribute("role", "alert");
        form.append(note);
    }
    return note;
};
const holdBack = async (form, submitter) => {
    heldBack.set(form, "asking");
    let status = 0;
    try {
        const options = { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(10000) };
        status = (await fetch(SIGNED_IN, options)).status;
    } catch {
        // Nobody can say; the form goes its way.
    }
    if (status === 403) {
        heldBack.delete(form);
        const note = noteOf(form);
        note.textContent = "You were signed out, and nothing was saved. What you have entered is still here: sign in in"
            + " another tab, then save again.";
        note.scrollIntoView({ block: "center" });
        return;
    }
    form.querySelectorAll("[data-dms-signed-out]").forEach((note) => note.remove());
    heldBack.set(form, "sending");
    form.requestSubmit(submitter);
    heldBack.delete(form);
};
// On the window, as it comes before what others do when a form is sent.
window.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !isHeldBack(form) || heldBack.get(form) === "sending") {
        return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!heldBack.has(form)) {
        holdBack(form, event.submitter);
    }
}, true);
// The page to sign in is no part of any other; live.js loads pages that have nothing to lose anew.
document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    if (xhr.responseURL && new URL(xhr.responseURL).pathname.startsWith(SIGNING_IN)) {
        event.detail.shouldSwap = false;
        target.textContent = "You are signed out. Sign in in another tab, then go on here.";
    }
});
document.addEventListener("htmx:configRequest", (event) => {
    const { parameters } = event.detail;
    if (parameters.csrfmiddlewaretoken !== undefined && token()) {
        parameters.csrfmiddlewaretoken = token();
    }
});

// A text that is too long is told before it is sent; the server looks again.
document.addEventListener("input", (event) => {
    const most = event.target instanceof HTMLTextAreaElement ? Number(event.target.dataset.dmsMost) : 0;
    if (most) {
        const isTooLong = event.target.value.length > most;
        event.target.setCustomValidity(isTooLong ? `The text is larger than ${most / 1024 / 1024} MB, the most that a page reads.` : "");
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
const said = new WeakMap();
const copy = async (button) => {
    const source = document.getElementById(button.dataset.dmsCopy);
    const isByLine = button.dataset.dmsCopyLines !== undefined;
    const text = isByLine ? linesOf(source) : "value" in source ? source.value : source.textContent;
    const label = button.querySelector("[data-dms-label]") || button;
    // A second click finds what the first one has written there, which is not to stay.
    const before = said.get(label) || label.textContent;
    said.set(label, before);
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
