
/* Maps on the cortex, by the viewer that nilearn brings (niivue), whose script stands in the page once.
   Meshes lie in the first form alone. Drawn once the form comes near the window: it needs WebGL. */
(() => {
  "use strict";
  const { kinds, el, number, unpack, select, ramp, colour, repaint } = Live;
  const VIEWS = { left: [90, 0], right: [270, 0], front: [180, 0], behind: [0, 0], above: [0, 90], below: [180, -90] };
  const SIDES = ["left", "right"];
  let cortex = null;

  /* MZ3: faces and points, or one number for each point. */
  function mz3(attribute, faces, points, scalars) {
    const size = 16 + 4 * (faces.length + points.length + scalars.length);
    const view = new DataView(new ArrayBuffer(size));
    view.setUint16(0, 0x5A4D, true); view.setUint16(2, attribute, true);
    view.setUint32(4, faces.length / 3, true); view.setUint32(8, scalars.length || points.length / 3, true);
    let at = 16;
    faces.forEach((one) => { view.setInt32(at, one, true); at += 4; });
    points.forEach((one) => { view.setFloat32(at, one, true); at += 4; });
    scalars.forEach((one) => { view.setFloat32(at, one, true); at += 4; });
    return new Uint8Array(view.buffer);
  }
  function base64(bytes) {
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) { text += String.fromCharCode(...bytes.subarray(i, i + 8192)); }
    return btoa(text);
  }
  function whole(text) { return new Uint16Array(Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer); }
  function filled(packed) { return unpack(packed).map((one) => (Number.isFinite(one) ? one : 0)); }
  function colours(sign) {
    const made = { R: [], G: [], B: [], A: [], I: [] }, shade = ramp();
    for (let i = 0; i < 256; i += 1) {
      const [red, green, blue] = shade(sign * (0.12 + 0.88 * i / 255));
      made.R.push(red); made.G.push(green); made.B.push(blue); made.A.push(i ? 255 : 0); made.I.push(i);
    }
    return made;
  }
  function ground() {
    const probe = el("span"); probe.style.color = colour("--paper"); document.body.append(probe);
    const parts = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map((one) => Number(one) / 255);
    probe.remove();
    return [...parts, 1];
  }

  kinds.surface = (body, data, box) => {
    if (data.meshes) { cortex = data.meshes; }
    const figures = data.maps.map((one) => ({ ...one, sides: Object.fromEntries(SIDES.map((side) => [side, null])) }));
    let shown = 0, threshold = 0, viewer = null, meshes = [];
    const canvas = el("canvas", { tabindex: "0", class: "cortex", role: "img", "aria-label": box.dataset.title + ". Arrow keys turn it." });
    const told = el("p", { class: "count", "aria-live": "polite" });
    const key = el("p", { class: "key" });
    const chooser = select("Map", figures.map((one, i) => [String(i), one.title]), (value) => { shown = Number(value); show(); });
    const slider = el("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: "0", on: { input: () => { threshold = Number(slider.value); show(); } } });
    const views = Object.keys(VIEWS).map((name) => el("button", { type: "button", class: "view", on: { click: () => turn(...VIEWS[name]) } }, name));
    body.append(el("div", { class: "filters" }, chooser.label, el("label", {}, "Threshold ", slider)), el("div", { class: "filters" }, ...views), el("div", { class: "cortex-stage" }, canvas), key, told);
    canvas.addEventListener("wheel", (event) => event.stopImmediatePropagation(), { capture: true });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10] }[event.key];
      if (!step || !viewer) { return; }
      event.preventDefault(); event.stopImmediatePropagation();
      turn(viewer.scene.renderAzimuth + step[0], Math.max(-90, Math.min(90, viewer.scene.renderElevation + step[1])));
    }, { capture: true });

    function turn(azimuth, elevation) {
      if (!viewer) { return; }
      viewer.setRenderAzimuthElevation((azimuth + 360) % 360, elevation);
      canvas.dataset.azimuth = String((azimuth + 360) % 360);
    }
    function values(one, side) {
      if (!one.sides[side]) { one.sides[side] = filled(one[side]); }
      return one.sides[side];
    }
    function show() {
      const one = figures[shown], least = Math.max(threshold * one.limit, one.limit * 1e-6);
      const stops = [-1, -0.5, 0, 0.5, 1].map((share) => "rgb(" + ramp()(share).join(",") + ")");
      const bar = el("span", { class: "bar" });
      bar.style.background = "linear-gradient(to right," + stops.join(",") + ")";
      key.replaceChildren(number(-one.limit, 2) + " ", bar, " " + number(one.limit, 2) + " " + one.scale);
      const size = SIDES.reduce((sum, side) => sum + values(one, side).filter((x) => Math.abs(x) >= least && x !== 0).length, 0);
      told.textContent = size + " points of the cortex with |" + one.scale + "| of at least " + number(threshold * one.limit, 2) + ".";
      if (!viewer) { return; }
      meshes.forEach((mesh, i) => {
        const layer = mesh.layers[1];
        layer.values = values(one, SIDES[i]);
        layer.cal_min = least; layer.cal_max = one.limit; layer.cal_minNeg = -least; layer.cal_maxNeg = -one.limit;
        mesh.updateMesh(viewer.gl);
      });
      viewer.drawScene();
    }
    async function start() {
      const sharp = document.createElement("canvas").getContext("webgl2");
      if (!sharp || typeof niivue === "undefined") {
        canvas.hidden = true;
        told.textContent = "This browser draws no WebGL; the static figure shows the same maps.";
        return;
      }
      const made = new niivue.Niivue({ show3Dcrosshair: false, backColor: ground(), isOrientCube: false, dragAndDropEnabled: false, logLevel: "error", isColorbar: false, loadingText: "" });
      await made.attachToCanvas(canvas);
      made.addColormap("connectrial-above", colours(1));
      made.addColormap("connectrial-below", colours(-1));
      const one = figures[shown];
      for (const side of SIDES) {
        const mesh = cortex[side], points = unpack(mesh.points), faces = whole(mesh.faces);
        const loaded = await niivue.NVMesh.loadFromFile({
          gl: made.gl, name: side + ".mz3", file: new File([mz3(3, faces, points, [])], side + ".mz3"),
          layers: [
            { name: "depth.mz3", base64: base64(mz3(8, [], [], filled(mesh.depth))), colormap: "gray", opacity: 0.55, useNegativeCmap: false, cal_min: -14, cal_max: 20 },
            { name: "map.mz3", base64: base64(mz3(8, [], [], values(one, side))), opacity: 1, colormap: "connectrial-above", colormapNegative: "connectrial-below", useNegativeCmap: true, cal_min: one.limit * 1e-6, cal_max: one.limit }
          ]
        });
        loaded.layers.forEach((layer) => { layer.colorbarVisible = false; });
        made.addMesh(loaded);
        meshes.push(loaded);
      }
      viewer = made;
      turn(...VIEWS.left);
      show();
      canvas.classList.add("drawn");
      repaint(() => {
        viewer.opts.backColor = ground();
        viewer.addColormap("connectrial-above", colours(1)); viewer.addColormap("connectrial-below", colours(-1));
        show();
      });
    }
    show();
    new IntersectionObserver((entries, watcher) => {
      if (entries.some((one) => one.isIntersecting)) { watcher.disconnect(); start(); }
    }, { rootMargin: "300px" }).observe(box);
  };
})();
