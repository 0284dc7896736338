// What is ticked outlives searches and pages: it is kept here, put onto the rows that come, and sent as one field.
(() => {
    const form = document.getElementById("dms-discover");
    const counter = document.getElementById("dms-ticked-count");
    const listed = document.getElementById("dms-ticked-names");
    const field = document.getElementById("dms-choices");
    // Ticked one by one; schemas ticked as a whole, with the number of their tables; what was unticked in those.
    const ticked = new Set();
    const schemas = new Map();
    const excepted = new Map();
    // What was chosen for a table, ticked or not.
    const choices = new Map();
    const NAMED = 12;

    const nameOf = (row) => row.dataset.dmsTable;
    const isTickable = (row) => !row.querySelector("[data-dms-tick]").disabled;
    const isTicked = (row) => ticked.has(nameOf(row)) || (schemas.has(row.dataset.dmsOf) && isPlain(row) && !excepted.has(nameOf(row)));
    // "All of a schema" is tables, as the server counts them; views are ticked one by one.
    const isPlain = (row) => isTickable(row) && row.dataset.dmsPlain !== undefined;
    const rows = () => [...document.querySelectorAll("[data-dms-table]")];

    const chosenIn = (row) => Object.fromEntries([...row.querySelectorAll("[data-dms-choice]")].map((each) => [each.dataset.dmsChoice, each.value]));

    const paint = (row) => {
        const on = isTicked(row);
        row.querySelector("[data-dms-tick]").checked = on;
        row.querySelector(".dms-found-choices").hidden = !on;
        const mode = row.querySelector('[data-dms-choice="mode"]').value;
        row.querySelectorAll("[data-dms-not]").forEach((each) => { each.hidden = each.dataset.dmsNot === mode; });
    };

    // Rows that have just come get what was chosen for them before.
    const restore = (row) => {
        const known = choices.get(nameOf(row)) || {};
        row.querySelectorAll("[data-dms-choice]").forEach((each) => {
            if (each.dataset.dmsChoice in known) {
                each.value = known[each.dataset.dmsChoice];
            }
        });
    };

    const count = () => {
        let number = ticked.size;
        schemas.forEach((total) => { number += total; });
        excepted.forEach((schema) => { number -= schemas.has(schema) ? 1 : 0; });
        return number;
    };

    const allOf = (schema) => {
        const but = [...excepted].filter(([, its]) => its === schema).map(([name]) => name);
        return `all of ${schema}${but.length ? ` but ${but.join(", ")}` : ""}`;
    };

    const write = () => {
        const number = count();
        if (counter) {
            counter.textContent = number === 0 ? "Nothing ticked yet" : `${number.toLocaleString("en")} ticked`;
            const names = [...[...schemas.keys()].map(allOf), ...ticked];
            if (number > 0) {
                listed.textContent = names.slice(0, NAMED).join(", ") + (names.length > NAMED ? ` and ${names.length - NAMED} more` : "");
            } else {
                listed.textContent = "Tick what is to be copied; mode, key and bookmark can be changed beside it.";
            }
        }
        const tables = {};
        ticked.forEach((name) => { tables[name] = choices.get(name) || {}; });
        choices.forEach((chosen, name) => {
            // One that was changed within a schema that is ticked as a whole.
            if (!ticked.has(name) && chosen.schema !== undefined && schemas.has(chosen.schema) && !excepted.has(name)) {
                tables[name] = chosen;
            }
        });
        field.value = JSON.stringify({ tables, schemas: [...schemas.keys()], except: [...excepted.keys()] });
    };

    const paintAll = () => {
        rows().forEach(paint);
        document.querySelectorAll("[data-dms-schema]").forEach((box) => {
            const name = box.dataset.dmsSchema;
            const its = rows().filter((row) => row.dataset.dmsOf === name && isTickable(row));
            const some = its.some(isTicked);
            const hasExceptions = [...excepted.values()].includes(name);
            const isSearched = box.dataset.dmsSearched !== undefined;
            box.checked = isSearched ? its.length > 0 && its.every(isTicked) : schemas.has(name) && !hasExceptions;
            box.indeterminate = !box.checked && (some || schemas.has(name));
        });
        write();
    };

    const tick = (row, on) => {
        const name = nameOf(row);
        const schema = row.dataset.dmsOf;
        if (schemas.has(schema) && isPlain(row)) {
            if (on) { excepted.delete(name); } else { excepted.set(name, schema); }
        } else if (on) {
            ticked.add(name);
        } else {
            ticked.delete(name);
        }
    };

    const tickSchema = (box) => {
        const name = box.dataset.dmsSchema;
        const its = rows().filter((row) => row.dataset.dmsOf === name && isPlain(row));
        if (box.dataset.dmsSearched !== undefined) {
            // What the search found, not the whole schema.
            its.forEach((row) => tick(row, box.checked));
            return;
        }
        its.forEach((row) => ticked.delete(nameOf(row)));
        excepted.forEach((schema, table) => { if (schema === name) { excepted.delete(table); } });
        if (box.checked) {
            schemas.set(name, Number(box.dataset.dmsTotal));
        } else {
            schemas.delete(name);
        }
    };

    form.addEventListener("change", (event) => {
        const row = event.target.closest("[data-dms-table]");
        if (event.target.matches("[data-dms-schema]")) {
            tickSchema(event.target);
        } else if (row && event.target.matches("[data-dms-tick]")) {
            tick(row, event.target.checked);
        } else if (row && event.target.matches("[data-dms-choice]")) {
            choices.set(nameOf(row), { ...chosenIn(row), schema: row.dataset.dmsOf });
        } else {
            return;
        }
        paintAll();
    });
    // Enter in the search asks; it does not send the form.
    form.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && event.target.id === "dms-search") {
            event.preventDefault();
        }
    });
    document.addEventListener("htmx:afterSettle", () => {
        rows().forEach(restore);
        paintAll();
    });
    write();
})();
