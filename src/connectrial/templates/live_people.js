
/* One person in all figures. A group that holds several people has one mark (use, path) for each. */
(() => {
  "use strict";
  let index = null;
  let kept = "";
  let shown = "";
  const boxes = [];
  function marks() {
    if (index) { return index; }
    index = new Map();
    document.querySelectorAll("[data-who]").forEach((group) => {
      const people = group.getAttribute("data-who").split(" ");
      const parts = people.length === 1 ? [group] : Array.from(group.querySelectorAll("use"));
      if (people.length > 1 && parts.length !== people.length) { return; }
      people.forEach((who, i) => {
        if (!index.has(who)) { index.set(who, []); }
        index.get(who).push(parts[i]);
        parts[i].classList.add("who");
        parts[i].dataset.one = who;
      });
    });
    return index;
  }
  function show(who) {
    if (who === shown) { return; }
    (marks().get(shown) || []).forEach((part) => part.classList.remove("who-on"));
    (marks().get(who) || []).forEach((part) => part.classList.add("who-on"));
    document.documentElement.classList.toggle("who-chosen", Boolean(who));
    shown = who;
  }
  function keep(who) {
    kept = who;
    show(who);
    boxes.forEach(({ box, words }) => {
      box.value = who;
      words.textContent = who ? "Person " + who + " stands out in " + new Set(marks().get(who).map((part) => part.closest("figure"))).size + " figures." : "";
    });
  }
  function under(event) {
    const part = event.target.closest ? event.target.closest(".who") : null;
    return part ? part.dataset.one : "";
  }
  Live.kinds.people = (body, data) => {
    if (!boxes.length) {
      marks();
      document.addEventListener("pointerover", (event) => show(under(event) || kept));
      document.addEventListener("click", (event) => {
        const who = under(event);
        if (who) { keep(who === kept ? "" : who); }
      });
      document.addEventListener("keydown", (event) => { if (event.key === "Escape" && kept) { keep(""); } });
    }
    const choice = Live.select("Highlight", [["", "nobody"]].concat(data.people.map((who) => [who, "person " + who])), keep);
    const words = Live.el("span", { class: "count", role: "status" });
    boxes.push({ box: choice.box, words });
    body.append(Live.el("div", { class: "filters" }, choice.label, words));
  };
})();
