/* What a page does by itself: times that tick, selection, the log, keys, copying, the polling controls.
   Everything here is a comfort: each page works without it by plain links and forms. */
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, selector, act) => document.addEventListener(type, event => {
    const hit = event.target.closest?.(selector);
    if (hit) act(hit, event);
  });
  document.documentElement.classList.add("js");

  // -- times: the server writes the moment, the page says how long ago; so an unchanged panel stays a 304
  const steps = [[60, 1, "s"], [3600, 60, "m"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
  function span(seconds) {
    const [, unit, letter] = steps.find(([below]) => seconds < below);
    const whole = Math.floor(seconds / unit);
    if (letter === "s" || letter === "d") return whole + letter;
    const rest = Math.floor((seconds % unit) / (unit / 60));
    return whole + letter + (rest && whole < 10 ? " " + rest + (letter === "m" ? "s" : "m") : "");
  }
  function tick(root = document) {
    for (const time of $$('time[data-rel]:not([data-rel="done"])', root)) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      if (!time.title) time.title = new Date(time.dateTime).toLocaleString();
      if (time.dataset.rel === "at") {                   // a time of day: in the reader's own zone, once
        time.textContent = clock(Date.parse(time.dateTime)); time.dataset.rel = "done";
        continue;
      }
      const words = time.dataset.rel === "for" ? span(Math.max(0, seconds))
        : seconds < -1 ? "in " + span(-seconds) : seconds < 5 ? "just now" : span(seconds) + " ago";
      if (time.textContent !== words) time.textContent = words;
    }
  }
  htmx.registerExtension("callboard-page", {
    htmx_before_morph_node(node, { newNode }) {          // a ticking time is not set back by a poll
      return !(node.localName === "time" && node.dataset.rel && node.dateTime === newNode.dateTime);
    },
  });
  document.addEventListener("htmx:after:swap", event => {
    tick(event.target); selection(); follow(event.detail.ctx.sourceElement);
  });
  setInterval(tick, 1000);

  // -- polling: what it does is said in one place, in words
  const reasons = { offline: "You are offline", timeout: "The server takes too long", network: "The server does not answer",
    429: "Too many requests", 503: "The database is away", 500: "The server had an error" };
  let shown = { state: "active" };
  function clock(ms) { return new Date(ms).toTimeString().slice(0, 8); }
  function say(words) { const spoken = $("#spoken"); if (spoken && spoken.textContent !== words) spoken.textContent = words; }
  document.addEventListener("poll:state", ({ detail }) => {
    const box = $("#link");
    if (!box) return;
    const before = shown.state;
    shown = detail;
    box.dataset.link = detail.state;
    const word = detail.state === "failed" ? (detail.broken ? "Stale since " + clock(detail.lastGood) : "Retrying")
      : detail.paused ? "Paused" : detail.held.length ? "On hold" : detail.idle ? "Up to date" : "Live";
    $(".word", box).textContent = word;
    $("#link-why").textContent = detail.state === "failed" ? (reasons[detail.kind] || "Error " + detail.kind) + ". Next try at " + clock(detail.next) + "."
      : detail.held.includes("selection") ? "Updates wait while rows are selected." : detail.paused ? "Updates are paused." : "Updated " + clock(detail.lastGood) + ".";
    $("#link-pause").textContent = detail.paused ? "Resume" : "Pause";
    $("#link-every").value = String(detail.every / 1000);
    if (detail.state !== before && "failed" === detail.state) say("Updates fail. What you see may be stale.");
    if (detail.state === "active" && before === "failed") say("Updates work again.");
    if (box.open) diary();
  });
  document.addEventListener("poll:gone", ({ detail }) => {
    notice(detail.code === 403 ? "You may no longer see a part of this page." : "A part of this page is gone; it shows the last known state.");
  });
  document.addEventListener("poll:signed-out", event => {
    if (!$("[data-typed]")) return;                       // somebody is typing: do not take the page away
    event.preventDefault();
    notice("You are signed out. What you typed is still here.", event.detail.href, "Sign in again");
  });
  function diary() {
    $("#link-diary").textContent = window.poller.diary.slice(-12).reverse()
      .map(p => `${clock(p.at)} ${p.code || "---"} ${String(p.ms).padStart(4)} ms  ${p.path}`).join("\n");
  }
  on("click", "#link-pause", () => window.poller.pause(!shown.paused));
  on("click", "#link-now", () => window.poller.refresh());
  on("change", "#link-every", select => window.poller.setInterval(Number(select.value)));
  document.addEventListener("toggle", event => event.target.id === "link" && event.target.open && diary(), true);
  function notice(words, href, label) {
    const line = $("#notice-line").content.firstElementChild.cloneNode(true);
    $("p", line).textContent = words + " ";
    if (href) $("p", line).append(Object.assign(document.createElement("a"), { href, textContent: label }));
    $("#notices").append(line);
  }
  on("click", "[data-dismiss]", button => button.closest(".notice").remove());
  on("input", "form[data-keep] :is(input, textarea, select)", field => field.form.setAttribute("data-typed", ""));
  on("submit", "form[data-keep]", form => form.removeAttribute("data-typed"));

  // -- selection: updates wait while rows are ticked, so nothing moves under the hand
  function selection() {
    const boxes = $$("input[name=id]"), ticked = boxes.filter(box => box.checked);
    for (const box of boxes) box.closest("tr, li")?.setAttribute("aria-selected", String(box.checked));
    window.poller?.hold("selection", ticked.length > 0);
    const all = $("[data-select-all]"), bar = $(".bulk");
    if (all) { all.checked = ticked.length > 0 && ticked.length === boxes.length; all.indeterminate = ticked.length > 0 && !all.checked; }
    if (!bar) return;
    bar.classList.toggle("on", ticked.length > 0);
    const count = $("[data-picked]", bar);
    if (count) count.textContent = ticked.length ? `${ticked.length} selected` : "";
    const whole = $("[data-whole]", bar);
    if (whole) { whole.hidden = !all?.checked; if (whole.hidden) $("input", whole).checked = false; }
  }
  on("change", "input[name=id]", selection);
  on("change", "[data-select-all]", all => { for (const box of $$("input[name=id]")) box.checked = all.checked; selection(); });

  // -- the log: follow the end until somebody scrolls up, then stay; at most 500 lines are kept
  const atEnd = log => log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  function toEnd(log) { log.scrollTop = log.scrollHeight; log.dataset.follow = ""; jump(log); }
  function jump(log) { const button = $(".jump", log.parentElement); if (button) button.hidden = "follow" in log.dataset; }
  function follow(region) {
    const log = region?.dataset?.feed && document.getElementById(region.dataset.feed);
    if (!log) return;
    if ("follow" in log.dataset) { while (log.children.length > 500) log.firstElementChild.remove(); toEnd(log); }
  }
  document.addEventListener("scroll", event => {
    const log = event.target;
    if (!log.classList?.contains("log")) return;
    log.toggleAttribute("data-follow", atEnd(log)); jump(log);
  }, true);
  on("click", ".jump", button => toEnd($(".log", button.parentElement)));
  on("change", "[data-log-least]", select => { select.closest(".card").querySelector(".logbox").dataset.least = select.value; });

  // -- copying; plain HTTP has no clipboard, so there the text is selected and copied the old way
  on("click", "[data-copy]", async button => {
    const text = button.dataset.copy || $(button.dataset.copyFrom)?.textContent || "";
    try { await navigator.clipboard.writeText(text); }
    catch {
      const area = document.body.appendChild(Object.assign(document.createElement("textarea"), { value: text, className: "vh" }));
      area.select(); document.execCommand("copy"); area.remove();
    }
    button.dataset.said = ""; say("Copied");
    const words = $("span", button) || button, before = words.textContent;
    if (before !== "Copied") { words.textContent = "Copied"; setTimeout(() => { words.textContent = before; }, 1400); }
  });

  // -- theme, menus, confirmation, lists that are filtered while one types
  on("submit", "form[data-theme-form]", (form, event) => {
    event.preventDefault();
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
      || (getComputedStyle(document.documentElement).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    const theme = dark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    document.cookie = `theme=${theme};path=/;max-age=31536000;samesite=lax${location.protocol === "https:" ? ";secure" : ""}`;
  });
  document.addEventListener("click", event => {
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("submit", event => {           // `data-confirm` stands on the button
    const button = event.submitter;
    if (!button?.dataset.confirm || "sure" in button.dataset) return;
    event.preventDefault();
    const dialog = $("#confirm");
    $("p", dialog).textContent = button.dataset.confirm;
    $("[value=yes]", dialog).textContent = button.dataset.yes || button.textContent.trim();
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      button.dataset.sure = "";
      event.target.requestSubmit(button);
      delete button.dataset.sure;
    };
    dialog.returnValue = "";
    dialog.showModal();
  });
  on("input", "[data-filter]", box => {
    const words = box.value.toLowerCase();
    for (const item of $$(box.dataset.filter)) item.hidden = !item.textContent.toLowerCase().includes(words);
    for (const group of $$("[data-filter-group]")) group.hidden = !$$(box.dataset.filter, group).some(item => !item.hidden);
  });
  // -- keys: never inside a field, never with a modifier; `?` shows them
  const places = { n: "/", j: "/jobs", w: "/workflows", c: "/schedules", i: "/notifications", d: "/dead-letters", a: "/agents", q: "/quality", s: "/submit" };
  const rows = () => $$("[data-row]");
  let leader = -Infinity;
  function move(step) {
    const list = rows(), at = list.indexOf(current());
    const to = list[Math.min(list.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    if (!to) return;
    list[at]?.classList.remove("at"); to.classList.add("at");
    ($("input[name=id]", to) || $("a", to))?.focus({ preventScroll: true });
    to.scrollIntoView({ block: "nearest" });
  }
  // an update takes the mark off a row that it redraws; where the focus is says the same
  const current = () => $("[data-row].at") || document.activeElement.closest("[data-row]");
  // a, r and e never answer by themselves: they lead to the card, and there to the button, which is then to be pressed
  function answer(decision) {
    const button = document.getElementById("do-" + decision);
    const link = current() ? $("a[data-answer]", current()) : $("a[data-answer]:not([data-row] *)");
    if (button) {
      for (let fold = button.closest("details:not([open])"); fold; fold = fold.parentElement.closest("details:not([open])")) fold.open = true;
      button.focus(); button.scrollIntoView({ block: "center" });
    } else if (link) location.assign(link.href + "#do-" + decision);
    return Boolean(button || link);
  }
  const press = name => { const button = $(`[data-key=${name}]`); if (button) button.click(); };
  const keys = {
    "?": () => $("#keys").showModal(), "/": () => $("[data-search]")?.focus(),
    j: () => move(1), k: () => move(-1), J: () => { extend(1); }, K: () => { extend(-1); },
    x: () => { const box = current() && $("input[name=id]", current()); if (box) { box.checked = !box.checked; selection(); } },
    Enter: () => current() && $("a", current())?.click(),
    a: () => answer("approve"), e: () => answer("edit"), r: () => answer("reject") || press("retry"), c: () => press("cancel"),
    t: () => press("theme"), R: () => window.poller.refresh(), p: () => window.poller.pause(!shown.paused),
    ".": () => { const menu = $("#link"); if (menu) { menu.open = true; $("button", menu)?.focus(); } },
    Escape: () => {
      for (const menu of $$("details.menu[open]")) menu.open = false;
      for (const box of $$("input[name=id]:checked")) box.checked = false;
      current()?.classList.remove("at"); selection();
    },
  };
  function extend(step) {
    const tick = () => { const box = current() && $("input[name=id]", current()); if (box) box.checked = true; };
    tick(); move(step); tick(); selection();
  }
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $("dialog[open]")) return;
    const field = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
    if (field) { if (event.key === "Escape") field.blur(); return; }
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    if (event.timeStamp - leader < 1200 && places[event.key]) { location.assign(places[event.key]); event.preventDefault(); return; }
    leader = event.key === "g" ? event.timeStamp : -Infinity;
    const act = keys[event.key];
    if (act) { act(); if (event.key !== "Escape") event.preventDefault(); }
  });
  on("click", "[data-open-keys]", () => $("#keys").showModal());

  tick(); selection();
  const menu = $(".side > nav"), here = menu && $("[aria-current]", menu);
  if (here) menu.scrollLeft = here.offsetLeft - 60;         // a narrow menu scrolls sideways
  for (const log of $$(".log[data-follow]")) toEnd(log);
})();
