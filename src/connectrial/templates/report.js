(function () {
  "use strict";
  var root = document.documentElement;
  function all(selector, inside) { return Array.prototype.slice.call((inside || document).querySelectorAll(selector)); }

  /* Theme: what the reader chose before, else what the system prefers. Storage may be forbidden. */
  function remember(value) { try { localStorage.setItem("connectrial-theme", value); } catch (e) { /* not kept, no harm */ } }
  function remembered() { try { return localStorage.getItem("connectrial-theme"); } catch (e) { return null; } }
  var stored = remembered();
  if (stored === "light" || stored === "dark") { root.setAttribute("data-theme", stored); }
  document.getElementById("theme").addEventListener("click", function () {
    var dark = root.getAttribute("data-theme") ? root.getAttribute("data-theme") === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
    var next = dark ? "light" : "dark";
    root.setAttribute("data-theme", next);
    remember(next);
  });

  /* Contents: closed on small screens, the section in view marked. */
  var box = document.getElementById("toc-box");
  if (box && window.matchMedia("(max-width: 60rem)").matches) { box.removeAttribute("open"); }
  var links = {};
  all(".toc a").forEach(function (link) {
    links[link.getAttribute("href").slice(1)] = link;
    link.addEventListener("click", function () {
      if (window.matchMedia("(max-width: 60rem)").matches) { box.removeAttribute("open"); }
    });
  });
  if ("IntersectionObserver" in window) {
    var watcher = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (!entry.isIntersecting) { return; }
        Object.keys(links).forEach(function (key) {
          links[key].classList.toggle("here", key === entry.target.id);
          if (key === entry.target.id) { links[key].setAttribute("aria-current", "true"); }
          else { links[key].removeAttribute("aria-current"); }
        });
      });
    }, { rootMargin: "-12% 0px -75% 0px" });
    all("section[id]").forEach(function (section) { watcher.observe(section); });
  }

  /* Sorting: by the number behind a cell where there is one; cells without a value stay last. */
  all("table.sortable").forEach(function (table) {
    all("thead th", table).forEach(function (head, column) {
      var button = head.querySelector("button");
      if (!button) { return; }
      button.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") === "ascending";
        all("thead th", table).forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        var numeric = head.classList.contains("num");
        var rows = all("tbody tr", table).map(function (row, i) {
          var cell = row.cells[column];
          var raw = cell.getAttribute("data-sort");
          var value = numeric ? parseFloat(raw !== null ? raw : cell.textContent.replace("\u2212", "-")) : cell.textContent;
          return { row: row, value: value, i: i, empty: numeric ? isNaN(value) : value.trim() === "" };
        });
        rows.sort(function (a, b) {
          if (a.empty || b.empty) { return a.empty === b.empty ? a.i - b.i : (a.empty ? 1 : -1); }
          var order = numeric ? a.value - b.value : a.value.localeCompare(b.value, undefined, { numeric: true });
          return (down ? -order : order) || a.i - b.i;
        });
        rows.forEach(function (item) { table.tBodies[0].appendChild(item.row); });
      });
    });
  });

  /* Filtering: every word must occur; role and declared rows by their own controls. */
  all(".filterable").forEach(function (area) {
    var text = area.querySelector(".filter-text");
    var role = area.querySelector(".filter-role");
    var declared = area.querySelector(".filter-declared");
    var count = area.querySelector(".count");
    var rows = all("tbody tr", area).map(function (row) { return { row: row, words: row.textContent.toLowerCase(), role: row.cells[1].textContent.trim() }; });
    function apply() {
      var words = text.value.toLowerCase().split(/\s+/);
      var shown = 0;
      rows.forEach(function (item) {
        var fits = words.every(function (word) { return item.words.indexOf(word) >= 0; }) &&
          (!role || !role.value || item.role === role.value) &&
          (!declared || !declared.checked || item.row.classList.contains("declared"));
        item.row.hidden = !fits;
        if (fits) { shown += 1; }
      });
      count.textContent = shown + " of " + rows.length + " rows";
    }
    [text, role, declared].forEach(function (control) { if (control) { control.addEventListener("input", apply); } });
    apply();
  });

  /* Copying: the clipboard where the browser lets us, else a selection that Ctrl+C takes. */
  all(".copy-button").forEach(function (button) {
    button.addEventListener("click", function () {
      var source = button.closest(".copy").querySelector(".copy-text");
      var words = all("p", source).map(function (line) { return line.textContent; }).join("\n\n");
      function done(message) { button.textContent = message; setTimeout(function () { button.textContent = "Copy"; }, 1600); }
      function select() {
        var range = document.createRange();
        range.selectNodeContents(source);
        var selection = window.getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        try { done(document.execCommand("copy") ? "Copied" : "Press Ctrl+C"); } catch (e) { done("Press Ctrl+C"); }
      }
      if (navigator.clipboard && navigator.clipboard.writeText) {
        navigator.clipboard.writeText(words).then(function () { done("Copied"); }, select);
      } else { select(); }
    });
  });

  /* Printing opens what a reader of paper must see (who is left out and why), and folds it again. */
  document.getElementById("print").addEventListener("click", function () { window.print(); });
  var folded = [];
  window.addEventListener("beforeprint", function () {
    folded = all("section details.printed:not([open])");
    folded.forEach(function (item) { item.setAttribute("open", ""); });
  });
  window.addEventListener("afterprint", function () { folded.forEach(function (item) { item.removeAttribute("open"); }); folded = []; });
}());
