// Learning curves of one or several runs.

const GROUPS = [
  { title: "Loss", from: "metrics", match: (name) => name === "loss" },
  { title: "mIoU and pixel accuracy", from: "evaluations", match: (name) => name === "miou" || name === "pixel_accuracy", write: (value) => percent(value), tick: (value) => `${short(100 * value)} %` },
  { title: "Loss of each head", from: "metrics", match: (name) => /^loss_/.test(name) && name !== "loss_scale" },
  { title: "Learning rate", from: "metrics", match: (name) => name === "lr" },
  { title: "Pictures a second", from: "metrics", match: (name) => name === "images_per_s" },
  { title: "Milliseconds a step, and of these waiting for data", from: "metrics", match: (name) => name === "ms_per_step" || name === "data_wait_ms" },
];
const NAMES = { miou: "mIoU", pixel_accuracy: "pixel accuracy", lr: "learning rate", loss: "loss", images_per_s: "pictures a second", ms_per_step: "a step", data_wait_ms: "waiting for data" };

function groupsOf(runs) {
  const taken = new Set(["step"]), names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
  GROUPS.filter((group) => group.from === "metrics").forEach((group) => names.filter(group.match).forEach((name) => taken.add(name)));
  const rest = names.filter((name) => !taken.has(name));
  return [...GROUPS, ...rest.map((name) => ({ title: name, from: "metrics", match: (other) => other === name }))];
}

function seriesOf(runs, group) {
  const columns = [...new Set(runs.flatMap((run) => Object.keys(run[group.from]).filter(group.match)))];
  return runs.flatMap((run, place) => columns.filter((name) => (run[group.from][name] ?? []).some((value) => typeof value === "number")).map((name) => {
    const order = columns.indexOf(name), label = NAMES[name] ?? name.replace(/^loss_/, "");
    return {
      key: `${run.run}/${name}`, name: runs.length > 1 ? (columns.length > 1 ? `${run.name}: ${label}` : run.name) : label,
      x: run[group.from].step, y: run[group.from][name], color: seriesColor(runs.length > 1 ? place : order), dash: order,
    };
  }));
}

report.section("curves", (panel, data) => {
  const { runs } = data, place = h("div", { class: "grid charts" });
  const draw = () => {
    const log = view.get("log") === "1";
    const charts = groupsOf(runs).map((group) => [group, seriesOf(runs, group)]).filter(([, series]) => series.length);
    place.replaceChildren(...charts.map(([group, series]) => lineChart({ title: group.title, series, write: group.write, tick: group.tick, log })));
    if (!charts.length) place.append(h("p", { class: "note" }, "Nothing was logged yet."));
  };
  const current = view.get("log") === "1" ? "1" : "";
  panel.append(h("div", { class: "bar-of-tools" }, choices("Scale", [["", "Linear"], ["1", "Logarithmic"]], current, (key) => { view.set("log", key); draw(); })), place);
  draw();
});
