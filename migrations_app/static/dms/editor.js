// The editor of a mapping: asks for the keys that the mode needs, says what a cron means, keeps the document up to date.
// The server decides what is right; nothing here checks anything.
const editor = () => {
    const form = document.getElementById("mapping_form");
    const shown = document.getElementById("dms-document");
    if (!form || !shown) {
        return;
    }
    const rules = JSON.parse(document.getElementById("dms-editor-rules").textContent);
    const state = { noun: "", destinations: [] };
    const result = document.getElementById("dms-editor-result");

    const value = (card, key) => {
        const field = card.querySelector(`[name$="-${key}"]`);
        return field ? (field.type === "checkbox" ? field.checked : field.value.trim()) : "";
    };
    const isEmpty = (text) => [false, "", "{}", "[]", "null", "False", "None"].includes(text);
    const asks = (rule, card, key) => {
        const mode = value(card, "mode");
        const name = card.querySelector('[name$="_name"]');
        const isEvery = Boolean(name) && name.value.trim() === rule.everyName;
        const wanted = rule.destinations[key];
        return (!mode || !(key in rule.modes) || rule.modes[key].includes(mode))
            && (!rule.every.includes(key) || isEvery)
            && (!rule.one.includes(key) || !isEvery)
            && (!wanted || !state.destinations.length || wanted.some((kind) => state.destinations.includes(kind)));
    };
    const needs = (rule, card, key) => {
        const mode = value(card, "mode");
        if (key === "bookmark" && mode === "logging" && "primary_key" in rule.needed) {
            const types = value(card, "primary_key_datatype");
            return Boolean(types) && types.split(",").some((type) => !rule.growing.includes(type.trim()));
        }
        return Boolean(rule.needed[key]) && rule.needed[key].includes(mode);
    };
    const keysOf = (rule) => new Set([
        ...Object.keys(rule.modes), ...Object.keys(rule.needed), ...Object.keys(rule.destinations), ...rule.every, ...rule.one,
    ]);
    // What is filled in stays in sight, also where it means nothing: else it could not be taken back.
    const arrange = (card, rule) => {
        keysOf(rule).forEach((key) => {
            card.querySelectorAll(`.field-line.field-${key}`).forEach((line) => {
                const hasErrors = line.classList.contains("errors");
                line.classList.toggle("dms-not-asked", !asks(rule, card, key) && isEmpty(value(card, key)) && !hasErrors);
                line.classList.toggle("dms-is-needed", needs(rule, card, key));
            });
        });
        // A folded section without a single field that is asked for is left out as a whole.
        card.querySelectorAll("fieldset").forEach((part) => {
            const lines = [...part.querySelectorAll(".field-line")];
            part.classList.toggle("dms-not-asked", lines.length > 0 && lines.every((line) => line.classList.contains("dms-not-asked")));
        });
    };
    const arrangeAll = () => {
        Object.entries(rules).forEach(([plural, rule]) => {
            const group = document.getElementById(`${plural}-group`);
            if (group) {
                const isOther = plural !== `${state.noun}s`;
                const isUsed = group.querySelectorAll(".form-group:not(.empty-form) [name$='_name']").length > 0;
                group.classList.toggle("dms-not-asked", isOther && !isUsed);
                group.querySelectorAll(".form-group").forEach((card) => { arrange(card, rule); headAsNamed(card); });
            }
        });
        const kafka = [...form.querySelectorAll(".field-redis_url, .field-redis_password, .field-get_table_name, .field-process_dict")]
            .filter((line) => !line.closest(".form-group"));
        const isKafka = state.noun === "topic" || kafka.some((line) => line.classList.contains("errors"));
        if (kafka.length) {
            kafka[0].closest("fieldset").classList.toggle("dms-not-asked", !isKafka);
        }
    };

    // A cron in words, under its field. Most tables of a mapping have the same one, which is asked for once.
    const known = new Map();
    const wordsOf = (address, cron) => {
        if (!known.has(cron)) {
            const asked = fetch(`${address}?${new URLSearchParams({ cron })}`)
                .then((answer) => (answer.ok && !answer.redirected ? answer.text() : Promise.reject(answer)))
                .catch(() => { known.delete(cron); return ""; });
            known.set(cron, asked);
        }
        return known.get(cron);
    };
    const explain = (field) => {
        if (!field.dataset.dmsCron || field.name.includes("__prefix__")) {
            return;
        }
        let place = field.parentElement.querySelector(".dms-cron");
        if (!place) {
            place = document.createElement("div");
            place.className = "dms-cron";
            place.setAttribute("aria-live", "polite");
            field.after(place);
        }
        const cron = field.value;
        wordsOf(field.dataset.dmsCron, cron).then((html) => {
            if (field.value === cron) {
                place.innerHTML = html;
            }
        });
    };

    // A destination gets the name that it has by itself, without the mapping that an import puts before it; what
    // somebody typed stays.
    const nameAsChosen = (select) => {
        const match = /^(named_destinations-\d+-)destination$/.exec(select.name);
        const name = match && form.elements.namedItem(`${match[1]}name`);
        if (!name || (name.value.trim() && name.value !== name.dataset.dmsNamed)) {
            return;
        }
        const chosen = select.value ? select.selectedOptions[0].textContent.trim() : "";
        const short = chosen.slice(chosen.lastIndexOf(":") + 1) || chosen;
        const others = [...form.querySelectorAll('[name^="named_destinations-"][name$="-name"]')].filter((each) => each !== name);
        name.value = others.some((each) => each.value.trim() === short) ? chosen : short;
        name.dataset.dmsNamed = name.value;
    };

    // What is not saved yet is headed by what it copies, once that is known.
    const headAsNamed = (card) => {
        const head = card.querySelector("h3 strong");
        const counter = head && head.querySelector(".stacked-counter");
        const field = card.querySelector('[name$="_name"]');
        if (!counter || !field) {
            return;
        }
        let named = head.querySelector("[data-dms-named]");
        if (!named) {
            named = document.createElement("span");
            named.dataset.dmsNamed = "";
            head.append(named);
        }
        const [name, kind] = [field.value.trim(), head.firstChild];
        named.textContent = name;
        counter.hidden = Boolean(name);
        kind.textContent = kind.textContent.replace(/#?$/, name ? "" : "#");
    };

    // The head of a card that folds is a button for the keyboard, too.
    const unfold = (head) => {
        const card = head.closest(".form-group[x-data]");
        if (!card || !window.Alpine || "dmsFolds" in head.dataset) {
            return;
        }
        head.dataset.dmsFolds = "";
        const title = head.querySelector("strong");
        title.tabIndex = 0;
        title.setAttribute("role", "button");
        window.Alpine.effect(() => title.setAttribute("aria-expanded", window.Alpine.$data(card).openRow));
        title.addEventListener("keydown", (event) => {
            if (event.key === "Enter" || event.key === " ") {
                event.preventDefault();
                title.click();
            }
        });
    };
    const unfoldAll = () => form.querySelectorAll(".form-group h3").forEach(unfold);

    // Whatever a field is folded away in is opened first.
    const open = (card) => {
        if (card && card.hasAttribute("x-data") && window.Alpine) {
            window.Alpine.$data(card).openRow = true;
        }
    };
    const reveal = (field) => {
        open(field.closest(".form-group"));
        for (let part = field.closest("details"); part; part = part.parentElement.closest("details")) {
            part.open = true;
        }
        window.requestAnimationFrame(() => {
            // A field that searches is hidden behind the one of select2.
            const seen = field.offsetParent || !field.nextElementSibling ? field : field.nextElementSibling;
            seen.scrollIntoView({ block: "center" });
            (seen.querySelector("[tabindex]") || seen).focus();
        });
    };

    const later = (action, delay) => {
        let timer = 0;
        return (...given) => {
            window.clearTimeout(timer);
            timer = window.setTimeout(() => action(...given), delay);
        };
    };
    let isLeaving = false;
    const refresh = later(() => {
        if (!isLeaving) {
            window.htmx.trigger(shown, "dms:refresh");
        }
    }, 400);
    const explainLater = new WeakMap();
    const changed = (target) => {
        if (target instanceof HTMLInputElement && target.dataset.dmsCron) {
            if (!explainLater.has(target)) {
                explainLater.set(target, later(explain, 300));
            }
            explainLater.get(target)(target);
        }
        if (target instanceof HTMLSelectElement) {
            nameAsChosen(target);
        }
        arrangeAll();
        refresh();
    };
    form.addEventListener("input", (event) => changed(event.target));
    // Who saves leaves the page, and would only leave an answer behind that nobody waits for.
    form.addEventListener("submit", () => { isLeaving = true; });
    document.getElementById("dms-editor-controls").addEventListener("change", (event) => {
        if (event.target.name === "format") {
            refresh();
        }
    });
    document.getElementById("dms-editor-controls").addEventListener("submit", (event) => event.preventDefault());
    // The fields that search (select2) tell jQuery only.
    window.django.jQuery(form).on("change", "select", (event) => changed(event.target));

    form.addEventListener("formset:added", (event) => {
        const card = event.target;
        const position = card.querySelector('[name$="-position"]');
        if (position) {
            const others = [...form.querySelectorAll(`[name^="${event.detail.formsetName}-"][name$="-position"]`)];
            const taken = others.filter((each) => each !== position && !each.name.includes("__prefix__")).map((each) => Number(each.value) || 0);
            position.value = taken.length ? Math.max(...taken) + 1 : 0;
        }
        card.querySelectorAll("[data-dms-cron]").forEach(explain);
        unfoldAll();
        open(card);
        arrangeAll();
        const first = card.querySelector("input:not([type=hidden]), select, textarea");
        if (first) {
            first.focus();
        }
        refresh();
    });
    form.addEventListener("formset:removed", () => { arrangeAll(); refresh(); });

    document.body.addEventListener("htmx:afterSwap", (event) => {
        if (event.detail.target === shown) {
            const told = shown.querySelector("[data-dms-state]");
            state.noun = told.dataset.noun;
            state.destinations = told.dataset.destinations.split(" ").filter(Boolean);
            arrangeAll();
        }
    });
    const unanswered = (event) => {
        event.detail.target.textContent = "The service gave no answer. Try again; if it stays so, look at its log.";
    };
    document.body.addEventListener("htmx:sendError", unanswered);
    document.body.addEventListener("htmx:responseError", (event) => {
        unanswered(event);
        if (event.detail.xhr.status === 400) {
            event.detail.target.textContent = "What was sent is too large: a form may have 2.5 MB. Nothing was changed.";
        }
    });

    document.addEventListener("click", (event) => {
        const link = event.target.closest("[data-dms-field]");
        const field = link && document.getElementById(link.dataset.dmsField);
        if (field) {
            event.preventDefault();
            result.close();
            reveal(field);
        }
        if (event.target.closest("[data-dms-asks]")) {
            const waiting = document.getElementById("dms-editor-waiting").content.cloneNode(true);
            document.getElementById("dms-editor-answer").replaceChildren(waiting);
            result.showModal();
        }
        const saver = event.target.closest("[data-dms-download]");
        if (saver) {
            const text = document.getElementById(saver.dataset.dmsDownload);
            if (text) {
                const address = URL.createObjectURL(new Blob([text.textContent], { type: "text/plain" }));
                const anchor = document.createElement("a");
                anchor.href = address;
                anchor.download = text.dataset.fileName;
                anchor.click();
                URL.revokeObjectURL(address);
            }
        }
        if (event.target.closest("[data-dms-open]")) {
            document.querySelectorAll("[data-dms-from]").forEach((field) => {
                const source = document.getElementById(field.dataset.dmsFrom);
                field.value = source ? source.value : "";
            });
        }
    });

    // On a page that only shows, what is not given is left out.
    form.querySelectorAll("fieldset .field-line").forEach((line) => {
        const value = line.querySelector(".readonly");
        // JSON is there twice, for light and for dark.
        const words = value ? value.textContent.trim().split(/\s+/) : [];
        line.classList.toggle("dms-not-given", words.length > 0 && words.every((word) => ["-", "null", "{}"].includes(word)));
    });
    form.querySelectorAll("fieldset").forEach((part) => {
        const lines = [...part.querySelectorAll(".field-line")];
        part.classList.toggle("dms-not-given", lines.length > 0 && lines.every((line) => line.classList.contains("dms-not-given")));
    });
    form.querySelectorAll("[data-dms-cron]").forEach(explain);
    arrangeAll();
    unfoldAll();
};
document.addEventListener("DOMContentLoaded", editor);
