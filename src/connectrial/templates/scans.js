(function () {
  "use strict";
  /* Rating: one scan at a time, in the order of the list; kept in the browser, saved as files. */
  function all(selector, inside) { return Array.prototype.slice.call((inside || document).querySelectorAll(selector)); }
  function at(id) { return document.getElementById(id); }
  var KEY = "connectrial-ratings:" + location.pathname;
  var WORDS = ["good", "uncertain", "bad"];
  var scans = {}, rows = {}, ratings = {}, current = null, isKept = true, isSaved = true;
  all("#viewer > .scan").forEach(function (one) { scans[one.id] = one; });
  all("#scans-table tbody tr").forEach(function (row) { rows[row.getAttribute("data-scan")] = row; });
  if (!Object.keys(scans).length) { return; }
  at("rating").hidden = false;
  document.querySelector(".show").hidden = false;
  document.body.classList.add("one");

  function load() {
    try {
      var found = JSON.parse(localStorage.getItem(KEY) || "{}");
      Object.keys(found).forEach(function (id) {
        if (scans[id] && WORDS.indexOf(found[id].rating) >= 0) { ratings[id] = { rating: found[id].rating, reason: String(found[id].reason || "") }; }
      });
    } catch (e) { isKept = false; }
  }
  function keep() {
    isSaved = false;
    try { localStorage.setItem(KEY, JSON.stringify(ratings)); isKept = true; } catch (e) { isKept = false; }
    at("kept-where").textContent = isKept ? "Ratings are kept in this browser for this file until you forget them."
      : "This browser keeps nothing for this file: save the ratings before you close the page.";
  }
  function order() { return all("#scans-table tbody tr").filter(function (row) { return !row.hidden; }).map(function (row) { return row.getAttribute("data-scan"); }); }

  function showCounts() {
    var count = { good: 0, uncertain: 0, bad: 0 }, total = Object.keys(scans).length, done = 0;
    Object.keys(ratings).forEach(function (id) { count[ratings[id].rating] += 1; done += 1; });
    at("done").value = done;
    at("counts").textContent = done + " of " + total + " rated: " + WORDS.map(function (word) { return count[word] + " " + word; }).join(", ");
    at("save-excluded").disabled = count.bad === 0;
  }
  function showRow(id) {
    var cell = rows[id].querySelector(".rated"), own = ratings[id];
    cell.textContent = "";
    if (own) {
      var word = document.createElement("span");
      word.className = "mark-" + own.rating;
      word.textContent = own.rating;
      cell.appendChild(word);
      if (own.reason) { var why = document.createElement("span"); why.className = "sub"; why.textContent = own.reason; cell.appendChild(why); }
    }
  }
  function showMarks() {
    var own = ratings[current];
    all("[data-rating]").forEach(function (button) { button.setAttribute("aria-pressed", String(!!own && own.rating === button.getAttribute("data-rating"))); });
    at("reason").value = own ? own.reason : "";
  }
  function inView(row) {
    var box = row.closest(".listing"), head = box.querySelector("thead").offsetHeight;
    if (row.offsetTop - head < box.scrollTop) { box.scrollTop = row.offsetTop - head; }
    else if (row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight) { box.scrollTop = row.offsetTop + row.offsetHeight - box.clientHeight; }
  }
  function show(id, scroll) {
    if (!scans[id]) { return; }
    if (current) { scans[current].classList.remove("current"); rows[current].classList.remove("current"); rows[current].removeAttribute("aria-current"); }
    current = id;
    scans[id].classList.add("current");
    rows[id].classList.add("current");
    rows[id].setAttribute("aria-current", "true");
    var places = order(), now = at("now"), line = document.createElement("span");
    now.textContent = scans[id].getAttribute("data-subject") + (scans[id].getAttribute("data-session") ? " · ses-" + scans[id].getAttribute("data-session") : "");
    line.className = "sub";
    line.textContent = places.indexOf(id) < 0 ? "not in the list as shown" : (places.indexOf(id) + 1) + " of " + places.length;
    now.appendChild(line);
    showMarks();
    inView(rows[id]);
    /* Not while the page opens: the browser would scroll past the list. */
    if (document.readyState === "complete") { try { history.replaceState(null, "", "#" + id); } catch (e) { /* the address stays */ } }
    /* Paging keeps the place on the page; only a scan that is hardly in sight is brought up. */
    var top = scans[id].getBoundingClientRect().top;
    if (scroll && (top < 0 || top > window.innerHeight * 0.45)) { scans[id].scrollIntoView({ block: "start" }); }
  }
  function step(by) {
    var places = order();
    if (!places.length) { return; }
    var place = places.indexOf(current);
    show(places[place < 0 ? 0 : (place + by + places.length) % places.length], true);
  }
  function nextUnrated() {
    var places = order(), place = places.indexOf(current), i;
    for (i = 1; i <= places.length; i += 1) {
      var id = places[(place + i + places.length) % places.length];
      if (!ratings[id]) { show(id, true); return; }
    }
    tell("Every scan of the list is rated.");
  }
  function rate(word) {
    if (!current) { return; }
    if (word === null) { delete ratings[current]; } else { ratings[current] = { rating: word, reason: at("reason").value.trim() }; }
    changed(current);
  }
  function changed(id) { keep(); showRow(id); showCounts(); if (id === current) { showMarks(); } }
  function tell(text) { at("told").textContent = text; }

  /* Files. A cell holds no tab, no line end, and nothing that a spreadsheet computes. */
  function cell(text) {
    var plain = String(text).replace(/[\u0000-\u001f\u007f]+/g, " ").trim();
    return /^[=+\-@]/.test(plain) ? "'" + plain : plain;
  }
  function save(name, lines) {
    var url = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/tab-separated-values" }));
    var link = document.createElement("a");
    link.href = url;
    link.download = name;
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(url); }, 4000);
    isSaved = true;
    tell("Saved " + name + ".");
  }
  function who(id) { return [scans[id].getAttribute("data-subject"), scans[id].getAttribute("data-session")]; }
  function inOrder() { return all("#viewer > .scan").map(function (one) { return one.id; }).filter(function (id) { return ratings[id]; }); }
  at("save-excluded").addEventListener("click", function () {
    var bad = inOrder().filter(function (id) { return ratings[id].rating === "bad"; });
    save("exclusions.tsv", ["subject\tsession\treason"].concat(bad.map(function (id) {
      return who(id).map(cell).concat(cell(ratings[id].reason ? "rated bad: " + ratings[id].reason : "rated bad")).join("\t");
    })));
  });
  at("save-all").addEventListener("click", function () {
    save("ratings.tsv", ["subject\tsession\trating\treason"].concat(inOrder().map(function (id) {
      return who(id).map(cell).concat(ratings[id].rating, cell(ratings[id].reason)).join("\t");
    })));
  });
  at("read").addEventListener("change", function () {
    var file = at("read").files[0];
    if (!file) { return; }
    var reader = new FileReader();
    reader.onload = function () {
      var lines = String(reader.result).replace(/^\ufeff/, "").split(/\r?\n/).filter(Boolean);
      var head = (lines.shift() || "").split("\t"), ids = {}, read = 0, unknown = 0;
      var places = ["subject", "session", "rating", "reason"].map(function (name) { return head.indexOf(name); });
      if (places[0] < 0 || places[2] < 0) { tell(file.name + ": has no columns subject and rating; it should be a file that this page saved under All ratings."); return; }
      Object.keys(scans).forEach(function (id) { ids[who(id).map(cell).join("\t")] = id; });
      lines.forEach(function (line) {
        var cells = line.split("\t");
        var id = ids[(cells[places[0]] || "") + "\t" + (places[1] < 0 ? "" : cells[places[1]] || "")], word = cells[places[2]];
        if (!id || WORDS.indexOf(word) < 0) { unknown += 1; return; }
        ratings[id] = { rating: word, reason: (places[3] < 0 ? "" : cells[places[3]] || "").replace(/^'(?=[=+\-@])/, "") };
        changed(id);
        read += 1;
      });
      tell(read + " ratings read from " + file.name + (unknown ? "; " + unknown + " rows are of no scan here, or have no rating" : "") + ".");
      at("read").value = "";
    };
    reader.readAsText(file);
  });
  at("forget").addEventListener("click", function () {
    if (!Object.keys(ratings).length || !window.confirm("Forget all ratings of this page?")) { return; }
    var known = Object.keys(ratings);
    ratings = {};
    known.forEach(changed);
    isSaved = true;
    tell("All ratings are forgotten.");
  });

  all("[data-rating]").forEach(function (button) {
    button.addEventListener("click", function () { rate(button.getAttribute("aria-pressed") === "true" ? null : button.getAttribute("data-rating")); });
  });
  at("reason").addEventListener("input", function () {
    if (ratings[current]) { ratings[current].reason = at("reason").value.trim(); keep(); showRow(current); }
  });
  at("previous").addEventListener("click", function () { step(-1); });
  at("next").addEventListener("click", function () { step(1); });
  at("show").addEventListener("change", function () {
    var wanted = at("show").value;
    Object.keys(rows).forEach(function (id) {
      var own = ratings[id] ? ratings[id].rating : "unrated";
      rows[id].hidden = wanted === "out" ? scans[id].getAttribute("data-fate") === "analysed" : wanted !== "" && own !== wanted;
    });
    var places = order();
    if (places.length && places.indexOf(current) < 0) { show(places[0], false); } else if (current) { show(current, false); }
    if (!places.length) { tell("No scan is left in the list."); }
  });
  Object.keys(rows).forEach(function (id) {
    rows[id].addEventListener("click", function (event) { event.preventDefault(); show(id, true); });
    /* The picture stands in the page once; the list shows the same one, small. */
    var pictures = all(".carpet img", scans[id]), small = document.createElement("img");
    if (pictures.length) {
      small.alt = "";
      small.src = pictures[pictures.length - 1].src;
      small.loading = "lazy";
      small.decoding = "async";
      rows[id].querySelector(".thumb").appendChild(small);
    }
  });
  document.addEventListener("keydown", function (event) {
    var inField = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (inField) {
      if (event.target === at("reason") && (event.key === "Enter" || event.key === "Escape")) { at("reason").blur(); event.preventDefault(); }
      return;
    }
    var keys = { ArrowRight: function () { step(1); }, n: function () { step(1); }, ArrowLeft: function () { step(-1); }, p: function () { step(-1); },
      u: nextUnrated, r: function () { at("reason").focus(); }, "0": function () { rate(null); },
      "1": function () { rate("good"); }, "2": function () { rate("uncertain"); }, "3": function () { rate("bad"); } };
    /* A list that can be scrolled sideways keeps its arrows. */
    if (/^Arrow/.test(event.key) && event.target.closest(".scroll")) { return; }
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  window.addEventListener("hashchange", function () { show(location.hash.slice(1), true); });
  window.addEventListener("beforeunload", function (event) { if (!isKept && !isSaved) { event.preventDefault(); } });

  load();
  Object.keys(ratings).forEach(showRow);
  showCounts();
  at("kept-where").textContent = isKept ? "Ratings are kept in this browser for this file until you forget them."
    : "This browser keeps nothing for this file: save the ratings before you close the page.";
  show(scans[location.hash.slice(1)] ? location.hash.slice(1) : order()[0], !!scans[location.hash.slice(1)]);
}());
