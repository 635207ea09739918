// The confusion matrix as a heat map that is a table.

const SHARES = {
  row: { text: "By true class", hint: "Each row adds up to 100 %: what the pixels of a true class were taken for." },
  column: { text: "By predicted class", hint: "Each column adds up to 100 %: what the pixels predicted as a class really are." },
  pixels: { text: "Pixels", hint: "Labelled pixels; shades follow the logarithm." },
};

function drawMatrix(entry, mode, tell) {
  const matrix = entry.confusion_matrix, size = matrix.length;
  const rows = matrix.map((row) => row.reduce((a, b) => a + b, 0));
  const columns = matrix.map((_, j) => matrix.reduce((sum, row) => sum + row[j], 0));
  const top = Math.log1p(Math.max(...matrix.flat(), 1));
  const share = (i, j) => {
    const whole = mode === "row" ? rows[i] : columns[j];
    return whole ? matrix[i][j] / whole : null;
  };
  const shade = (i, j) => (mode === "pixels" ? Math.log1p(matrix[i][j]) / top : share(i, j) ?? 0);
  const small = size > 32;
  const text = (i, j) => {
    if (small) return "";
    if (mode === "pixels") return matrix[i][j] ? compact(matrix[i][j]) : "";
    const value = share(i, j);
    return value === null || value < 0.0005 ? "" : (100 * value).toFixed(value < 0.0995 ? 1 : 0);
  };
  const cells = (i) => matrix[i].map((count, j) => {
    const level = shade(i, j);
    return h("td", { class: [i === j ? "hit" : "", level > 0.8 ? "deepest" : level > 0.62 ? "deep" : ""].join(" ").trim() || null, "data-i": i, "data-j": j, "data-value": mode === "pixels" ? count : share(i, j),
      style: { "--level": level.toFixed(3) } }, text(i, j));
  });
  const say = (event) => {
    const cell = event.target.closest("td");
    if (!cell) return;
    const i = Number(cell.dataset.i), j = Number(cell.dataset.j);
    tell(`${className(entry, i)} taken for ${className(entry, j)}: ${grouped(matrix[i][j])} pixels, ` +
      `${percent(rows[i] ? matrix[i][j] / rows[i] : null)} of ${className(entry, i)}, ${percent(columns[j] ? matrix[i][j] / columns[j] : null)} of what was predicted as ${className(entry, j)}`);
  };
  const head = h("tr", {}, h("td", { class: "corner" }, "true ↓ predicted →"), matrix.map((_, j) => h("th", { scope: "col" }, h("span", {}, className(entry, j), swatch(entry.colors[j])))));
  return h("table", { class: small ? "matrix small" : "matrix", on: { pointerover: say } }, h("thead", {}, head),
    h("tbody", {}, matrix.map((_, i) => h("tr", {}, h("th", { scope: "row" }, swatch(entry.colors[i]), className(entry, i)), cells(i)))));
}

function compact(count) {
  return count < 10000 ? String(count) : count < 1e6 ? `${Math.round(count / 1e3)}k` : `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)}M`;
}

report.section("confusion", (panel, data) => {
  const { scores } = data;
  const line = h("p", { class: "readout", role: "status" }), hint = h("p", { class: "hint" }), place = h("div", { class: "card wide" });
  let chosen = scores[Number(view.get("of", 0))] ?? scores[0];
  let mode = SHARES[view.get("matrix", "row")] ? view.get("matrix", "row") : "row";
  const confusions = h("div");
  const draw = () => {
    line.textContent = "Point at a cell to read it.";
    hint.textContent = SHARES[mode].hint;
    place.replaceChildren(drawMatrix(chosen, mode, (text) => { line.textContent = text; }));
    confusions.replaceChildren(card("Largest confusions", confusionList(chosen), h("p", { class: "hint" }, "Share of the labelled pixels of the true class.")));
  };
  const tools = [choices("Shares", Object.entries(SHARES).map(([key, { text }]) => [key, text]), mode, (key) => { mode = key; view.set("matrix", key); draw(); })];
  if (scores.length > 1) tools.unshift(select("Evaluation", scores.map((entry, i) => [i, entry.name]), scores.indexOf(chosen), (i) => { chosen = scores[i]; view.set("of", i); draw(); }));
  panel.append(h("div", { class: "bar-of-tools" }, tools), line, h("div", { class: "beside" }, place, confusions), hint);
  draw();
});
