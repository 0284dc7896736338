// Charts after unfold has drawn them: colours that follow light and dark, and axes with units.
(() => {
    const named = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const bytes = (value) => {
        for (const unit of ["B", "kB", "MB", "GB"]) {
            if (value < 1000) {
                return `${Number(value.toPrecision(3))} ${unit}`;
            }
            value /= 1000;
        }
        return `${Number(value.toPrecision(3))} TB`;
    };
    const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
    const whole = new Intl.NumberFormat("en");
    const seconds = (value) => {
        for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
            if (value >= size) {
                return `${Number((value / size).toPrecision(3))} ${unit}`;
            }
        }
        return `${Number(value.toPrecision(3))} s`;
    };
    const axis = { bytes, seconds, count: (value) => compact.format(value) };
    const tip = { bytes, seconds, count: (value) => whole.format(value) };

    const colour = (chart, canvas) => {
        const asked = JSON.parse(canvas.dataset.value).datasets;
        chart.data.datasets.forEach((dataset, number) => {
            for (const key of ["backgroundColor", "borderColor"]) {
                const name = /^var\((.+)\)$/.exec(asked[number][key] || "");
                if (name) {
                    dataset[key] = named(name[1]);
                }
            }
        });
        for (const scale of Object.values(chart.options.scales)) {
            scale.ticks.color = named("--dms-faint");
            scale.grid.color = named("--dms-line");
        }
        chart.update("none");
    };
    const finish = () => {
        for (const canvas of document.querySelectorAll("canvas.chart[data-unit]")) {
            const chart = window.Chart && window.Chart.getChart(canvas);
            if (!chart) {
                continue;
            }
            const unit = canvas.dataset.unit;
            chart.options.scales.y.ticks.callback = (value) => axis[unit](value);
            chart.options.plugins.tooltip = {
                callbacks: { label: (item) => `${item.dataset.label}: ${tip[unit](item.parsed.y)}` },
                filter: (item) => item.parsed.y > 0,
            };
            colour(chart, canvas);
        }
    };
    // Somebody has put other figures into a canvas: the same chart takes them, since unfold keeps a hold of it.
    document.addEventListener("dms:figures", (event) => {
        const canvas = event.target;
        const chart = window.Chart && window.Chart.getChart(canvas);
        if (!chart) {
            return;
        }
        const { labels, datasets } = JSON.parse(canvas.dataset.value);
        chart.data.labels = labels;
        chart.data.datasets.forEach((dataset, number) => {
            dataset.data = datasets[number].data;
        });
        colour(chart, canvas);
    });
    // unfold draws on `load`, and colours its grids when the theme changes: after both it is our turn.
    window.addEventListener("load", () => {
        window.setTimeout(finish);
        new MutationObserver(() => window.setTimeout(finish)).observe(document.documentElement, {
            attributes: true,
            attributeFilter: ["class"],
        });
    });
})();
