// A data set: training samples, and the results of a check of all files.

/** Draw pictures side by side with their text. {caption, path, lines: [text], pictures: [{name, url}]} */
function sampleFigure(item) {
  const pictures = (item.pictures ?? []).map(({ name, url }) => h("img", { src: url, alt: `${item.caption}: ${name}`, loading: "lazy" }));
  const text = [h("strong", { title: item.path }, item.caption), (item.lines ?? []).map((line) => h("span", {}, line))];
  return h("figure", { class: "item" }, h("div", { class: "side-by-side" }, pictures), h("figcaption", {}, text));
}

// {notes: [text], classes: [{name, color}]}, records: see sampleFigure
report.section("samples", (panel, data, number) => {
  for (const note of data.notes ?? []) panel.append(h("p", { class: "note" }, note));
  panel.append(h("p", { class: "sample-classes" }, (data.classes ?? []).map(({ name, color }) => h("span", {}, swatch(color), name))));
  panel.append(growing(report.read(`records-${number}`) ?? [], sampleFigure, "samples-grid", 30));
});

/** Make a bar for a share of the longest bar. */
function shareBar(share, color = null) {
  const filled = h("span", { style: { width: `${100 * Math.min(1, share)}%`, background: /^#[0-9a-f]{6}$/i.test(color ?? "") ? color : "var(--accent)" } });
  return h("span", { class: "bar", "aria-hidden": "true" }, filled);
}

function columnHeads(names) {
  return h("thead", {}, h("tr", {}, names.map(([name, numeric]) => h("th", { scope: "col", class: numeric ? "number" : null }, name))));
}

function sizesTable(sizes) {
  const most = Math.max(1, ...sizes.map((each) => each.images));
  const rows = sizes.map((each) => h("tr", {}, h("th", { scope: "row" }, `${each.height} × ${each.width}`), h("td", { class: "bars" }, shareBar(each.images / most)), exact("td", each.images, grouped(each.images), { class: "number" })));
  return h("table", { class: "counts" }, columnHeads([["Height × width", false], ["", false], ["Images", true]]), h("tbody", {}, rows));
}

function classesTable(split) {
  const most = Math.max(1e-12, ...split.classes.map((each) => each.share));
  const rows = split.classes.map((each) => h("tr", {},
    h("th", { scope: "row" }, swatch(each.color), each.name), h("td", { class: "bars" }, shareBar(each.share / most, each.color)),
    exact("td", each.share, percent(each.share, 3), { class: "number" }), exact("td", each.pixels, grouped(each.pixels), { class: "number" }),
    exact("td", each.images, grouped(each.images), { class: "number" })));
  const { ignored } = split;
  const last = h("tr", { class: "ignored-row" }, h("th", { scope: "row" }, "ignored"), h("td", {}, h("span", { class: "hint" }, "of all pixels")),
    exact("td", ignored.share, percent(ignored.share, 3), { class: "number" }), exact("td", ignored.pixels, grouped(ignored.pixels), { class: "number" }), h("td", {}));
  return h("table", { class: "counts" }, columnHeads([["Class", false], ["", false], ["Share", true], ["Pixels", true], ["Images with it", true]]), h("tbody", {}, rows, last));
}

// {split, pairs, sizes: [{height, width, images}], classes: [{name, color, pixels, share, images}], ignored, impossible, label_map}
report.section("split", (panel, split) => {
  panel.append(h("p", { class: "note" }, `${grouped(split.pairs)} pairs of image and label`));
  panel.append(h("div", { class: "beside" }, card("Sizes", sizesTable(split.sizes)), h("div", {}, card("Classes", classesTable(split)))));
  const map = (split.label_map ?? []).map((each) => [each.value, each.id < split.classes.length ? split.classes[each.id].name : "ignored", each.pixels]);
  if (map.length) panel.append(card("What becomes of the values in the files", textTable(["Value", "Class", "Pixels"], map)));
});

// {summary: text}, records: {split, kind, path, message, picture: URL or null}
report.section("faults", (panel, data, number) => {
  const faults = report.read(`records-${number}`) ?? [];
  panel.append(h("p", { class: "note" }, data.summary));
  const draw = (fault) => h("figure", { class: "item fault" },
    fault.picture ? h("img", { src: fault.picture, alt: fault.path, loading: "lazy" }) : h("div", { class: "no-picture" }, "cannot be shown"),
    h("figcaption", {}, h("strong", {}, `${fault.split}: ${fault.kind}`), h("span", {}, fault.message)));
  if (faults.length) panel.append(growing(faults, draw, "gallery"));
});
