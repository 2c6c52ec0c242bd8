/* What a page does by itself: times that tick, selection, the log, keys, the polling controls.
   Everything here is a comfort: each page works without it by plain links and forms. What few need is fetched when
   somebody first wants it: static/js/more.js (copying, questions before an act, the sheet of keys, the last polls)
   and, by Ctrl+K, static/js/palette.js; both by the addresses in the body's data-more and data-palette. */
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, selector, act) => document.addEventListener(type, event => {
    const hit = event.target.closest?.(selector);
    if (hit) act(hit, event);
  });
  const fetched = (which, verb) => (...values) => import(document.body.dataset[which]).then(
    module => module[verb](...values), () => notice("The server does not answer. Try it again."));
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
    tick(event.target); selection(); follow(event.detail.ctx.sourceElement); ended();
  });
  setInterval(() => document.visibilityState === "hidden" || tick(), 1000);

  // -- polling: what it does is said in one place, in words
  let shown = { state: "active" };
  function clock(ms) { return new Date(ms).toTimeString().slice(0, 8); }
  function say(words) { const spoken = $("#spoken"); if (spoken && spoken.textContent !== words) spoken.textContent = words; }
  const live = fetched("more", "live");       // the sheet behind the word; to be there when the server is not
  setTimeout(() => document.hidden || import(document.body.dataset.more).catch(() => 0), 9e3);
  document.addEventListener("poll:state", ({ detail }) => {
    const box = $("#link"), before = shown.state, { state } = detail;
    if (!box) return;
    shown = detail;
    box.dataset.link = state;
    $(".word", box).textContent = state === "failed" ? (detail.broken ? "Stale since " + clock(detail.lastGood) : "Retrying")
      : detail.paused ? "Paused" : detail.held.length ? "On hold" : detail.idle ? "Up to date" : "Live";
    if (state !== before && state === "failed") say("Updates fail. What you see may be stale.");
    if (state === "active" && before === "failed") say("Updates work again.");
    if (box.open) live(shown);
  });
  document.addEventListener("poll:gone", ({ detail }) => {
    notice(detail.code === 403 ? "You may no longer see a part of this page." : "A part of this page is gone; it shows the last known state.");
  });
  document.addEventListener("poll:signed-out", event => {
    if (!$("[data-typed]")) return;                       // somebody is typing: do not take the page away
    event.preventDefault();
    notice("You are signed out. What you typed is still here.", event.detail.href, "Sign in again");
  });
  on("click", "#link-pause", () => window.poller.pause(!shown.paused));
  on("click", "#link-now", () => window.poller.refresh());
  on("change", "#link-every", select => window.poller.setInterval(Number(select.value)));
  document.addEventListener("toggle", event => event.target.id === "link" && event.target.open && live(shown), true);
  function notice(words, href, label, colour = "amber") {
    const line = $("#notice-line").content.firstElementChild.cloneNode(true);
    line.classList.add(colour);
    $("p", line).textContent = words + " ";
    if (href) $("p", line).append(Object.assign(document.createElement("a"), { href, textContent: label }));
    $("#notices").append(line);
    return line;
  }
  on("click", "[data-dismiss]", button => button.closest(".notice").remove());

  // -- what one watches comes to its end: said once, in one sentence
  const ends = { completed: ["is done.", "green"], failed: ["failed.", "red"], cancelled: ["was cancelled.", "grey"] };
  let watched = $("[data-state]")?.dataset.state;
  function ended() {
    const now = $("[data-state]"), state = now?.dataset.state;
    if (!now || state === watched) return;
    watched = state;
    window.poller.wake();                                 // the rest of the page follows at once
    if (!ends[state]) return;
    const words = `${now.dataset.name} ${ends[state][0]}`;
    const line = notice(words, "", "", ends[state][1]), mark = $(".badge svg", now);
    line.removeAttribute("role");                         // it is said below
    if (mark) $("svg", line).replaceWith(mark.cloneNode(true));
    say(words);
  }
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

  // -- the log: follow the end until somebody scrolls up, then stay
  const atEnd = log => log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  function toEnd(log) { log.scrollTop = log.scrollHeight; log.dataset.follow = ""; jump(log); }
  function jump(log) { const button = $(".jump", log.parentElement); if (button) button.hidden = "follow" in log.dataset; }
  function follow(region) {
    const log = region?.dataset?.feed && document.getElementById(region.dataset.feed);
    if (log && "follow" in log.dataset) toEnd(log);
  }
  document.addEventListener("scroll", event => {
    const log = event.target;
    if (!log.classList?.contains("log")) return;
    log.toggleAttribute("data-follow", atEnd(log)); jump(log);
  }, true);
  on("click", ".jump", button => toEnd($(".log", button.parentElement)));

  // -- copying, and the question before an act (`data-confirm` stands on the button)
  const copy = fetched("more", "copy"), confirm = fetched("more", "confirm");
  on("click", "[data-copy], [data-copy-from]", button => copy(button, say));
  document.addEventListener("submit", event => {
    const button = event.submitter;
    if (!button?.dataset.confirm || "sure" in button.dataset || $("[name=whole]:checked")) return;   // "all" is asked by a page
    event.preventDefault();
    confirm(button, event.target);
  });

  // -- theme, menus, lists that are filtered while one types
  const theme = fetched("more", "theme"), filter = fetched("more", "filter");
  on("submit", "form[data-theme-form]", (form, event) => { event.preventDefault(); theme(); });
  on("input", "[data-filter]", filter);
  document.addEventListener("click", event => {
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  // -- keys: never inside a field; `?` shows them, and there single keys can be switched off (then only Ctrl+K and Esc)
  const sheet = fetched("more", "keys"), palette = fetched("palette", "open");
  const singles = () => { try { return localStorage.getItem("callboard.keys") !== "off"; } catch { return true; } };
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
  const press = name => $(`[data-key=${name}]`)?.click();
  const act = fetched("more", "act");         // approve, reject, edit, explain: of the row one stands on, or of the page
  const keys = {
    "?": sheet, "/": () => $("[data-search]")?.focus(),
    j: () => move(1), k: () => move(-1), J: () => { extend(1); }, K: () => { extend(-1); },
    x: () => { const box = current() && $("input[name=id]", current()); if (box) { box.checked = !box.checked; selection(); } },
    Enter: () => $("a", current())?.click(),
    a: () => act("approve", current()), e: () => act("edit", current()), r: () => act("reject", current()), c: () => press("cancel"),
    t: () => press("theme"), R: () => window.poller.pause(!shown.paused),
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
    if ((event.ctrlKey || event.metaKey) && event.key === "k" && document.body.dataset.palette && !$("dialog[open]")) {
      event.preventDefault(); palette(); return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $("dialog[open]")) return;
    const field = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
    if (field) { if (event.key === "Escape") field.blur(); return; }
    if (event.key !== "Escape" && !singles()) return;
    if (event.key === "Enter" && (!current() || event.target.closest("a, button, summary"))) return;
    const place = event.timeStamp - leader < 1200 && $(`[data-go="${CSS.escape(event.key)}"]`);
    if (place) { location.assign(place.href); event.preventDefault(); return; }
    leader = event.key === "g" ? event.timeStamp : -Infinity;
    const does = keys[event.key];
    if (does) { does(); if (event.key !== "Escape") event.preventDefault(); }
  });
  on("click", "[data-open-keys]", sheet);
  on("click", "[data-open-palette]", palette);

  tick(); selection();
  const menu = $(".side > nav"), here = menu && $("[aria-current]", menu);
  if (here) menu.scrollLeft = here.offsetLeft - 60;         // a narrow menu scrolls sideways
  menu?.addEventListener("focusin", event => event.target.scrollIntoView({ block: "nearest", inline: "nearest" }));
  for (const log of $$(".log[data-follow]")) toEnd(log);
})();
