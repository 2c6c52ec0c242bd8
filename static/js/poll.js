/* The polling client: an htmx extension that keeps regions of a page fresh, and nothing else.

   A region is   <div hx-get="/ui/…" hx-trigger="poll" hx-swap="innerMorph" hx-poll="5s" data-etag='"…"'>
   The server steers by answer headers: `HX-Poll: 5s` is when to come back, `HX-Poll: stop` ends it,
   `ETag` is sent back as If-None-Match so that an unchanged region is a 304 which swaps nothing.

   Rules: a hidden tab asks nothing and catches up once when shown; errors wait 1, 2, 4, 8, 15 s; five in
   a row open a breaker for 15 s, then a single region probes for all of them; what is shown stays shown,
   marked as stale; 401 leads to the sign-in page and back. What the page shows of all this is app.js's
   part: it hears `poll:state` and calls `window.poller`. */
(() => {
  "use strict";
  const told = { timeout: 5000, cap: 15000, trips: 5, open: 15000, floor: 1000,
                 ...JSON.parse(document.body.dataset.poll || "{}") };
  const regions = new Map();
  const held = new Set();                     // why the page waits though nobody paused it: "selection", …
  const diary = [];                           // the last polls, for the debug panel
  const kept = read();                        // what this person chose: {paused, every}
  const link = { broken: false, probe: null, timer: 0, kind: "", next: 0 };
  let lastGood = Date.now(), gone = false;

  const now = () => performance.now();
  const jitter = ms => ms * (0.9 + Math.random() * 0.2);
  const quiet = () => gone || kept.paused || held.size > 0 || document.visibilityState === "hidden";
  const millis = text => (/^[\d.]+m?s$/.test(text || "") ? parseFloat(text) * (text.endsWith("ms") ? 1 : 1000) : 0);

  function read() {
    try { return { paused: false, every: 0, ...JSON.parse(localStorage.getItem("callboard.poll")) }; }
    catch { return { paused: false, every: 0 }; }
  }
  function keep() {
    try { localStorage.setItem("callboard.poll", JSON.stringify(kept)); } catch { /* private mode: this page only */ }
  }
  function say() {
    const failing = [...regions.values()].some(r => r.fails);
    const state = kept.paused || held.size ? "paused" : failing ? "failed" : "active";
    const idle = regions.size > 0 && [...regions.values()].every(r => r.stopped);
    document.dispatchEvent(new CustomEvent("poll:state", { detail: {
      state, idle, broken: link.broken, kind: failing ? link.kind : "", next: link.next, lastGood,
      held: [...held], every: kept.every, paused: kept.paused } }));
  }

  // -- when
  function arm(elt) {
    const r = regions.get(elt);
    clearTimeout(r.timer);
    if (r.stopped || r.busy || link.broken || quiet()) return;
    r.timer = setTimeout(ask, Math.max(0, r.due - now()), elt);
  }
  function plan(elt, delay) { const r = regions.get(elt); r.due = now() + delay; arm(elt); }
  function armAll() { for (const elt of regions.keys()) arm(elt); }
  function catchUp() {                         // all that are still watched, once, a breath apart
    let i = 0;
    for (const elt of regions.keys()) plan(elt, 40 * i++);
  }
  function ask(elt) {
    const r = regions.get(elt);
    if (!elt.isConnected) { forget(elt); return; }
    if (r.busy) return;
    clearTimeout(r.timer);
    r.busy = true; r.began = now();
    htmx.trigger(elt, "poll", {}, false);
  }
  function forget(elt) {
    const r = regions.get(elt);
    if (!r) return;
    clearTimeout(r.timer); regions.delete(elt);
    if (link.probe === elt) tripBreaker();
  }

  // -- the breaker: one for the page, because it is one server
  function tripBreaker() {
    link.broken = true;
    link.probe = [...regions].find(([elt, r]) => elt.isConnected && !r.stopped)?.[0] ?? null;
    for (const r of regions.values()) clearTimeout(r.timer);
    clearTimeout(link.timer);
    link.next = Date.now() + told.open;
    link.timer = setTimeout(() => link.probe && !quiet() && ask(link.probe), told.open);
  }
  function mend() {
    clearTimeout(link.timer);
    link.broken = false; link.probe = null; link.kind = "";
    for (const r of regions.values()) r.fails = 0;
  }

  // -- what came back
  function succeeded(elt, r, ctx, unchanged) {
    const recovered = r.fails > 0 || link.broken;
    r.fails = 0; r.good = lastGood = Date.now();
    delete elt.dataset.stale;
    if (!unchanged) r.etag = ctx.response.headers.get("ETag");
    if (ctx.hx?.poll === "stop") { r.stopped = true; }
    else {
      r.stopped = false;
      const hint = millis(ctx.hx?.poll) || r.every;
      r.wait = hint;
      plan(elt, jitter(Math.max(kept.every || r.wait, told.floor)));
    }
    if (recovered) { mend(); catchUpOthers(elt); }
    return r.stopped ? 0 : r.due - now();
  }
  function catchUpOthers(elt) {
    let i = 0;
    for (const [other, r] of regions) {
      delete other.dataset.stale;
      if (other !== elt && !r.stopped) plan(other, 60 * ++i);
    }
  }
  function failed(elt, r, ctx, code) {
    link.kind = !navigator.onLine ? "offline" : ctx.request.signal.aborted ? "timeout" : code ? String(code) : "network";
    if (code === 401) { leave(); return 0; }
    if (code === 403 || code === 404 || code === 410) {
      r.stopped = true;
      document.dispatchEvent(new CustomEvent("poll:gone", { detail: { code, elt } }));
      return 0;
    }
    r.fails += 1;
    if (r.fails >= 2) elt.dataset.stale = new Date(r.good).toTimeString().slice(0, 8);
    if (r.fails >= told.trips || link.broken) { tripBreaker(); return told.open; }
    const after = Number(ctx.response?.headers.get("Retry-After")) * 1000 || 0;
    const back = Math.max(after, jitter(Math.min(told.cap, 1000 * 2 ** (r.fails - 1))));
    link.next = Date.now() + back;
    plan(elt, back);
    return back;
  }
  function leave() {
    gone = true;
    const detail = { href: "/sign-in?next=" + encodeURIComponent(location.pathname + location.search) };
    if (document.dispatchEvent(new CustomEvent("poll:signed-out", { detail, cancelable: true }))) location.assign(detail.href);
  }

  function watch(elt) {
    const said = elt.getAttribute("hx-poll");
    if (said === null || regions.has(elt)) return;
    const every = millis(said) || 5000;
    regions.set(elt, { every, wait: every, fails: 0, good: Date.now(), etag: elt.dataset.etag,
                       stopped: said === "stop", busy: false, timer: 0, due: 0 });
    plan(elt, jitter(Math.max(kept.every || every, told.floor)));
    say();
  }

  htmx.registerExtension("callboard-poll", {
    htmx_after_init: watch,
    htmx_before_cleanup(elt) { forget(elt); },
    htmx_config_request(elt, { ctx }) {
      const r = regions.get(elt);
      if (!r || ctx.sourceEvent.type !== "poll") return;
      ctx.request.timeout = told.timeout;
      ctx.request.cache = "no-store";          // the page keeps the validator itself, so that it sees the 304
      const feed = elt.dataset.feed && document.getElementById(elt.dataset.feed);
      if (feed) ctx.request.body.set("after", feed.lastElementChild?.dataset.seq || "0");
      else if (r.etag) ctx.request.headers["If-None-Match"] = r.etag;
    },
    htmx_finally_request(elt, { ctx }) {
      const r = regions.get(elt);
      if (!r || !r.busy) return;
      r.busy = false;
      const code = ctx.response?.status || 0;
      const next = code >= 200 && code < 400 ? succeeded(elt, r, ctx, code !== 200) : failed(elt, r, ctx, code);
      diary.push({ at: Date.now(), path: elt.getAttribute("hx-get"), code, ms: Math.round(now() - r.began),
                   next: Math.round(next), broken: link.broken });
      if (diary.length > 50) diary.shift();
      say();
    },
  });

  document.addEventListener("visibilitychange", () => (document.visibilityState === "visible" ? window.poller.wake() : armAll()));
  addEventListener("online", () => window.poller.wake());
  addEventListener("offline", () => { link.kind = "offline"; say(); });
  addEventListener("pageshow", event => event.persisted && window.poller.wake());

  window.poller = {
    diary,
    /** Ask every region now, also while paused and also those that had stopped. */
    refresh() {
      mend();
      for (const elt of [...regions.keys()]) ask(elt);
    },
    /** Look again after a silence; an open breaker is tried by its one probe. */
    wake() {
      if (quiet()) return;
      if (link.broken && link.probe) ask(link.probe); else catchUp();
    },
    pause(paused) { kept.paused = paused; keep(); armAll(); if (!paused) this.wake(); say(); },
    /** `seconds` between polls (1–60), or 0 for what the server says; kept in this browser. */
    setInterval(seconds) {
      kept.every = seconds ? Math.min(60, Math.max(1, seconds)) * 1000 : 0;
      keep();
      for (const [elt, r] of regions) plan(elt, jitter(kept.every || r.wait));
      say();
    },
    /** Wait while `reason` holds, without pausing for good. */
    hold(reason, on) {
      if (held.has(reason) === on) return;
      if (on) held.add(reason); else held.delete(reason);
      if (!held.size && link.broken) this.wake(); else armAll();
      say();
    },
  };
  document.querySelectorAll("[hx-poll]").forEach(watch);   // htmx may have been quicker than this file
  setTimeout(say);
})();
