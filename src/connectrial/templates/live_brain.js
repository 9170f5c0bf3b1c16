
/* Parcels and the edges between them, turned by dragging or by arrow keys. */
Live.kinds.brain = (body, data) => {
  "use strict";
  const { el } = Live;
  const VIEWS = { "from above": [0, 0], "from behind": [0, -90], "from the right": [-90, -90] };
  const state = { turn: -35, tilt: -60 };
  const middle = [0, 1, 2].map((axis) => {
    const own = data.places.map((place) => place[axis]);
    return (Math.min(...own) + Math.max(...own)) / 2;
  });
  const reach = Math.max(...data.places.map((place) => Math.hypot(...place.map((one, axis) => one - middle[axis])))) || 1;
  const held = new Set(data.edges.flatMap(([a, b]) => [a, b]));
  const most = Math.max(...data.edges.map(([, , t]) => Math.abs(t)), 1e-9);
  const canvas = el("canvas", { tabindex: 0, role: "img" });
  const controls = el("div", { class: "filters" });
  Object.keys(VIEWS).forEach((name) => controls.append(el("button", { type: "button", class: "view", on: { click: () => { [state.turn, state.tilt] = VIEWS[name]; paint(); } } }, name)));
  const read = el("p", { class: "count", role: "status" });
  body.append(controls, canvas, read);
  let seen = [];
  function paint() {
    const size = Math.min(460, body.clientWidth || 460);
    const draw = Live.pen(canvas, size, size);
    const turn = state.turn * Math.PI / 180; const tilt = state.tilt * Math.PI / 180;
    const scale = size / 2 / reach * 0.93;
    /* First about the vertical axis of the head, then towards the reader; depth is towards the reader. */
    seen = data.places.map((place) => {
      const [x, y, z] = place.map((one, axis) => one - middle[axis]);
      const u = x * Math.cos(turn) - y * Math.sin(turn);
      const v = x * Math.sin(turn) + y * Math.cos(turn);
      return [size / 2 + u * scale, size / 2 - (v * Math.cos(tilt) - z * Math.sin(tilt)) * scale, v * Math.sin(tilt) + z * Math.cos(tilt)];
    });
    const near = (depth) => 0.35 + 0.65 * (depth / reach + 1) / 2;
    draw.fillStyle = Live.colour("--muted");
    seen.forEach(([x, y, depth], i) => {
      draw.globalAlpha = near(depth) * (held.has(i) ? 1 : 0.75);
      draw.beginPath(); draw.arc(x, y, held.has(i) ? 4 : 2.2, 0, 7); draw.fill();
    });
    const order = data.edges.map((edge) => [edge, seen[edge[0]][2] + seen[edge[1]][2]]).sort((a, b) => a[1] - b[1]);
    order.forEach(([[a, b, t], depth]) => {
      draw.globalAlpha = near(depth / 2) * 0.85;
      draw.strokeStyle = Live.colour(t > 0 ? "--red" : "--blue");
      draw.setLineDash(t > 0 ? [] : [4, 3]);
      draw.lineWidth = 0.8 + 2 * Math.abs(t) / most;
      draw.beginPath(); draw.moveTo(seen[a][0], seen[a][1]); draw.lineTo(seen[b][0], seen[b][1]); draw.stroke();
    });
    draw.setLineDash([]); draw.globalAlpha = 1; draw.fillStyle = Live.colour("--muted");
    [["R", [reach, 0, 0]], ["L", [-reach, 0, 0]], ["front", [0, reach, 0]]].forEach(([word, [x, y, z]]) => {
      const u = x * Math.cos(turn) - y * Math.sin(turn); const v = x * Math.sin(turn) + y * Math.cos(turn);
      draw.textAlign = "center"; draw.fillText(word, size / 2 + u * scale * 0.98, size / 2 - (v * Math.cos(tilt) - z * Math.sin(tilt)) * scale * 0.98);
    });
    canvas.setAttribute("aria-label", data.edges.length + " edges between " + held.size + " parcels, turned by " + Math.round(state.turn) + " and tilted by " + Math.round(state.tilt) + " degrees; arrow keys turn it.");
  }
  function rotate(turn, tilt) { state.turn = (state.turn + turn + 540) % 360 - 180; state.tilt = Math.max(-180, Math.min(0, state.tilt + tilt)); paint(); }
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons === 1) { rotate(event.movementX / 2, -event.movementY / 2); return; }
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left; const y = event.clientY - box.top;
    let best = -1; let far = 9;
    seen.forEach(([u, v], i) => { const away = Math.hypot(u - x, v - y); if (away < far) { far = away; best = i; } });
    read.textContent = best < 0 ? "" : data.parcels[best] + (held.has(best) ? ": " + data.edges.filter(([a, b]) => a === best || b === best).length + " edges" : "");
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, 8], ArrowDown: [0, -8] }[event.key];
    if (!steps) { return; }
    event.preventDefault();
    rotate(...steps);
  });
  paint();
  Live.repaint(paint);
};
