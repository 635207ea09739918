// Configurations, their differences from the default and between runs, and the environments of the runs.

function sameValue(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Allow line breaks after the dots of a dotted path. */
function breakable(path) {
  return path.split(/(?<=\.)/).flatMap((part) => [h("wbr"), part]);
}

function settingsTable(data, mode) {
  const { runs, settings, default: standard } = data, known = settings.filter(Boolean);
  const keys = [...new Set([...Object.keys(standard), ...known.flatMap(Object.keys)])];
  const differs = (key) => known.length > 1 && known.some((each) => !sameValue(each[key], known[0][key]));
  const changed = (key) => known.some((each) => key in each && !sameValue(each[key], standard[key]));
  const shown = keys.filter((key) => mode === "all" || (mode === "runs" ? differs(key) : changed(key)));
  if (!shown.length) return h("p", { class: "note" }, mode === "runs" ? "The configurations are the same." : "Nothing differs from the default.");
  const value = (each, key) => {
    if (!each) return h("td", {}, MISSING);
    const other = key in each && !sameValue(each[key], standard[key]);
    return h("td", { class: other ? "changed" : null, "data-key": key }, h("code", {}, plain(each[key])));
  };
  const head = h("tr", {}, ["Key", ...runs, "Default"].map((name) => h("th", { scope: "col" }, name)));
  const rows = shown.map((key) => h("tr", { class: differs(key) ? "differs" : null }, h("th", { scope: "row" }, h("code", {}, breakable(key))), settings.map((each) => value(each, key)), h("td", { class: "standard" }, h("code", {}, plain(standard[key])))));
  return h("table", { class: "settings" }, h("thead", {}, head), h("tbody", {}, rows));
}

report.section("settings", (panel, data) => {
  const place = h("div", { class: "card wide" });
  const entries = [["changed", "Differs from the default"], ...(data.runs.length > 1 ? [["runs", "Differs between runs"]] : []), ["all", "All keys"]];
  const current = entries.some(([key]) => key === view.get("keys")) ? view.get("keys") : "changed";
  const draw = (mode) => place.replaceChildren(settingsTable(data, mode));
  const tools = choices("Keys", entries, current, (mode) => { view.set("keys", mode); draw(mode); });
  if (data.settings.some(Boolean)) panel.append(h("div", { class: "bar-of-tools" }, tools), place);
  else panel.append(h("p", { class: "note" }, "No configuration was saved."));
  draw(current);
  const names = [...new Set(data.environments.flatMap(Object.keys))];
  if (!names.length) return;
  const head = h("tr", {}, ["", ...data.runs].map((name) => h("th", { scope: "col" }, name)));
  const rows = names.map((name) => {
    const other = data.environments.some((each) => Object.keys(each).length && each[name] !== data.environments.find((e) => Object.keys(e).length)[name]);
    return h("tr", { class: other ? "differs" : null }, h("th", { scope: "row" }, name), data.environments.map((each) => h("td", {}, plain(each[name]))));
  });
  panel.append(h("h2", {}, "Environment"), h("div", { class: "card wide" }, h("table", { class: "settings" }, h("thead", {}, head), h("tbody", {}, rows))));
});
