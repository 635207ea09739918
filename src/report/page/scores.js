// Overview and classes: scores with their protocol, IoU of each class as bars, differences of several runs.

function describeProtocol(protocol) {
  if (!protocol) return [];
  const size = (pair) => (Array.isArray(pair) ? `${pair[0]}×${pair[1]}` : plain(pair));
  const rows = [
    ["scales", plain(protocol.img_ratios).replace(/^\[|\]$/g, "")],
    ["mirrored too", protocol.flip ? "yes" : "no"],
    ["image size (height × width)", size(protocol.image_size)],
  ];
  if (protocol.crop_size) rows.push(["windows", `${size(protocol.crop_size)}, stride ${size(protocol.crop_stride)}`]);
  return rows;
}

function facts(rows) {
  return h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** Return the difference to the first entry, as a small label. */
function difference(value, first) {
  if (typeof value !== "number" || typeof first !== "number") return null;
  const change = value - first;
  const kind = Math.abs(change) < 5e-5 ? "same" : change > 0 ? "better" : "worse";
  return exact("span", change, points(change), { class: `delta ${kind}` });
}

function scoreCard(entry, first, several) {
  const big = (name, key) => h("div", { class: "figure" }, exact("strong", entry[key], percent(entry[key])),
    h("span", {}, name, several && entry !== first ? difference(entry[key], first[key]) : null));
  const rows = [["pictures", grouped(entry.images)], ...describeProtocol(entry.protocol)];
  if (entry.source.step !== undefined) rows.push(["after step", grouped(entry.source.step)]);
  if (entry.source.checkpoint) rows.push(["checkpoint", entry.source.checkpoint.split("/").pop()]);
  if (entry.source.weights && entry.source.weights !== "model") rows.push(["weights", entry.source.weights]);
  return h("section", { class: "card score" }, h("h2", {}, several ? swatchOfSeries(entry.order) : null, entry.name),
    h("div", { class: "figures" }, big("mIoU", "miou"), big("pixel accuracy", "pixel_accuracy")), facts(rows));
}

function swatchOfSeries(number) {
  return h("span", { class: "swatch", style: { "--c": seriesColor(number) }, "aria-hidden": "true" });
}

function bar(value, color) {
  return h("span", { class: "bar", "aria-hidden": "true" }, h("span", { style: { width: `${100 * (value ?? 0)}%`, background: color } }));
}

function confusionList(entry) {
  const items = entry.largest_confusions.map((each) =>
    h("li", {}, h("span", { class: "pair" }, h("span", {}, swatch(entry.colors[each.truth]), className(entry, each.truth)), h("span", { class: "arrow" }, " taken for "), h("span", {}, swatch(entry.colors[each.prediction]), className(entry, each.prediction))),
      exact("span", each.share, percent(each.share), { class: "amount" })));
  return items.length ? h("ol", { class: "ranked" }, items) : h("p", { class: "note" }, "Nothing was confused.");
}

function weakest(entry) {
  const known = entry.iou.map((value, i) => [value, i]).filter(([value]) => value !== null).sort((a, b) => a[0] - b[0]).slice(0, 5);
  const items = known.map(([value, i]) =>
    h("li", {}, h("span", { class: "pair" }, h("span", {}, swatch(entry.colors[i]), className(entry, i)), bar(value, "var(--accent)")), exact("span", value, percent(value), { class: "amount" })));
  return h("ol", { class: "ranked" }, items);
}

function trainingCard(curve) {
  const { last, best, total_step: total } = curve;
  const rows = [];
  if (typeof last.step === "number") rows.push(["step", exact("span", last.step, grouped(last.step) + (typeof total === "number" ? ` of ${grouped(total)}` : ""))]);
  if (typeof last.loss === "number") rows.push(["loss", exact("span", last.loss, short(last.loss))]);
  if (typeof last.images_per_s === "number") rows.push(["pictures a second", exact("span", last.images_per_s, short(last.images_per_s))]);
  if (best) rows.push(["best mIoU while training", exact("span", best[1], `${percent(best[1])} after step ${grouped(best[0])}`)]);
  return card(`Training: ${curve.name}`, facts(rows));
}

report.section("overview", (panel, data) => {
  const { scores, curves } = data;
  scores.forEach((entry, i) => { entry.order = i; });
  if (!scores.length) panel.append(h("p", { class: "note" }, "There is no scored evaluation here."));
  const details = scores.filter((entry) => entry.iou).slice(0, 1).flatMap((entry) => {
    const name = scores.length > 1 ? ` (${entry.name})` : "";
    return [card(`Weakest classes${name}`, weakest(entry)), entry.confusion_matrix ? card(`Largest confusions${name}`, confusionList(entry),
      h("p", { class: "hint" }, "Share of the labelled pixels of the true class.")) : null];
  });
  const cards = scores.map((entry) => scoreCard(entry, scores[0], scores.length > 1));
  panel.append(h("div", { class: "grid cards" }, cards, details, curves.map(trainingCard)));
});

/** Merge the classes of all entries by name. */
function sharedClasses(scores) {
  const names = new Map();
  scores.forEach((entry) => (entry.iou ?? []).forEach((_, i) => {
    const name = className(entry, i);
    if (!names.has(name)) names.set(name, entry.colors[i]);
  }));
  return [...names];
}

function classRows(scores) {
  const places = scores.map((entry) => new Map((entry.iou ?? []).map((value, i) => [className(entry, i), value])));
  return sharedClasses(scores).map(([name, color], order) => ({ name, color, order, values: places.map((place) => place.get(name) ?? null) }));
}

report.section("classes", (panel, data) => {
  const scores = data.scores.filter((entry) => entry.iou), several = scores.length > 1;
  const rows = classRows(scores), orders = {
    class: (a, b) => a.order - b.order,
    worst: (a, b) => (a.values[0] ?? 2) - (b.values[0] ?? 2),
    change: (a, b) => Math.abs((b.values.at(-1) ?? 0) - (b.values[0] ?? 0)) - Math.abs((a.values.at(-1) ?? 0) - (a.values[0] ?? 0)),
  };
  const body = h("tbody");
  const draw = (row) => h("tr", {}, h("th", { scope: "row" }, swatch(row.color), row.name),
    h("td", { class: "bars" }, row.values.map((value, i) => bar(value, several ? seriesColor(i) : "var(--accent)"))),
    row.values.map((value, i) => h("td", { class: "number" }, exact("span", value, value === null ? "absent" : percent(value)), several && i ? difference(value, row.values[0]) : null)));
  const sort = (key) => {
    view.set("classes", key);
    body.replaceChildren(...[...rows].sort(orders[key] ?? orders.class).map(draw));
  };
  const entries = [["class", "Order of the classes"], ["worst", "Lowest first"], ...(several ? [["change", "Largest change first"]] : [])];
  const current = entries.some(([key]) => key === view.get("classes")) ? view.get("classes") : "class";
  const means = h("tr", {}, h("th", { scope: "row" }, "mean"), h("td", { class: "bars" }, scores.map((entry, i) => bar(entry.miou, several ? seriesColor(i) : "var(--accent)"))),
    scores.map((entry, i) => h("td", { class: "number" }, exact("span", entry.miou, percent(entry.miou)), several && i ? difference(entry.miou, scores[0].miou) : null)));
  const head = h("tr", {}, h("th", { scope: "col" }, "Class"), h("th", { scope: "col" }, "IoU"), scores.map((entry, i) => h("th", { scope: "col", class: "number" }, several ? swatchOfSeries(i) : null, several ? entry.name : "")));
  panel.append(
    h("div", { class: "bar-of-tools" }, choices("Order", entries, current, sort)),
    h("div", { class: "card wide" }, h("table", { class: "classes" }, h("thead", {}, head), body, h("tfoot", {}, means))),
    h("p", { class: "hint" }, "IoU: intersection over union over all pictures. A class that is neither in the truth nor predicted is absent and no part of the mean.",
      several ? " Differences, in percentage points, are to the first column." : ""));
  sort(current);
});
