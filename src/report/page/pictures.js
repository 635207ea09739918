// The list of pictures: sorted by their scores, worst first, filtered by class and name.

const PICTURE_ORDERS = {
  miou: { text: "mean IoU", of: (record) => record.miou },
  accuracy: { text: "pixel accuracy", of: (record) => record.accuracy },
  name: { text: "name", of: (record) => record.name },
};

/** Compare values; missing ones come last in either order. */
function compareValues(a, b, sign) {
  if ((a ?? null) === null || (b ?? null) === null) return ((a ?? null) === null) - ((b ?? null) === null);
  return sign * (a < b ? -1 : a > b ? 1 : 0);
}

/** Return the records to show, in order. */
function choosePictures(records, { run, order, down, cls, text }) {
  const value = cls !== "" && order === "miou" ? (record) => record.iou[cls] : PICTURE_ORDERS[order].of;
  const wanted = text.toLowerCase();
  return records
    .filter((record) => record.run === run && (cls === "" || (record.iou && record.iou[cls] !== null)) && record.name.toLowerCase().includes(wanted))
    .sort((a, b) => compareValues(value(a), value(b), down ? -1 : 1) || a.index - b.index);
}

report.section("pictures", (panel, data, number) => {
  const records = report.read(`records-${number}`), { runs } = data;
  const place = h("div"), count = h("p", { class: "hint", role: "status" }), tools = h("div", { class: "bar-of-tools" });
  let shown = [], current = null;
  const scored = records.some((record) => record.iou);
  const runOf = () => runs.find((each) => String(each.run) === view.get("run")) ?? runs[0];
  const filter = () => {
    const run = runOf(), order = PICTURE_ORDERS[view.get("sort")] ? view.get("sort") : scored ? "miou" : "name";
    const cls = view.get("class") !== "" && Number(view.get("class")) < run.classes.length && scored ? Number(view.get("class")) : "";
    return { run: run.run, order, down: view.get("down") === "1", cls, text: view.get("find") };
  };
  const viewer = new Viewer((move) => open(shown[shown.indexOf(current) + move]), () => { current = null; view.set("picture", ""); });
  if (LAYERS[view.get("layer")]) viewer.layer = view.get("layer");

  function open(record) {
    if (!record) return;
    current = record;
    view.set("picture", `${record.run}-${record.index}`);
    viewer.show(record, runOf());
  }

  function drawCard(record) {
    const { cls } = filter(), value = cls === "" ? record.miou : record.iou[cls];
    const score = record.iou ? [h("span", { class: "line" }, exact("strong", value, percent(value)), h("span", { class: "hint" }, cls === "" ? "mean IoU" : `IoU of ${className(runOf(), cls)}`)), bar(value, "var(--accent)")] : null;
    return h("button", { type: "button", class: "picture", "data-index": record.index, on: { click: () => open(record) } },
      h("img", { src: record.thumbnail, alt: "", loading: "lazy", decoding: "async" }), h("span", { class: "name" }, record.name), score);
  }

  function update() {
    const chosen = filter();
    shown = choosePictures(records, chosen);
    const all = records.filter((record) => record.run === chosen.run).length;
    count.textContent = `${grouped(shown.length)} of ${grouped(all)} pictures` + (chosen.cls === "" ? "" : ` that have ${className(runOf(), chosen.cls)}, in truth or prediction`);
    place.replaceChildren(growing(shown, drawCard, "pictures"));
  }

  function drawTools() {
    const run = runOf(), { order, down, cls } = filter(), set = (name) => (value) => { view.set(name, value); update(); };
    const find = h("input", { type: "search", value: view.get("find"), on: { input: (event) => set("find")(event.target.value) } });
    const orders = Object.entries(PICTURE_ORDERS).filter(([key]) => scored || key === "name").map(([key, { text }]) => [key, text]);
    const fields = [
      runs.length > 1 ? select("Evaluation", runs.map((each) => [each.run, each.name]), run.run, (value) => { view.set("run", value); drawTools(); update(); }) : null,
      select("Sort by", orders, order, set("sort")),
      choices("Direction", [["", "Lowest first"], ["1", "Highest first"]], down ? "1" : "", set("down")),
      scored ? select("Class", [["", "all classes"], ...run.classes.map((name, i) => [i, name])], cls, set("class")) : null,
      h("label", { class: "field" }, h("span", {}, "Name has"), find),
    ];
    tools.replaceChildren(...fields.filter(Boolean));
  }

  if (!records.length) {
    panel.append(h("p", { class: "note" }, "This evaluation has no pictures."));
    return;
  }
  panel.append(tools, count, place);
  drawTools();
  update();
  const [run, index] = view.get("picture").split("-").map(Number);
  const wanted = view.get("picture") && records.find((record) => record.run === run && record.index === index);
  if (wanted) open(wanted);
});
