
/* Charts by Vega. Expressions are interpreted, never compiled, so that the page's policy needs no
   unsafe-eval; nothing can be loaded; tips and tools bring no style of their own. A chart is drawn
   once it comes near the window, and again when the theme or its width changes. */
(() => {
  "use strict";
  const { kinds, el, colour, repaint } = Live;
  const refuse = () => Promise.reject(new Error("This page loads nothing."));
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };
  /* The palette's neutral colours, and the page's word for each. */
  const NEUTRAL = { "#1b1f24": "--ink", "#5b6470": "--muted", "#d3d8de": "--line", "#fdfdfe": "--paper" };

  /* In the dark the palette's deep blue is lifted, less than to the light blue beside it. */
  function themed(plain) {
    const text = Live.dark() ? plain.split('"#0072b2"').join('"#3a9ae0"') : plain;
    return Object.keys(NEUTRAL).reduce((made, one) => made.split('"' + one + '"').join(JSON.stringify(colour(NEUTRAL[one]))), text);
  }
  function config() {
    const ink = colour("--ink"), muted = colour("--muted"), line = colour("--line");
    const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
    return {
      background: null, font,
      view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, domainColor: muted, tickColor: muted, gridColor: line, labelFontSize: 11.5, titleFontSize: 12, titleFontWeight: 500 },
      legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, symbolSize: 80 },
      title: { color: ink, subtitleColor: muted, fontSize: 12.5, subtitleFontSize: 11.5, anchor: "start" }
    };
  }
  /* Long names of rows take no more than half of a narrow screen. */
  function shortened(spec, room) {
    (spec.layer || []).forEach((one) => {
      const axis = one.encoding && one.encoding.y && one.encoding.y.axis;
      if (axis && axis.labelLimit) { axis.labelLimit = Math.min(axis.labelLimit, room * 0.48); }
    });
    return spec;
  }
  /* Panels side by side take as many columns as there is room for. */
  function fitted(spec, room) {
    if (!spec.concat) { return shortened(spec, room); }
    const wide = Math.max(...spec.concat.map((one) => one.width || 200)) + 75;
    spec.columns = Math.max(1, Math.min(spec.columns || 99, Math.floor(room / wide)));
    if (spec.columns === 1) { spec.concat.forEach((one) => { one.width = Math.min(one.width, room - 75); }); }
    return spec;
  }
  kinds.vega = (body, data, box) => {
    const place = el("div", { class: "chart" });
    body.append(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Chart: " + box.dataset.title }, place));
    const folded = box.parentElement.querySelector(":scope > details.static");
    if (folded) { folded.removeAttribute("open"); }
    const text = JSON.stringify(data.spec);
    let view = null, drawn = 0, seen = false, turn = 0;
    function draw() {
      const room = body.clientWidth;
      if (!seen || room < 60) { return; }
      drawn = room;
      const held = place.clientHeight;
      if (held) { place.style.minHeight = held + "px"; }
      const spec = fitted(JSON.parse(themed(text)), room);
      spec.config = Object.assign({}, config(), spec.config && spec.config.keep);
      if (view) { view.finalize(); view = null; }
      const mine = ++turn;
      vegaEmbed(place, spec, {
        ast: true, actions: false, renderer: "svg", defaultStyle: false, loader,
        tooltip: { disableDefaultStyle: true }, logLevel: 1
      }).then((made) => {
        /* Theme or width changed while this one was drawn: the later drawing has the place. */
        if (mine !== turn) { made.finalize(); return; }
        view = made; place.style.minHeight = ""; place.classList.add("drawn");
        /* Where the menus and fields stand, so that a reader of keys finds them before the drawing. */
        const form = place.querySelector(".vega-bindings");
        if (form) { form.classList.add("filters"); place.prepend(form); }
      });
    }
    new IntersectionObserver((entries, watcher) => {
      if (entries.some((one) => one.isIntersecting)) { seen = true; watcher.disconnect(); draw(); }
    }, { rootMargin: "500px" }).observe(box);
    let dark = Live.dark();
    repaint(() => { if (Live.dark() !== dark || Math.abs(body.clientWidth - drawn) > 8) { dark = Live.dark(); draw(); } });
  };
})();
