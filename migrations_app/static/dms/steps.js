// A connection test answers line by line while it goes on (admin/stepwise.py): each step as it begins and ends, and the
// verdict at last. A step that is done stays where it is, so that a screen reader reads it once. The button is
// data-dms-steps, with hx-swap="none" and the place of the answer as its hx-target.
(() => {
    const BROKEN = "The test broke off. Load the page and test again; look into the log of the service if that repeats.";

    class Answer {
        constructor(place) {
            this.place = place;
            this.length = 0;
            this.list = document.createElement("ol");
            this.list.className = "dms-steps";
            place.replaceChildren(this.list);
        }

        // The text so far; what follows its last line is not whole yet.
        take(text) {
            const end = text.lastIndexOf("\n") + 1;
            if (this.list.isConnected) {
                text.slice(this.length, end).split("\n").forEach((line) => this.show(line));
            }
            this.length = end;
        }

        show(line) {
            const box = document.createElement("template");
            box.innerHTML = line;
            const part = box.content.firstElementChild;
            if (part && part.matches(".dms-step")) {
                this.endRunning();
                this.list.append(part);
                this.follow(part);
            } else if (part && part.matches("[data-dms-verdict]")) {
                this.endRunning();
                this.list.before(part);
                this.hasVerdict = true;
            }
        }

        // The steps may grow beyond the window; whoever has scrolled away from them stays there.
        follow(step) {
            const { top, bottom } = this.place.getBoundingClientRect();
            if (step.matches("[data-dms-running]") && top < window.innerHeight && bottom > 0) {
                step.scrollIntoView({ block: "nearest" });
            }
        }

        endRunning() {
            this.list.querySelectorAll("[data-dms-running]").forEach((each) => each.remove());
        }

        // Without a verdict it broke off; an answer that never began is told of by endpoints.js.
        end(isAnswered) {
            this.endRunning();
            if (this.list.isConnected && !this.hasVerdict && (isAnswered || this.list.hasChildNodes())) {
                const note = document.createElement("p");
                note.className = "dms-note dms-note-bad";
                note.dataset.dmsVerdict = "";
                note.textContent = BROKEN;
                this.list.before(note);
            }
            // Whoever is asked for help reads the steps as text.
            const copier = document.querySelector(`[data-dms-copy="${this.place.id}"]`);
            if (copier) {
                copier.hidden = !this.list.hasChildNodes();
            }
            if (!this.list.hasChildNodes()) {
                this.list.remove();
            }
        }
    }

    const answers = new WeakMap();
    document.addEventListener("htmx:beforeRequest", ({ detail }) => {
        if (detail.elt.dataset.dmsSteps !== undefined) {
            const answer = new Answer(detail.target);
            answers.set(detail.xhr, answer);
            detail.xhr.addEventListener("progress", () => answer.take(detail.xhr.responseText));
        }
    });
    document.addEventListener("htmx:afterRequest", ({ detail }) => {
        const answer = answers.get(detail.xhr);
        if (answer) {
            answer.take(detail.xhr.responseText);
            answer.end(detail.successful);
            detail.target.dispatchEvent(new CustomEvent("dms:tested", { bubbles: true }));
        }
    });
})();
