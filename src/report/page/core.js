// The frame of the page: making elements, the state in the address, tabs, and reloading a live page.
"use strict";

/** Make an element; children are nodes or text, never HTML. `on` holds listeners, `style` CSS properties. */
function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an element of SVG, as `h` does. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, { on = {}, style = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  for (const [property, value] of Object.entries(style)) node.style.setProperty(property, value);
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return node;
}

/** The state of the page, kept in its address so that it survives a reload. */
const view = {
  values: new URLSearchParams(location.hash.slice(1)),
  get(name, fallback = "") {
    return this.values.get(name) ?? fallback;
  },
  set(name, value) {
    if (value === "" || value === null || value === undefined) this.values.delete(name);
    else this.values.set(name, value);
    try {
      history.replaceState(null, "", `#${this.values}`);
    } catch {
      location.replace(`#${this.values}`); // for browsers that give a page from disk no history
    }
  },
};

const report = {
  kinds: new Map(),
  /** Register the function that draws sections of a kind; it is called once, with (panel, data, section number). */
  section(kind, draw) {
    this.kinds.set(kind, draw);
  },
  /** Read an element of data. */
  read(id) {
    const element = document.getElementById(id);
    return element ? JSON.parse(element.textContent) : null;
  },
};

/** Load a script beside the page; return the value that it passes to `arrived`. */
const arrivals = new Map();
let loads = 0;

function load(url, fresh = false) {
  return new Promise((resolve, reject) => {
    const script = h("script", { src: fresh ? `${url}?${Date.now()}` : url });
    const key = String(++loads);
    script.dataset.load = key;
    const end = (finish) => {
      const value = arrivals.get(key);
      arrivals.delete(key);
      script.remove();
      finish(value);
    };
    script.addEventListener("load", () => end(resolve));
    script.addEventListener("error", () => end(() => reject(new Error(`cannot load ${url}`))));
    document.head.append(script);
  });
}

window.bisenetReport = {
  arrived(value) {
    arrivals.set(document.currentScript.dataset.load, value);
  },
};

/** Fill `tabs` and `panels`; a panel is drawn when it is first seen. */
function startTabs(sections) {
  const buttons = [], panels = [], drawn = new Set();

  function show(number, focus = false) {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === number));
      button.tabIndex = i === number ? 0 : -1;
      panels[i].hidden = i !== number;
    });
    if (focus) buttons[number].focus();
    if (drawn.has(number)) return;
    drawn.add(number);
    const { kind, data } = sections[number];
    const draw = report.kinds.get(kind);
    if (draw) draw(panels[number], data, number);
    else panels[number].append(h("p", { class: "note" }, `This page cannot show “${kind}”.`));
  }

  function choose(number, focus = false) {
    view.set("tab", nameOf(number));
    show(number, focus);
  }

  const nameOf = (number) => sections[number].kind + (sections.findIndex((s) => s.kind === sections[number].kind) === number ? "" : number);
  const moves = { ArrowRight: (i) => i + 1, ArrowLeft: (i) => i - 1, Home: () => 0, End: () => -1 };
  sections.forEach((section, i) => {
    const on = {
      click: () => choose(i),
      keydown: (event) => {
        const move = moves[event.key];
        if (!move) return;
        event.preventDefault();
        choose((move(i) + sections.length) % sections.length, true);
      },
    };
    const id = `tab-${i}`;
    buttons.push(h("button", { role: "tab", type: "button", id, "aria-controls": `panel-${i}`, on }, section.title));
    panels.push(h("section", { role: "tabpanel", id: `panel-${i}`, "aria-labelledby": id, class: `panel ${section.kind}`, hidden: true }));
  });
  document.getElementById("tabs").append(...buttons);
  document.getElementById("panels").append(...panels);
  const wanted = sections.findIndex((_, i) => nameOf(i) === view.get("tab"));
  if (sections.length) show(Math.max(0, wanted));
}

/** Check the file beside a live page regularly for a newer version. */
function startLive(live) {
  const ask = async () => {
    try {
      const version = await load(live.state, true);
      if (version !== undefined && version !== live.version) {
        view.set("y", Math.round(scrollY));
        location.reload();
        return;
      }
    } catch {
      // the file is being replaced, or was removed with the run: no newer version
    }
    setTimeout(ask, 4000);
  };
  setTimeout(ask, 4000);
}
