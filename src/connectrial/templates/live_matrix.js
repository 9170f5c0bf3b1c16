
/* A matrix of edges: colour, threshold, a cell at a time, and the edges that pass as a table. */
Live.kinds.matrix = (body, data) => {
  "use strict";
  const { el, number, pValue } = Live;
  // Thin spaces between thousands, as everywhere on the page.
  const counted = (many) => many.toLocaleString("en").replace(/,/g, "\u2009");
  const n = data.parcels.length;
  const network = new Array(n).fill("");
  data.spans.forEach(([name, from, to]) => network.fill(name, from, to));
  const views = data.views.map((view) => {
    const columns = {};
    Object.entries(view.columns).forEach(([name, packed]) => { columns[name] = Live.unpack(packed); });
    return { name: view.name, columns, limits: {} };
  });
  const size = views[0].columns.estimate.length;
  const rowOf = new Uint16Array(size);
  const columnOf = new Uint16Array(size);
  for (let i = 0, at = 0; i < n; i += 1) { for (let j = i + 1; j < n; j += 1, at += 1) { rowOf[at] = i; columnOf[at] = j; } }
  function edgeAt(i, j) { const a = Math.min(i, j); const b = Math.max(i, j); return a * n - a * (a + 1) / 2 + b - a - 1; }

  const SHOWN = data.tested
    ? [["estimate", "estimate (" + data.unit + ")"], ["t", "t"], ["p", "p, signed −log10"], ["adjusted", "adjusted p, signed −log10"]]
    : [["estimate", "mean " + data.unit]];
  const KEPT = data.tested
    ? [["adjusted", "adjusted p at most"], ["p", "p at most"], ["t", "|t| at least"], ["estimate", "|estimate| at least"]]
    : [["estimate", "|mean| at least"]];
  const state = { view: 0, shown: data.tested ? "t" : "estimate", by: KEPT[0][0], threshold: 0, cell: null, sort: data.tested ? "t" : "estimate", down: true, passing: [] };
  const isP = () => state.by === "p" || state.by === "adjusted";
  const columns = () => views[state.view].columns;
  function score(at) { const value = columns()[state.by][at]; return isP() ? value : Math.abs(value); }
  function shownValue(at) {
    const value = columns()[state.shown][at];
    return state.shown === "p" || state.shown === "adjusted" ? value * (columns().t[at] < 0 ? -1 : 1) : value;
  }
  function most() { let top = 0; for (let at = 0; at < size; at += 1) { const s = score(at); if (s > top) { top = s; } } return isP() ? Math.max(top, 1.5) : top || 1; }

  const slider = el("input", { type: "range", min: 0, max: 1000, "aria-label": "Threshold", on: { input: () => { state.threshold = slider.value / 1000 * most(); exact(); refresh(); } } });
  const typed = el("input", { type: "number", step: "any", min: 0, on: { change: () => {
    const value = parseFloat(typed.value);
    if (!(value >= 0)) { exact(); return; }
    state.threshold = isP() ? -Math.log10(Math.min(1, Math.max(value, 1e-16))) : value;
    slide(); refresh();
  } } });
  typed.setAttribute("aria-label", "Threshold, exact");
  function exact() { typed.value = isP() ? Number(Math.pow(10, -state.threshold).toPrecision(3)) : Number(state.threshold.toPrecision(3)); speak(); }
  function slide() { slider.value = Math.round(state.threshold / most() * 1000); speak(); }
  function speak() { slider.setAttribute("aria-valuetext", KEPT.find(([key]) => key === state.by)[1] + " " + typed.value); }
  function restart() { state.threshold = isP() ? -Math.log10(0.05) : state.by === "t" ? 3 : Live.percentile(columns().estimate, 0.95); exact(); slide(); }

  const controls = el("div", { class: "filters" });
  if (views.length > 1) { controls.append(Live.select("Matrix", views.map((view, i) => [i, view.name]), (value) => { state.view = Number(value); slide(); refresh(); }).label); }
  if (SHOWN.length > 1) {
    const shown = Live.select("Colour", SHOWN, (value) => { state.shown = value; refresh(); });
    shown.box.value = state.shown;
    controls.append(shown.label);
  }
  controls.append(Live.select("Keep edges with", KEPT, (value) => { state.by = value; restart(); refresh(); }).label, slider, typed);
  const count = el("p", { class: "count", role: "status" });
  const canvas = el("canvas", { tabindex: 0, role: "img", "aria-describedby": "" });
  const tip = el("div", { class: "tip", role: "status" });
  const stage = el("div", { class: "stage" }, canvas, tip);
  const legend = el("canvas", { class: "legend", "aria-hidden": "true" });
  const table = el("table", {});
  const listed = el("details", {}, el("summary", {}, "Edges that pass, the first 200"), el("div", { class: "inside scroll", tabindex: 0, role: "region", "aria-label": "Edges that pass the threshold" }, table));
  listed.addEventListener("toggle", () => { if (listed.open) { list(); } });
  tip.id = Live.fresh("tip");
  canvas.setAttribute("aria-describedby", tip.id);
  body.append(controls, count, stage, legend, listed);

  let room = { left: 0, top: 0, side: 0 };
  function limit() {
    const view = views[state.view];
    if (!(state.shown in view.limits)) { view.limits[state.shown] = Live.percentile(view.columns[state.shown], 0.99); }
    return data.tested ? view.limits[state.shown] : Math.max(...views.map((one) => { one.limits.estimate = one.limits.estimate || Live.percentile(one.columns.estimate, 0.99); return one.limits.estimate; }));
  }
  /* Colours change with the threshold and the theme, not with the cell that is pointed at. */
  const picture = document.createElement("canvas");
  picture.width = n; picture.height = n;
  let coloured = "";
  function colourCells(hue, top) {
    const ink = picture.getContext("2d");
    const cells = ink.createImageData(n, n);
    const pixels = new Uint32Array(cells.data.buffer);
    const opaque = (one) => ((255 << 24) | (one[2] << 16) | (one[1] << 8) | one[0]) >>> 0;
    const colours = Uint32Array.from({ length: 257 }, (_, i) => opaque(hue(i / 128 - 1)));
    const blank = opaque(Live.dark() ? [70, 78, 88] : [195, 200, 207]);
    pixels.fill(colours[128]);
    for (let at = 0; at < size; at += 1) {
      const value = shownValue(at);
      const own = Number.isFinite(value) ? colours[Math.round((Math.max(-1, Math.min(1, value / top)) + 1) * 128)] : blank;
      pixels[columnOf[at] * n + rowOf[at]] = own;
      if (score(at) >= state.threshold) { pixels[rowOf[at] * n + columnOf[at]] = own; }
    }
    ink.putImageData(cells, 0, 0);
  }
  function paint() {
    const width = Math.min(720, body.clientWidth || 640);
    const left = width < 480 ? 62 : 96;
    const side = width - left - 4;
    room = { left, top: 4, side };
    const draw = Live.pen(canvas, width, side + 8);
    const hue = Live.ramp();
    const top = limit();
    const stamp = [state.view, state.shown, state.by, state.threshold, Live.dark()].join();
    if (stamp !== coloured) { colourCells(hue, top); coloured = stamp; }
    draw.imageSmoothingEnabled = false;
    draw.drawImage(picture, left, room.top, side, side);
    const unit = side / n;
    draw.strokeStyle = Live.colour("--muted"); draw.lineWidth = 0.5;
    draw.strokeRect(left, room.top, side, side);
    draw.fillStyle = Live.colour("--ink"); draw.textAlign = "right"; draw.textBaseline = "middle";
    let below = -20;
    data.spans.forEach(([name, from, to]) => {
      draw.globalAlpha = 0.35;
      draw.beginPath();
      draw.moveTo(left + to * unit, room.top); draw.lineTo(left + to * unit, room.top + side);
      draw.moveTo(left, room.top + to * unit); draw.lineTo(left + side, room.top + to * unit);
      draw.stroke();
      draw.globalAlpha = 1;
      draw.lineWidth = 1.2; draw.strokeStyle = Live.colour("--ink");
      draw.strokeRect(left + from * unit, room.top + from * unit, (to - from) * unit, (to - from) * unit);
      draw.lineWidth = 0.5; draw.strokeStyle = Live.colour("--muted");
      const middle = room.top + (from + to) / 2 * unit;
      if (middle - below >= 11) { draw.fillText(name.length > 15 ? name.slice(0, 14) + "…" : name, left - 5, middle, left - 6); below = middle; }
    });
    if (state.cell) {
      const [i, j] = state.cell;
      const grown = Math.max(unit, 5);
      draw.lineWidth = 2; draw.strokeStyle = Live.colour("--accent");
      draw.strokeRect(left + (j + 0.5) * unit - grown / 2, room.top + (i + 0.5) * unit - grown / 2, grown, grown);
    }
    key(hue, top, width);
  }
  function key(hue, top, width) {
    const draw = Live.pen(legend, Math.min(width, 320), 30);
    for (let i = 0; i < 200; i += 1) { draw.fillStyle = "rgb(" + hue(i / 100 - 1).join(",") + ")"; draw.fillRect(40 + i, 2, 1.5, 10); }
    draw.fillStyle = Live.colour("--muted"); draw.textAlign = "center"; draw.textBaseline = "top";
    [[-top, 40], [0, 140], [top, 240]].forEach(([value, at]) => draw.fillText(number(value, 2), at, 15));
    draw.textAlign = "left"; draw.fillText(SHOWN.find(([name]) => name === state.shown)[1].split(",")[0], 252, 1, 66);
  }
  function describe(at) {
    const own = columns();
    const words = [data.parcels[rowOf[at]] + " (" + (network[rowOf[at]] || "no network") + ") and " + data.parcels[columnOf[at]] + " (" + (network[columnOf[at]] || "no network") + ")"];
    if (!Number.isFinite(own.estimate[at])) { return words.concat("no value"); }
    if (!data.tested) { return words.concat("mean " + data.unit + " " + number(own.estimate[at])); }
    const half = own.half[at];
    words.push("estimate " + number(own.estimate[at]) + (Number.isFinite(half) ? " [" + number(own.estimate[at] - half) + ", " + number(own.estimate[at] + half) + "]" : ""));
    words.push("t " + number(own.t[at]) + ", p " + pValue(Math.pow(10, -own.p[at])) + ", adjusted p " + pValue(Math.pow(10, -own.adjusted[at])));
    if (own.component && own.component[at] > 0) { words.push("component " + Math.round(own.component[at])); }
    return words;
  }
  function point(i, j) {
    state.cell = i === j || i < 0 || j < 0 || i >= n || j >= n ? null : [i, j];
    paint();
    tip.replaceChildren();
    tip.hidden = !state.cell;
    if (!state.cell) { return; }
    describe(edgeAt(i, j)).forEach((line) => tip.append(el("div", {}, line)));
    const x = room.left + (j + 0.5) / n * room.side;
    const y = room.top + (i + 0.5) / n * room.side;
    const wide = tip.offsetWidth;
    tip.style.left = Math.max(0, Math.min(stage.clientWidth - wide, x + 14 + wide > stage.clientWidth ? x - wide - 14 : x + 14)) + "px";
    tip.style.top = (y + 16 + tip.offsetHeight > stage.clientHeight ? Math.max(0, y - tip.offsetHeight - 12) : y + 16) + "px";
  }
  function under(event) {
    const box = canvas.getBoundingClientRect();
    point(Math.floor((event.clientY - box.top - room.top) / room.side * n), Math.floor((event.clientX - box.left - room.left) / room.side * n));
  }
  canvas.addEventListener("pointermove", under);
  canvas.addEventListener("pointerdown", under);
  canvas.addEventListener("pointerleave", () => { if (document.activeElement !== canvas) { point(-1, -1); } });
  canvas.addEventListener("blur", () => point(-1, -1));
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Escape") { point(-1, -1); }
    if (!steps) { return; }
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1;
    let [i, j] = state.cell || [0, 0];
    do {
      i = Math.max(0, Math.min(n - 1, i + steps[0] * far)); j = Math.max(0, Math.min(n - 1, j + steps[1] * far));
    } while (i === j && i + steps[0] >= 0 && i + steps[0] < n && j + steps[1] >= 0 && j + steps[1] < n);
    if (i !== j) { point(i, j); }
  });

  /* A head holds one button for each thing that its column can be sorted by. */
  const HEADS = [[["a", "parcel"], ["na", "network"]], [["b", "parcel"], ["nb", "network"]], [["estimate", data.tested ? "estimate" : "mean z"]]]
    .concat(data.tested ? [[["", "95% CI"]], [["t", "t"]], [["p", "p"]], [["adjusted", "adjusted p"]]] : []);
  function sortKey(at) {
    if (state.sort === "a") { return data.parcels[rowOf[at]]; }
    if (state.sort === "b") { return data.parcels[columnOf[at]]; }
    if (state.sort === "na") { return network[rowOf[at]]; }
    if (state.sort === "nb") { return network[columnOf[at]]; }
    const value = columns()[state.sort][at];
    if (!Number.isFinite(value)) { return state.down ? -Infinity : Infinity; }
    return state.sort === "p" || state.sort === "adjusted" ? -value : Math.abs(value);
  }
  function list() {
    const keys = new Map(state.passing.map((at) => [at, sortKey(at)]));
    const order = state.passing.slice().sort((x, y) => {
      const a = keys.get(x); const b = keys.get(y);
      const way = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
      return (state.down ? -way : way) || x - y;
    }).slice(0, 200);
    const head = el("tr", {});
    HEADS.forEach((parts, i) => {
      const chosen = parts.some(([name]) => name && name === state.sort);
      const cell = el("th", { scope: "col", class: i > 1 ? "num" : "", "aria-sort": chosen ? (state.down ? "descending" : "ascending") : null });
      parts.forEach(([name, words], k) => {
        if (k) { cell.append(", "); }
        cell.append(name ? el("button", { type: "button", "data-sort-by": name, on: { click: () => {
          state.down = state.sort === name ? !state.down : !(i < 2 || name === "p" || name === "adjusted");
          state.sort = name;
          list();
          table.querySelector("[data-sort-by=" + name + "]").focus();
        } } }, words) : words);
      });
      head.append(cell);
    });
    const rows = el("tbody", {});
    const own = columns();
    order.forEach((at) => {
      const texts = [number(own.estimate[at])];
      if (data.tested) {
        const half = own.half[at];
        texts.push(Number.isFinite(half) ? "[" + number(own.estimate[at] - half) + ", " + number(own.estimate[at] + half) + "]" : "–", number(own.t[at]), pValue(Math.pow(10, -own.p[at])), pValue(Math.pow(10, -own.adjusted[at])));
      }
      const ends = [rowOf[at], columnOf[at]].map((one) => el("td", {}, data.parcels[one], el("span", { class: "sub" }, network[one])));
      rows.append(el("tr", {}, ...ends, ...texts.map((text) => el("td", { class: "num" }, text))));
    });
    table.replaceChildren(el("caption", {}, order.length + " of " + state.passing.length + " edges that pass"), el("thead", {}, head), rows);
  }
  function refresh() {
    state.passing = [];
    let known = 0;
    for (let at = 0; at < size; at += 1) {
      const value = score(at);
      if (Number.isFinite(value)) { known += 1; if (value >= state.threshold) { state.passing.push(at); } }
    }
    count.textContent = counted(state.passing.length) + " of " + counted(known) + " edges pass.";
    canvas.setAttribute("aria-label", "Matrix of " + n + " parcels by network; " + count.textContent + " Arrow keys move over its cells.");
    paint();
    if (listed.open) { list(); }
  }
  tip.hidden = true;
  restart();
  refresh();
  Live.repaint(paint);
};
