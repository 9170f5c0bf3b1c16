
/* What all interactive forms share. Text from tables is set as text, never parsed as markup. */
const Live = (() => {
  "use strict";
  const kinds = {};
  const repaints = [];
  const root = document.documentElement;

  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    Object.entries(attributes || {}).forEach(([name, value]) => {
      if (name === "on") { Object.entries(value).forEach(([event, run]) => made.addEventListener(event, run)); }
      else if (value !== null && value !== undefined && value !== false) { made.setAttribute(name, value === true ? "" : value); }
    });
    made.append(...children);
    return made;
  }
  let last = 0;
  function fresh(word) { last += 1; return "live-" + word + "-" + last; }

  /* Steps to numbers; the highest code is a missing number. Little-endian, as every browser's machine is. */
  function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed.data), (sign) => sign.charCodeAt(0));
    const codes = packed.bits === 8 ? bytes : new Uint16Array(bytes.buffer);
    const missing = packed.bits === 8 ? 255 : 65535;
    const values = new Float32Array(codes.length);
    for (let i = 0; i < codes.length; i += 1) { values[i] = codes[i] === missing ? NaN : packed.low + codes[i] * packed.step; }
    return values;
  }
  function number(value, digits = 3) {
    if (!Number.isFinite(value)) { return "–"; }
    const size = Math.abs(value);
    const text = size === 0 ? "0" : size >= 1e5 || size < 1e-4 ? value.toExponential(digits - 1)
      : value.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
    return text.replace("-", "−");
  }
  function pValue(p) {
    if (!Number.isFinite(p)) { return "–"; }
    if (p < 0.0001) { return p <= 1e-15 ? "< 1e-15" : p.toExponential(1).replace("-", "−"); }
    return p.toPrecision(2).replace(/^0/, "");
  }
  function colour(name) { return getComputedStyle(root).getPropertyValue(name).trim(); }
  function dark() {
    const set = root.getAttribute("data-theme");
    return set ? set === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
  }
  /* Blue below zero, red above; the middle is the paper, so that nothing glows in the dark. */
  const RAMPS = {
    light: [[5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [247, 247, 247], [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31]],
    dark: [[198, 226, 255], [120, 184, 240], [66, 138, 204], [38, 84, 130], [33, 39, 46], [130, 58, 40], [206, 92, 62], [250, 142, 110], [255, 214, 196]]
  };
  function ramp() {
    const stops = RAMPS[dark() ? "dark" : "light"];
    return (share) => {
      const at = (Math.max(-1, Math.min(1, share)) + 1) / 2 * (stops.length - 1);
      const from = Math.min(stops.length - 2, Math.floor(at));
      return stops[from].map((one, i) => Math.round(one + (at - from) * (stops[from + 1][i] - one)));
    };
  }
  function percentile(values, share) {
    const known = Array.from(values).filter((one) => Number.isFinite(one) && one !== 0).map(Math.abs).sort((a, b) => a - b);
    return known.length ? known[Math.min(known.length - 1, Math.floor(share * known.length))] || 1 : 1;
  }
  function select(words, options, change) {
    const box = el("select", { on: { change: () => change(box.value) } });
    options.forEach(([value, text]) => box.append(el("option", { value }, text)));
    return { box, label: el("label", {}, words + " ", box) };
  }
  function repaint(run) { repaints.push(run); }
  /* A canvas as sharp as the screen; returns its pen, one unit being one CSS pixel. */
  function pen(canvas, width, height) {
    const sharp = Math.min(3, window.devicePixelRatio || 1);
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    const made = canvas.getContext("2d");
    made.setTransform(sharp, 0, 0, sharp, 0, 0);
    made.font = "11px system-ui, sans-serif";
    return made;
  }
  function start() {
    document.querySelectorAll(".live[data-live]").forEach((box) => {
      const make = kinds[box.dataset.live];
      if (!make) { return; }
      const data = JSON.parse(box.dataset.json);
      box.removeAttribute("data-json");
      box.hidden = false;
      const title = el("p", { id: fresh("title"), class: "live-title" }, box.dataset.title);
      box.setAttribute("role", "group");
      box.setAttribute("aria-labelledby", title.id);
      const body = el("div", { class: "live-body" });
      box.append(title, body, el("p", { class: "how" }, el("span", {}, "How to use it."), " " + box.dataset.how));
      make(body, data, box);
    });
    const again = () => repaints.forEach((run) => run());
    new MutationObserver(again).observe(root, { attributes: true, attributeFilter: ["data-theme"] });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    let waiting = 0;
    window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(again, 120); });
  }
  document.addEventListener("DOMContentLoaded", start);
  return { kinds, el, fresh, unpack, number, pValue, colour, dark, ramp, percentile, select, repaint, pen };
})();
