// Line charts: SVG, values on hover and by the arrow keys, and the same values as a table.

const SHAPE = { width: 640, height: 280, left: 62, right: 14, top: 12, bottom: 26 };
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 4", "1 4"];

/** Return round numbers from `low` to `high`, about `count` of them. */
function niceTicks(low, high, count = 5) {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((each) => each * power >= raw * 0.999) ?? 10);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** Return powers of ten, with their multiples by 2 and 5 if there are few. */
function logTicks(low, high) {
  const ticks = [], first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const parts = last - first > 3 ? [1] : [1, 2, 5];
  for (let power = first; power <= last; power++) ticks.push(...parts.map((part) => Number((part * 10 ** power).toPrecision(6))));
  const inside = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return inside.length > 1 ? inside : [low, high];
}

/** Return the axis of `values`: the map from values to positions, and the ticks; nearly equal values get a margin. */
function makeScale(low, high, from, to, log) {
  if (!(high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)))) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const of = log ? Math.log10 : (value) => value, start = of(low), span = of(high) - start;
  return { place: (value) => from + ((of(value) - start) / span) * (to - from), ticks: log ? logTicks(low, high) : niceTicks(low, high), low, high };
}

/** Return the path of a series; of many points in one column of pixels only the highest and lowest are drawn. */
function pathOf(series, x, y, shown) {
  let path = "", pen = false, column = null, group = [];
  const put = (px, py) => { path += `${pen ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`; pen = true; };
  const flush = () => {
    if (!group.length) return;
    const ys = group.map(([, value]) => value), low = Math.min(...ys), high = Math.max(...ys);
    if (group.length < 4) group.forEach(([px, value]) => put(px, value));
    else [ys[0], low, high, ys.at(-1)].forEach((value) => put(column / 2, value));
    group = [];
  };
  series.x.forEach((step, i) => {
    const value = series.y[i];
    if (!shown(value)) { flush(); pen = false; return; }
    const px = x.place(step), at = Math.round(2 * px);
    if (at !== column) { flush(); column = at; }
    group.push([px, y.place(value)]);
  });
  flush();
  return path;
}

/** Return the moving average of a series, to draw over a noisy line. */
function smoothed(series) {
  const half = Math.floor(series.y.length / 100);
  const sums = [0], counts = [0];
  series.y.forEach((value, i) => {
    const known = typeof value === "number";
    sums.push(sums[i] + (known ? value : 0));
    counts.push(counts[i] + (known ? 1 : 0));
  });
  const mean = (i) => {
    const low = Math.max(0, i - half), high = Math.min(series.y.length, i + half + 1), count = counts[high] - counts[low];
    return count ? (sums[high] - sums[low]) / count : null;
  };
  return { ...series, y: series.y.map((_, i) => mean(i)) };
}

function nearest(steps, step) {
  let low = 0, high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low > 0 && step - steps[low - 1] <= steps[low] - step ? low - 1 : low;
}

/**
 * Draw series over the training step.
 * @param {{title: string, series: {name: string, x: number[], y: (number|null)[], color: string, dash: number}[], write: function, tick: function, log: boolean}} chart
 */
function lineChart({ title, series, write = short, tick = write, log = false }) {
  const figure = h("figure", { class: "card chart" }), hidden = new Set();
  const place = h("div", { class: "plot" }), tip = h("div", { class: "tip", role: "status", hidden: true });
  const legend = h("div", { class: "legend" }, series.map((each, i) => {
    const on = { click: (event) => {
      if (!hidden.delete(i)) hidden.add(i);
      event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(i)));
      draw();
    } };
    const key = svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, "stroke-dasharray": DASHES[each.dash % DASHES.length], "stroke-width": 2.5, style: { stroke: each.color } }));
    return h("button", { type: "button", "aria-pressed": "true", on }, key, each.name);
  }));

  function draw() {
    tip.hidden = true;
    const visible = series.filter((_, i) => !hidden.has(i));
    place.replaceChildren(plot(visible, { title, log, write, tick }, tip), tip);
  }
  const caption = h("figcaption", {}, h("h2", {}, title), legend);
  figure.append(caption, place, valueTable(title, series));
  draw();
  return figure;
}

