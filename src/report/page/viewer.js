// One picture at a time: photograph, truth, prediction and errors, zoom, and the class below the pointer.

const LAYERS = { photo: "Photograph", truth: "Truth", prediction: "Prediction", errors: "Errors" };

class Viewer {
  /** @param {function} step called with -1 or 1: which picture is next @param {function} closed */
  constructor(step, closed) {
    this.photo = h("img", { alt: "", draggable: "false" });
    this.canvas = h("canvas");
    this.mark = h("span", { class: "mark", hidden: true });
    this.stage = h("div", { class: "stage" }, this.photo, this.canvas, this.mark);
    this.frame = h("div", { class: "frame", tabindex: "0", role: "application", "aria-label": "Picture: arrow keys move the mark, plus and minus zoom, 0 fits" }, this.stage);
    this.readout = h("p", { class: "readout", role: "status" });
    this.title = h("h2");
    this.score = h("span", { class: "hint" });
    this.key = h("p", { class: "hint key" }, swatch("#ffb000"), "wrong, in truth or prediction of the chosen class if one is chosen below; hatched: no label");
    this.legend = h("div", { class: "legend classes-here" });
    this.layer = "errors";
    this.opacity = h("input", { type: "range", min: 0, max: 100, value: 75, "aria-label": "Strength of the colours", on: { input: () => this.restyle() } });
    this.tabs = h("div", { class: "choices", role: "tablist", "aria-label": "What is shown" });
    const button = (text, label, click) => h("button", { type: "button", "aria-label": label, title: label, on: { click } }, text);
    const zooms = h("div", { class: "choices" }, button("−", "Zoom out", () => this.zoomBy(1 / 1.5)), button("Fit", "Fit into the window", () => this.fit()), button("+", "Zoom in", () => this.zoomBy(1.5)));
    const moves = h("div", { class: "choices" }, button("‹", "Previous picture", () => step(-1)), button("›", "Next picture", () => step(1)), button("✕", "Close", () => this.dialog.close()));
    const slider = h("label", { class: "field slider" }, h("span", {}, "Colours"), this.opacity);
    this.dialog = h("dialog", { class: "viewer", on: { close: closed, keydown: (event) => this.shortcut(event, step) } },
      h("header", {}, h("div", {}, this.title, this.score), moves), h("div", { class: "bar-of-tools" }, this.tabs, slider, zooms), this.frame, this.readout, this.key, this.legend);
    document.body.append(this.dialog);
    this.listen();
  }

  async show(record, run) {
    this.record = record;
    this.run = run;
    this.only = null;
    this.title.textContent = record.name;
    this.dialog.setAttribute("aria-label", record.name);
    this.score.textContent = record.iou ? `mean IoU ${percent(record.miou)} · pixel accuracy ${percent(record.accuracy)} · ${record.width} × ${record.height} pixels` : `${record.width} × ${record.height} pixels`;
    if (!this.dialog.open) this.dialog.showModal();
    this.readout.textContent = "Loading …";
    let picture;
    try {
      picture = await fetchPicture(record);
    } catch (error) {
      this.picture = null;
      this.stage.hidden = true;
      this.readout.textContent = `This picture cannot be shown: ${error.message}`;
      return;
    }
    if (this.record !== record) return; // another one was requested meanwhile
    this.picture = picture;
    this.stage.hidden = false;
    this.photo.src = picture.photo;
    this.photo.alt = `Photograph ${record.name}`;
    [this.canvas.width, this.canvas.height] = [picture.width, picture.height];
    this.drawTabs();
    this.drawLegend();
    this.fit();
    this.paint();
    this.readout.textContent = "Point at the picture to read the classes of a pixel.";
  }

