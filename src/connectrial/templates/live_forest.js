
/* A forest whose rows can be searched, filtered and sorted; the numbers stand beside the drawing. */
Live.kinds.forest = (body, data) => {
  "use strict";
  const { el, number, pValue } = Live;
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 240;
  const state = { unit: data.units[0], role: "", family: "", method: "", words: "", sort: "", down: false };
  function drawn(tag, attributes, ...children) {
    const made = document.createElementNS(SVG, tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.append(...children);
    return made;
  }
  function choices(words, key, empty) {
    const found = [...new Set(data.rows.map((row) => row[key]))].filter((one) => one !== "");
    if (found.length < 2 && !(found.length === 1 && data.rows.some((row) => row[key] === ""))) { return null; }
    const options = [["", "all"]].concat(found.map((one) => [one, one]));
    if (empty && data.rows.some((row) => row[key] === "")) { options.push(["\u0000", empty]); }
    return Live.select(words, options, (value) => { state[key] = value; draw(); }).label;
  }
  const search = el("input", { type: "search", autocomplete: "off", on: { input: () => { state.words = search.value.toLowerCase(); draw(); } } });
  const controls = el("div", { class: "filters" });
  if (data.units.length > 1) {
    controls.append(Live.select("Unit", data.units.map((unit) => [unit, unit || "none"]), (value) => { state.unit = value; draw(); }).label);
  }
  controls.append(el("label", {}, "Search ", search), ...[choices("Role", "role"), choices("Family", "family", "in no family"), choices("df method", "method", "none")].filter(Boolean));
  const count = el("p", { class: "count", role: "status" });
  const table = el("table", { class: "forest" });
  body.append(controls, count, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tested effects" }, table));

  function fits(row) {
    const text = [row.title, row.outcome, row.term, row.role, row.family, row.method, row.flags].join(" ").toLowerCase();
    return row.unit === state.unit && state.words.split(/\s+/).every((word) => text.includes(word)) &&
      ["role", "family", "method"].every((key) => state[key] === "" || row[key] === (state[key] === "\u0000" ? "" : state[key]));
  }
  function steps(low, high) {
    const rough = (high - low) / 4;
    const ten = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map((one) => one * ten).find((one) => one >= rough);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high; at += 1) { found.push(at * step); }
    return found;
  }
  const HEADS = [["title", "effect"], ["role", "role"], ["", "interval"], ["estimate", "estimate"], ["p", "p"], ["adjusted", "adjusted p"], ["method", "df (method)"]];
  function draw() {
    const own = data.rows.filter((row) => row.unit === state.unit);
    const ends = own.flatMap((row) => [row.low, row.high, row.estimate, 0]).filter(Number.isFinite);
    let low = Math.min(...ends); let high = Math.max(...ends);
    if (low === high) { low -= 1; high += 1; }
    const room = (high - low) * 0.05; low -= room; high += room;
    const x = (value) => (value - low) / (high - low) * WIDTH;
    const rows = own.filter(fits);
    if (state.sort) {
      rows.sort((a, b) => {
        const first = a[state.sort]; const second = b[state.sort];
        if (typeof first === "string" || typeof second === "string") { return (state.down ? -1 : 1) * String(first).localeCompare(String(second)); }
        if (!Number.isFinite(first) || !Number.isFinite(second)) { return Number.isFinite(first) ? -1 : Number.isFinite(second) ? 1 : 0; }
        return (state.down ? -1 : 1) * (first - second);
      });
    }
    count.textContent = rows.length + " of " + own.length + " rows" + (state.unit ? " (" + state.unit + ")" : "") + ".";
    const head = el("tr", {});
    HEADS.forEach(([key, words], i) => {
      const cell = el("th", { scope: "col", class: i > 2 && i < 6 ? "num" : "", "aria-sort": key && state.sort === key ? (state.down ? "descending" : "ascending") : null });
      if (key) {
        cell.append(el("button", { type: "button", "data-sort-by": key, on: { click: () => {
          state.down = state.sort === key ? !state.down : false;
          state.sort = key;
          draw();
          table.querySelector("[data-sort-by=" + key + "]").focus();
        } } }, words));
      } else {
        const axis = drawn("svg", { width: WIDTH, height: 16, viewBox: "0 0 " + WIDTH + " 16", "aria-hidden": "true" });
        steps(low + room / 2, high - room / 2).forEach((at) => axis.append(drawn("text", { x: Math.max(12, Math.min(WIDTH - 12, x(at))), y: 12, "text-anchor": "middle", class: "tick" }, number(Number(at.toPrecision(6)), 2))));
        cell.append(el("span", { class: "hidden" }, "interval, drawn"), axis);
      }
      head.append(cell);
    });
    const lines = el("tbody", {});
    rows.forEach((row) => {
      const picture = drawn("svg", { width: WIDTH, height: 20, viewBox: "0 0 " + WIDTH + " 20", "aria-hidden": "true", class: "effect" });
      picture.append(drawn("line", { x1: x(0), x2: x(0), y1: 0, y2: 20, class: "zero" }));
      if (Number.isFinite(row.low) && Number.isFinite(row.high)) { picture.append(drawn("line", { x1: x(row.low), x2: x(row.high), y1: 10, y2: 10, class: "ci" })); }
      if (Number.isFinite(row.estimate)) { picture.append(drawn("circle", { cx: x(row.estimate), cy: 10, r: row.declared ? 4.5 : 3.2 })); }
      const effect = el("td", {}, row.title, el("span", { class: "sub" }, row.term + (row.outcome && !row.title.includes(row.outcome) && !row.term.includes(row.outcome) ? ", " + row.outcome : "")));
      if (row.flags && !row.declared) { effect.append(el("span", { class: "sub" }, row.flags)); }
      const adjusted = el("td", { class: "num" }, pValue(row.adjusted));
      if (row.adjustment) { adjusted.append(el("span", { class: "sub" }, row.adjustment + (row.family ? ", family " + row.family : ""))); }
      lines.append(el("tr", { class: (row.declared ? "own" : "beside") + " of-" + row.role.replace(/ /g, "-") }, effect, el("td", {}, row.role), el("td", {}, picture),
        el("td", { class: "num" }, number(row.estimate), el("span", { class: "sub" }, "[" + number(row.low) + ", " + number(row.high) + "]")),
        el("td", { class: "num" }, pValue(row.p)), adjusted,
        el("td", {}, (Number.isFinite(row.df) ? number(row.df) : "–") + (row.method ? " (" + row.method + ")" : ""))));
    });
    table.replaceChildren(el("caption", {}, "Tested effects" + (state.unit ? " in " + state.unit : "")), el("thead", {}, head), lines);
  }
  draw();
};
