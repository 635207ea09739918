// Formatting of values, and the general sections: tables and galleries.

const MISSING = "–";

/** Write a share as a percentage. */
function percent(value, digits = 2) {
  return typeof value === "number" ? `${(100 * value).toFixed(digits)} %` : MISSING;
}

/** Write a difference of shares, with its sign, in percentage points. */
function points(value) {
  if (typeof value !== "number") return MISSING;
  const text = Math.abs(100 * value).toFixed(2);
  return text === "0.00" ? "±0.00" : `${value > 0 ? "+" : "−"}${text}`;
}

function grouped(value) {
  return typeof value === "number" ? value.toLocaleString("en-US") : MISSING;
}

/** Write a number of any size in few characters. */
function short(value) {
  if (typeof value !== "number") return MISSING;
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e7)) return value.toExponential(3);
  return String(Number(value.toPrecision(6)));
}

/** Write a JSON value as in a configuration. */
function plain(value) {
  if (value === undefined) return MISSING;
  if (Array.isArray(value)) return `[${value.map(plain).join(", ")}]`;
  return value === null ? "null" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Make an element that shows a number in short form and has its exact value as `title`. */
function exact(tag, value, text, attributes = {}) {
  const known = typeof value === "number";
  return h(tag, { ...attributes, "data-value": known ? value : null, title: known ? String(value) : null }, text);
}

function swatch(color) {
  return h("span", { class: "swatch", style: { "--c": /^#[0-9a-f]{6}$/i.test(color ?? "") ? color : "transparent" }, "aria-hidden": "true" });
}

/** Return the colour of a series, or of a run if there are several. */
function seriesColor(number) {
  return `var(--series-${number % 8})`;
}

function className(entry, index) {
  return entry.classes[index] ?? `class ${index}`;
}

/** Make a labelled choice; `changed` gets the chosen value. Entries are [value, text]. */
function select(label, entries, value, changed) {
  const options = entries.map(([key, text]) => h("option", { value: key, selected: String(key) === String(value) }, text));
  const box = h("select", { on: { change: (event) => changed(event.target.value) } }, options);
  return h("label", { class: "field" }, h("span", {}, label), box);
}

/** Make a row of buttons of which one is pressed. */
function choices(label, entries, value, changed) {
  const buttons = entries.map(([key, text]) => {
    const on = { click: () => { mark(key); changed(key); } };
    return h("button", { type: "button", "data-key": key, "aria-pressed": String(key === value), on }, text);
  });
  const mark = (key) => buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.key === key)));
  const group = h("div", { class: "choices", role: "group", "aria-label": label }, buttons);
  group.mark = mark;
  return group;
}

function card(title, ...content) {
  return h("section", { class: "card" }, title ? h("h2", {}, title) : null, content);
}

/** Make a table of text from column names and rows of values; columns of numbers are right-aligned. */
function textTable(columns, rows, caption = null) {
  const numeric = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === "number" || row[i] === null));
  const cell = (value, i) => h("td", { class: numeric[i] ? "number" : null }, value === null ? MISSING : String(value));
  return h(
    "table", { class: "plain" }, caption ? h("caption", {}, caption) : null,
    h("thead", {}, h("tr", {}, columns.map((name, i) => h("th", { scope: "col", class: numeric[i] ? "number" : null }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))),
  );
}

// {columns: [name], rows: [[value]], notes: [text]}, further rows as records
report.section("table", (panel, data, number) => {
  const rows = [...(data.rows ?? []), ...(report.read(`records-${number}`) ?? [])];
  for (const note of data.notes ?? []) panel.append(h("p", { class: "note" }, note));
  panel.append(rows.length ? h("div", { class: "card wide" }, textTable(data.columns, rows)) : h("p", { class: "note" }, "Nothing to show."));
});

// records: {image: URL, caption: text, lines: [text]}
report.section("gallery", (panel, data, number) => {
  const items = report.read(`records-${number}`) ?? [];
  for (const note of data.notes ?? []) panel.append(h("p", { class: "note" }, note));
  const draw = (item) =>
    h("figure", { class: "item" }, h("img", { src: item.image, alt: item.caption ?? "", loading: "lazy" }),
      h("figcaption", {}, h("strong", {}, item.caption ?? ""), (item.lines ?? []).map((line) => h("span", {}, line))));
  panel.append(growing(items, draw, "gallery"));
});

/** Make a list that shows its first entries, and more as its end is scrolled into view. */
function growing(items, draw, kind, step = 60) {
  const list = h("div", { class: `grid ${kind}` }), more = h("button", { type: "button", class: "more" }, "Show more");
  let shown = 0;
  const grow = () => {
    list.append(...items.slice(shown, shown + step).map(draw));
    shown = Math.min(items.length, shown + step);
    more.hidden = shown >= items.length;
  };
  more.addEventListener("click", grow);
  new IntersectionObserver((seen) => { if (seen[0].isIntersecting && !more.hidden) grow(); }, { rootMargin: "600px" }).observe(more);
  grow();
  return h("div", {}, items.length ? list : h("p", { class: "note" }, "Nothing to show."), more);
}
