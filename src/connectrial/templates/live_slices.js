
/* Maps over voxels in three planes. A map is a grey picture; its codes are coloured here. */
Live.kinds.slices = (body, data) => {
  "use strict";
  const { el, number } = Live;
  const [nx, ny, nz] = data.shape;
  const across = Math.ceil(Math.sqrt(nz));
  const state = { map: 0, at: [nx >> 1, ny >> 1, nz >> 1], threshold: 0, codes: null, passing: null };
  const limits = {};
  data.maps.forEach((map) => { limits[map.scale] = Math.max(limits[map.scale] || 0, map.limit); });
  function picture(png, done) {
    const image = new Image();
    image.onload = () => {
      const sheet = document.createElement("canvas");
      sheet.width = image.width; sheet.height = image.height;
      const ink = sheet.getContext("2d", { willReadFrequently: true });
      ink.drawImage(image, 0, 0);
      const rgba = ink.getImageData(0, 0, image.width, image.height).data;
      const codes = new Uint8Array(nx * ny * nz);
      for (let z = 0; z < nz; z += 1) {
        const top = Math.floor(z / across) * ny; const left = (z % across) * nx;
        for (let y = 0; y < ny; y += 1) { for (let x = 0; x < nx; x += 1) { codes[x + nx * (y + ny * z)] = rgba[4 * ((top + y) * image.width + left + x)]; } }
      }
      done(codes);
    };
    image.src = "data:image/png;base64," + png;
  }
  function load() {
    const map = data.maps[state.map];
    const wanted = state.map;
    state.passing = null;
    if (map.passing) { picture(map.passing, (codes) => { if (wanted === state.map) { state.passing = codes; paint(); } }); }
    picture(map.png, (codes) => { if (wanted === state.map) { state.codes = codes; state.threshold = 0; slider.value = 0; paint(); } });
  }
  const choice = Live.select("Map", data.maps.map((map, i) => [i, map.title]), (value) => { state.map = Number(value); load(); });
  const slider = el("input", { type: "range", min: 0, max: 100, value: 0, on: { input: () => { state.threshold = Number(slider.value) / 100 * limits[data.maps[state.map].scale]; paint(); } } });
  const least = el("span", { class: "count" });
  const controls = el("div", { class: "filters" }, choice.label, el("label", {}, "Hide |value| below ", slider), least);
  const NAMES = ["left to right", "back to front", "down to up"];
  const planes = el("div", { class: "filters" });
  const movers = ["x", "y", "z"].map((name, axis) => {
    const mover = el("input", { type: "range", min: 0, max: data.shape[axis] - 1, value: state.at[axis], on: { input: () => { state.at[axis] = Number(mover.value); paint(); } } });
    planes.append(el("label", { title: NAMES[axis] }, name + " ", mover));
    return mover;
  });
  const canvas = el("canvas", { role: "img" });
  const read = el("p", { class: "count", role: "status" });
  const legend = el("canvas", { class: "legend", "aria-hidden": "true" });
  body.append(controls, planes, canvas, read, legend);

  const step = data.mm.map((one) => (one.length > 1 ? Math.abs(one[1] - one[0]) : 1));
  const VIEWS = [[0, 1, 2], [0, 2, 1], [1, 2, 0]]; /* axial, coronal, sagittal: across, upwards, fixed */
  let placed = [];
  function value(index) {
    const map = data.maps[state.map];
    const code = state.codes[index];
    return code < 2 ? NaN : map.low + (code - 2) * map.step;
  }
  function paint() {
    if (!state.codes) { return; }
    const map = data.maps[state.map];
    const top = limits[map.scale];
    const hue = Live.ramp();
    const grey = Live.dark() ? [62, 69, 78, 255] : [218, 221, 226, 255];
    const wide = VIEWS.map(([u]) => data.shape[u] * step[u]); const high = VIEWS.map(([, v]) => data.shape[v] * step[v]);
    const room = body.clientWidth || 640;
    const narrow = room < 560;
    const scale = narrow ? Math.min(room / Math.max(...wide), 4) : Math.min((room - 24) / (wide[0] + wide[1] + wide[2]), 6);
    const width = narrow ? Math.max(...wide) * scale : (wide[0] + wide[1] + wide[2]) * scale + 24;
    const height = narrow ? (high[0] + high[1] + high[2]) * scale + 24 : Math.max(...high) * scale;
    const draw = Live.pen(canvas, width, height);
    placed = [];
    let x0 = 0; let y0 = 0;
    VIEWS.forEach(([u, v, w], view) => {
      const nu = data.shape[u]; const nv = data.shape[v];
      const stride = [1, nx, nx * ny];
      const base = state.at[w] * stride[w];
      const sheet = document.createElement("canvas");
      sheet.width = nu; sheet.height = nv;
      const ink = sheet.getContext("2d");
      const cells = ink.createImageData(nu, nv);
      for (let j = 0; j < nv; j += 1) {
        for (let i = 0; i < nu; i += 1) {
          const index = base + i * stride[u] + j * stride[v];
          if (state.codes[index] === 0) { continue; }
          const own = value(index);
          cells.data.set(Number.isFinite(own) && Math.abs(own) >= state.threshold ? [...hue(own / top), 255] : grey, 4 * ((nv - 1 - j) * nu + i));
        }
      }
      ink.putImageData(cells, 0, 0);
      const w0 = wide[view] * scale; const h0 = high[view] * scale;
      draw.imageSmoothingEnabled = false;
      draw.drawImage(sheet, x0, y0, w0, h0);
      const cu = w0 / nu; const cv = h0 / nv;
      if (state.passing) {
        draw.beginPath();
        const inside = (i, j) => i >= 0 && j >= 0 && i < nu && j < nv && state.passing[base + i * stride[u] + j * stride[v]] > 0;
        for (let j = 0; j < nv; j += 1) {
          for (let i = 0; i < nu; i += 1) {
            if (!inside(i, j)) { continue; }
            const x = x0 + i * cu; const y = y0 + (nv - 1 - j) * cv;
            if (!inside(i - 1, j)) { draw.moveTo(x, y); draw.lineTo(x, y + cv); }
            if (!inside(i + 1, j)) { draw.moveTo(x + cu, y); draw.lineTo(x + cu, y + cv); }
            if (!inside(i, j + 1)) { draw.moveTo(x, y); draw.lineTo(x + cu, y); }
            if (!inside(i, j - 1)) { draw.moveTo(x, y + cv); draw.lineTo(x + cu, y + cv); }
          }
        }
        /* Ink on paper, so that the line shows on any colour. */
        draw.strokeStyle = Live.colour("--paper"); draw.lineWidth = 3.4; draw.stroke();
        draw.strokeStyle = Live.colour("--ink"); draw.lineWidth = 1.5; draw.stroke();
      }
      draw.strokeStyle = Live.colour("--accent"); draw.globalAlpha = 0.65; draw.lineWidth = 1; draw.beginPath();
      const cx = x0 + (state.at[u] + 0.5) * cu; const cy = y0 + (nv - 0.5 - state.at[v]) * cv;
      draw.moveTo(cx, y0); draw.lineTo(cx, y0 + h0); draw.moveTo(x0, cy); draw.lineTo(x0 + w0, cy); draw.stroke();
      draw.globalAlpha = 1; draw.fillStyle = Live.colour("--muted"); draw.textBaseline = "top";
      draw.fillText(["x", "y", "z"][w] + " = " + Math.round(data.mm[w][state.at[w]]), x0 + 2, y0 + 2);
      placed.push({ x0, y0, w0, h0, u, v, nu, nv });
      if (narrow) { y0 += h0 + 12; } else { x0 += w0 + 12; }
    });
    const index = state.at[0] + nx * (state.at[1] + ny * state.at[2]);
    movers.forEach((mover, axis) => { mover.value = state.at[axis]; mover.setAttribute("aria-valuetext", Math.round(data.mm[axis][state.at[axis]]) + " mm"); });
    const own = value(index);
    const passes = state.passing && state.passing[index] > 0 ? ", passes" : "";
    const where = ["x", "y", "z"].map((name, axis) => name + " " + Math.round(data.mm[axis][state.at[axis]])).join(", ").replace(/-/g, "−") + " mm";
    read.textContent = where + ": " + (Number.isFinite(own) ? map.scale + " " + number(own) + passes : "no value");
    least.textContent = state.threshold ? number(state.threshold, 2) : "nothing hidden";
    canvas.setAttribute("aria-label", map.title + " in three planes at " + where);
    const bar = Live.pen(legend, 320, 30);
    for (let i = 0; i < 200; i += 1) { bar.fillStyle = "rgb(" + hue(i / 100 - 1).join(",") + ")"; bar.fillRect(20 + i, 2, 1.5, 10); }
    bar.fillStyle = Live.colour("--muted"); bar.textAlign = "center"; bar.textBaseline = "top";
    [[-top, 20], [0, 120], [top, 220]].forEach(([one, at]) => bar.fillText(number(one, 2), at, 15));
    bar.textAlign = "left"; bar.fillText(map.scale, 232, 1, 86);
  }
  function move(event) {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left; const y = event.clientY - box.top;
    const plane = placed.find((one) => x >= one.x0 && y >= one.y0 && x < one.x0 + one.w0 && y < one.y0 + one.h0);
    if (!plane) { return; }
    state.at[plane.u] = Math.min(plane.nu - 1, Math.floor((x - plane.x0) / plane.w0 * plane.nu));
    state.at[plane.v] = Math.max(0, plane.nv - 1 - Math.floor((y - plane.y0) / plane.h0 * plane.nv));
    paint();
  }
  canvas.addEventListener("pointerdown", move);
  canvas.addEventListener("pointermove", (event) => { if (event.buttons === 1) { move(event); } });
  load();
  Live.repaint(paint);
};