  drawTabs() {
    const { truth, prediction } = this.picture;
    const there = Object.keys(LAYERS).filter((name) => name === "photo" || (name === "errors" ? truth && prediction : this.picture[name]));
    if (!there.includes(this.layer)) this.layer = there.at(-1);
    this.tabs.replaceChildren(...there.map((name, i) => h("button", {
      type: "button", role: "tab", "data-layer": name, "aria-selected": String(name === this.layer), tabindex: name === this.layer ? "0" : "-1",
      on: { click: () => this.choose(name), keydown: (event) => {
        const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!move) return;
        event.preventDefault();
        event.stopPropagation();
        this.choose(there[(i + move + there.length) % there.length]);
        this.tabs.querySelector("[aria-selected=true]").focus();
      } },
    }, LAYERS[name])));
  }

  choose(layer) {
    this.layer = layer;
    view.set("layer", layer);
    this.drawTabs();
    this.paint();
  }

  drawLegend() {
    const { truth, prediction, ignored } = this.picture, { record, run } = this, present = new Set();
    for (const map of [truth, prediction]) if (map) for (const id of map) present.add(id);
    present.delete(ignored);
    const ids = [...present].sort((a, b) => (record.iou?.[a] ?? 2) - (record.iou?.[b] ?? 2) || a - b);
    this.legend.replaceChildren(...ids.map((id) => h("button", { type: "button", "aria-pressed": "false", title: "Show this class alone", on: { click: (event) => {
      this.only = this.only === id ? null : id;
      for (const each of this.legend.children) each.setAttribute("aria-pressed", String(this.only !== null && each === event.currentTarget));
      this.paint();
    } } }, swatch(run.colors[id]), className(run, id), record.iou ? exact("span", record.iou[id], percent(record.iou[id], 1), { class: "hint" }) : null)));
  }

  paint() {
    const { truth, prediction, ignored } = this.picture;
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.layer === "errors") paintErrors(this.canvas, truth, prediction, ignored, this.only);
    else if (this.layer !== "photo") paintClasses(this.canvas, this.picture[this.layer], this.run.colors, ignored, this.only);
    this.restyle();
  }

  restyle() {
    this.stage.className = `stage ${this.layer}`;
    this.canvas.style.setProperty("opacity", this.opacity.value / 100);
    this.key.style.setProperty("visibility", this.layer === "errors" ? "visible" : "hidden");
    this.opacity.disabled = this.layer === "photo";
  }

  fit() {
    const { width, height } = this.picture;
    this.setZoom(Math.min((this.frame.clientWidth - 2) / width, (this.frame.clientHeight - 2) / height));
  }

  setZoom(zoom) {
    this.zoom = Math.min(16, Math.max(0.05, zoom));
    this.stage.style.setProperty("width", `${this.picture.width * this.zoom}px`);
    this.stage.style.setProperty("height", `${this.picture.height * this.zoom}px`);
    this.stage.classList.toggle("coarse", this.zoom > 2);
    this.moveMark();
  }

  /** Zoom so that the point at (x, y) of the frame stays in place. */
  zoomBy(factor, x = this.frame.clientWidth / 2, y = this.frame.clientHeight / 2) {
    const { frame } = this, before = this.zoom;
    const [left, top] = [frame.scrollLeft + x, frame.scrollTop + y];
    this.setZoom(before * factor);
    frame.scrollLeft = (left * this.zoom) / before - x;
    frame.scrollTop = (top * this.zoom) / before - y;
  }

  listen() {
    const { frame, stage } = this;
    let drag = null;
    frame.addEventListener("wheel", (event) => {
      if (!this.picture) return;
      event.preventDefault();
      const box = frame.getBoundingClientRect();
      this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    frame.addEventListener("pointerdown", (event) => { drag = [event.clientX + frame.scrollLeft, event.clientY + frame.scrollTop]; });
    addEventListener("pointerup", () => { drag = null; });
    frame.addEventListener("pointermove", (event) => {
      if (drag) [frame.scrollLeft, frame.scrollTop] = [drag[0] - event.clientX, drag[1] - event.clientY];
      if (!this.picture) return;
      const box = stage.getBoundingClientRect();
      this.read(Math.floor((event.clientX - box.left) / this.zoom), Math.floor((event.clientY - box.top) / this.zoom));
    });
    frame.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }, move = moves[event.key];
      if (!move || !this.picture) return;
      event.preventDefault();
      event.stopPropagation();
      const { width, height } = this.picture, [x, y] = this.place ?? [width >> 1, height >> 1], far = event.shiftKey ? 10 : 1;
      this.read(Math.min(width - 1, Math.max(0, x + far * move[0])), Math.min(height - 1, Math.max(0, y + far * move[1])), true);
    });
  }

  shortcut(event, step) {
    const does = { "+": () => this.zoomBy(1.5), "-": () => this.zoomBy(1 / 1.5), 0: () => this.fit(), PageDown: () => step(1), PageUp: () => step(-1) }[event.key];
    if (!does || !this.picture || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    does();
  }

  /** Show the classes of the pixel (x, y) of the picture. */
  read(x, y, mark = false) {
    const { width, height, truth, prediction, ignored } = this.picture;
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    this.place = [x, y];
    this.mark.hidden = !mark;
    this.moveMark();
    const at = y * width + x, { record, run } = this;
    const named = (map) => (map[at] === ignored ? "no label" : className(run, map[at]));
    const full = [Math.floor(((x + 0.5) * record.width) / width), Math.floor(((y + 0.5) * record.height) / height)];
    const parts = [`x ${full[0]}, y ${full[1]}`];
    if (truth) parts.push(`truth: ${named(truth)}`);
    if (prediction) parts.push(`prediction: ${named(prediction)}`);
    if (truth && prediction && truth[at] !== ignored) parts.push(truth[at] === prediction[at] ? "right" : "wrong");
    this.readout.textContent = this.readout.title = parts.join(" · ");
  }

  moveMark() {
    if (!this.place) return;
    this.mark.style.setProperty("left", `${(this.place[0] + 0.5) * this.zoom}px`);
    this.mark.style.setProperty("top", `${(this.place[1] + 0.5) * this.zoom}px`);
  }
}
