/* The list of jobs: suggestions in the filter bar, ranges by shift-click, the menu of a row. All of it is a comfort. */
(() => {
  "use strict";
  const box = document.querySelector("[data-complete]"), list = document.getElementById("q-options");

  // -- suggestions: a combobox whose list comes from the server; the text is always the person's own
  let options = [], stem = "", at = -1, wait = 0, asking = null;
  Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id })
    .forEach(pair => box.setAttribute(...pair));
  const before = () => box.value.slice(0, box.selectionStart);
  function close() {
    clearTimeout(wait); asking?.abort(); options = []; at = -1;
    list.hidden = true; list.replaceChildren();
    box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant");
  }
  async function suggest() {
    asking?.abort(); asking = new AbortController();
    try {
      const answer = await fetch(`${box.dataset.complete}?q=${encodeURIComponent(before())}`, { signal: asking.signal });
      if (!answer.ok || document.activeElement !== box) return close();
      ({ stem, options } = await answer.json());
    } catch { return; }                                  // asked again meanwhile, or no server: one types on
    if (!options.length || !before().endsWith(stem)) return close();
    at = -1;
    list.replaceChildren(...options.map((option, n) => {
      const line = Object.assign(document.createElement("li"), { id: "q-option-" + n, role: "option" });
      line.setAttribute("aria-selected", "false");
      line.append(Object.assign(document.createElement("b"), { textContent: option.label }),
                  Object.assign(document.createElement("span"), { textContent: option.hint }));
      return line;
    }));
    list.hidden = false;
    box.setAttribute("aria-expanded", "true"); box.removeAttribute("aria-activedescendant");
  }
  function mark(n) {
    list.children[at]?.setAttribute("aria-selected", "false");
    at = (n + options.length) % options.length;
    const line = list.children[at];
    line.setAttribute("aria-selected", "true"); line.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", line.id);
  }
  function take(option) {
    if (option.whole) { box.value = option.text; close(); box.form.requestSubmit(); return; }
    const end = box.selectionStart, start = end - stem.length;
    box.setRangeText(option.text, start, end, "end");
    close();
    if (option.text.endsWith(":")) suggest();
  }
  box.addEventListener("input", event => {
    clearTimeout(wait);
    if (event.isComposing) return;
    if (!before().trim()) { close(); return; }
    wait = setTimeout(suggest, 90);
  });
  box.addEventListener("keydown", event => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const open = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (open) mark(at < 0 && event.key === "ArrowUp" ? -1 : at + (event.key === "ArrowDown" ? 1 : -1)); else suggest();
    } else if (event.key === "Escape" && open) { event.stopPropagation(); event.preventDefault(); close(); }
    else if (event.key === "Enter" && open && at >= 0) { event.preventDefault(); take(options[at]); }
    else if (event.key === "Tab" && !event.shiftKey && open && (at >= 0 || stem)) { event.preventDefault(); take(options[Math.max(at, 0)]); }
  });
  list.addEventListener("pointerdown", event => {          // before the box loses the focus
    const line = event.target.closest("li");
    event.preventDefault();
    if (line) take(options[[...list.children].indexOf(line)]);
  });
  box.addEventListener("blur", close);
  let clicked = false;
  box.addEventListener("pointerdown", () => { clicked = true; });
  box.addEventListener("focus", () => {                    // by a key: go on behind what stands there
    if (!clicked) {
      if (box.value && !box.value.endsWith(" ")) box.value += " ";
      box.setSelectionRange(box.value.length, box.value.length);
    }
    clicked = false;
  });

  const tabs = document.getElementById("tabs"), tab = tabs?.querySelector("[aria-current]");
  if (tab) tabs.scrollLeft = tab.offsetLeft - tabs.offsetLeft - 40;   // a narrow row of tabs scrolls sideways

  // -- ranges: shift-click ticks everything between the last tick and this one
  let last = null;
  document.addEventListener("click", event => {
    const tick = event.target.closest?.("input[name=id]");
    if (!tick) return;
    if (event.shiftKey && last && last !== tick.value) {
      const all = [...document.querySelectorAll("input[name=id]")];
      const ends = [all.findIndex(each => each.value === last), all.indexOf(tick)].sort((a, b) => a - b);
      if (ends[0] >= 0) for (const each of all.slice(ends[0], ends[1] + 1)) each.checked = tick.checked;
    }
    last = tick.value;                                     // app.js counts them when the click's change comes
  });

  // -- the menu of a row: one for the page, beside whichever row asks; without scripts the job's own page has all of it
  let menu = null, from = null;
  function shut(back) {
    if (!menu) return;
    menu.remove(); menu = null;
    const link = document.getElementById(from)?.querySelector("[data-menu]");
    link?.removeAttribute("aria-expanded");
    if (back) link?.focus();
  }
  function open(link) {
    const row = link.closest("tr"), id = row.id.slice(2), can = link.dataset.menu.split(" ");
    const again = menu && from === row.id;
    shut(false);
    if (again) return;
    from = row.id;
    menu = document.getElementById("row-menu").content.firstElementChild.cloneNode(true);
    for (const each of menu.querySelectorAll("[data-to]")) each.href = row.querySelector(".what a").href + each.dataset.to;
    for (const each of menu.querySelectorAll("[data-verb]")) { each.value = `${each.dataset.verb}:${id}`; each.hidden = !can.includes(each.dataset.verb); }
    for (const each of menu.querySelectorAll("[data-if]")) each.hidden = !(each.dataset.if === "waits" ? row.querySelector(".chip") : can.includes(each.dataset.if));
    menu.querySelector("[data-copy]").dataset.copy = id;
    document.getElementById("main").append(menu);
    const place = link.getBoundingClientRect(), size = menu.getBoundingClientRect();
    const below = place.bottom + size.height < innerHeight;
    menu.style.left = `${Math.max(8, place.right - size.width) + scrollX}px`;
    menu.style.top = `${(below ? place.bottom + 4 : Math.max(8, place.top - size.height - 4)) + scrollY}px`;
    link.setAttribute("aria-expanded", "true");
    menu.querySelector("a, button").focus();
  }
  document.addEventListener("click", event => {
    const link = event.target.closest?.("[data-menu]");
    if (link) open(link);
    else if (menu && !menu.contains(event.target) && !event.target.closest("dialog")) shut(false);
  });
  document.addEventListener("keydown", event => {          // first, because app.js has these keys for the page
    if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (menu?.contains(event.target)) {
      const lines = [...menu.querySelectorAll("a, button")].filter(each => !each.hidden), here = lines.indexOf(document.activeElement);
      const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
      if (step) { event.preventDefault(); event.stopImmediatePropagation(); lines[(here + step + lines.length) % lines.length].focus(); }
      if (event.key === "Escape") { event.preventDefault(); event.stopImmediatePropagation(); shut(true); }
      if (event.key === "Tab") shut(true);
      if (event.key.length === 1) event.stopImmediatePropagation();
      return;
    }
    if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
    const row = document.querySelector("[data-row].at") || document.activeElement.closest("[data-row]");
    if (event.key === "." && row) { event.preventDefault(); event.stopImmediatePropagation(); open(row.querySelector("[data-menu]")); }
  }, true);
})();