/** Return the least and the largest of the values in several lists that are `shown`. */
function bounds(lists, shown) {
  let low = Infinity, high = -Infinity;
  for (const values of lists) {
    for (const value of values) {
      if (!shown(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
}

/** Return the steps of several series, ascending. */
function stepsOf(series) {
  return [...new Set(series.flatMap((each) => each.x))].sort((a, b) => a - b);
}

function plot(visible, { title, log, write, tick: writeTick }, tip) {
  const { width, height, left, right, top, bottom } = SHAPE;
  const shown = (value) => typeof value === "number" && Math.abs(value) < 1e300 && (!log || value > 0); // the span must be finite
  const [firstStep, lastStep] = bounds(visible.map((each) => each.x), () => true), [low, high] = bounds(visible.map((each) => each.y), shown);
  const canvas = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-label": `${title}: a chart; the arrow keys go from step to step, the table below holds the values` });
  if (!Number.isFinite(low)) {
    canvas.append(svg("text", { x: width / 2, y: height / 2, class: "empty", "text-anchor": "middle" }, visible.length ? "no values on this scale" : "nothing chosen"));
    return canvas;
  }
  const air = log ? 0 : (high - low) * 0.06, floor = low >= 0 ? Math.max(0, low - air) : low - air;
  const x = makeScale(firstStep, lastStep, left, width - right, false), y = makeScale(floor, high + air, height - bottom, top, log);
  for (const tick of y.ticks) {
    const at = y.place(tick).toFixed(1);
    canvas.append(svg("line", { x1: left, x2: width - right, y1: at, y2: at, class: "rule" }), svg("text", { x: left - 8, y: at, dy: "0.32em", "text-anchor": "end" }, writeTick(tick)));
  }
  for (const tick of x.ticks.filter(Number.isInteger)) canvas.append(svg("text", { x: x.place(tick).toFixed(1), y: height - bottom + 18, "text-anchor": "middle" }, grouped(tick)));
  canvas.append(svg("text", { x: 0, y: height - bottom + 18 }, "step"));
  for (const each of visible) {
    const line = { class: "series", "stroke-dasharray": DASHES[each.dash % DASHES.length], style: { stroke: each.color } };
    const noisy = each.y.length >= 200;
    canvas.append(svg("path", { ...line, d: pathOf(each, x, y, shown), class: noisy ? "series faint" : "series" }));
    if (noisy) canvas.append(svg("path", { ...line, d: pathOf(smoothed(each), x, y, shown) }));
    if (each.x.length < 60) each.x.forEach((step, i) => { if (shown(each.y[i])) canvas.append(svg("circle", { cx: x.place(step).toFixed(1), cy: y.place(each.y[i]).toFixed(1), r: 2.4, style: { fill: each.color } })); });
  }
  addHover(canvas, visible, x, y, write, tip, shown);
  return canvas;
}

function addHover(canvas, visible, x, y, write, tip, shown) {
  const { width, height, left, right, top, bottom } = SHAPE;
  const cursor = svg("g", { class: "cursor", visibility: "hidden" });
  canvas.append(cursor);
  let current = null, known = null;
  const steps = () => (known ??= stepsOf(visible));

  function point(step) {
    current = step;
    const found = visible.map((each) => [each, nearest(each.x, step)]).filter(([each, i]) => each.x[i] === step);
    const at = x.place(step);
    cursor.setAttribute("visibility", "visible");
    cursor.replaceChildren(svg("line", { x1: at, x2: at, y1: top, y2: height - bottom }),
      ...found.filter(([each, i]) => shown(each.y[i])).map(([each, i]) => svg("circle", { cx: at, cy: y.place(each.y[i]), r: 4, style: { fill: each.color } })));
    tip.hidden = false;
    tip.replaceChildren(h("strong", { "data-step": step }, `step ${grouped(step)}`), ...found.map(([each, i]) =>
      h("span", { "data-series": each.key }, h("span", { class: "swatch", style: { "--c": each.color }, "aria-hidden": "true" }), `${each.name} `, exact("b", each.y[i], write === short ? short(each.y[i]) : write(each.y[i])))));
    const share = at / width;
    tip.style.setProperty("left", share > 0.55 ? "auto" : `${100 * share + 2}%`);
    tip.style.setProperty("right", share > 0.55 ? `${100 * (1 - share) + 2}%` : "auto");
  }
  const leave = () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect(), at = ((event.clientX - box.left) / box.width) * width;
    const share = Math.min(1, Math.max(0, (at - left) / (width - right - left)));
    point(steps()[nearest(steps(), x.low + share * (x.high - x.low))]);
  });
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("blur", leave);
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const place = current === null ? -1 : nearest(steps(), current);
    point(steps()[Math.min(steps().length - 1, Math.max(0, place + moves[event.key]))]);
  });
}

/** Make the table of a chart's values when it is opened; if there are many steps, only some, with the first and last. */
function valueTable(title, series, most = 200) {
  const details = h("details", {}, h("summary", {}, "Values as a table"));
  details.addEventListener("toggle", () => {
    if (details.childElementCount > 1) return;
    const steps = stepsOf(series);
    const stride = Math.ceil(steps.length / most), chosen = steps.filter((_, i) => i % stride === 0 || i === steps.length - 1);
    const value = (each, step) => { const i = nearest(each.x, step); return each.x[i] === step ? each.y[i] : null; };
    const caption = stride > 1 ? `${title}: every ${stride}th of ${grouped(steps.length)} values` : title;
    details.append(h("div", { class: "scroll" }, textTable(["step", ...series.map((each) => each.name)], chosen.map((step) => [step, ...series.map((each) => value(each, step))]), caption)));
  });
  return details;
}
