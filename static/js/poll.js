/* The polling client: keeps the regions of a page fresh by one request for all of them, and nothing else.

   A region is   <div hx-get="/ui/…" hx-trigger="poll" hx-swap="innerMorph" hx-poll="5s" data-etag='"…"'>
   A feed also has data-feed="the list's id" hx-target="#…"; it grows, and is asked for by its last number.
   The server steers: each answer of /ui/look (app/dashboard/look.py) says for each region when to come back, or
   "stop". One 304 means that nothing changed; else what is new is put in by htmx's own morph.

   Rules: regions due at about the same time go together, and a page asks no oftener than its most impatient region;
   while nothing changes the waits grow by half, up to 10 s; a hidden tab asks nothing and catches up once when shown;
   errors wait 1, 2, 4, 8, 15 s; five in a row open a breaker for 15 s, then one look probes; what is shown stays
   shown, marked as stale; 401 leads to the sign-in page and back. What the page shows of all this is app.js's part:
   it hears `poll:state` and calls `window.poller`. Once a minute the page reports how its looks went. */
(() => {
  "use strict";
  const told = { timeout: 5000, cap: 15000, trips: 5, open: 15000, floor: 1000, most: 10000,
                 ...JSON.parse(document.body.dataset.poll || "{}") };
  const GROWTH = 1.5, EARLY = 0.35, LONGEST = 7500, AT_ONCE = 20, KEPT_LINES = 500, KEPT_POLLS = 50;
  const regions = new Map();
  const held = new Set();                     // why the page waits though nobody paused it: "selection", …
  const diary = read(sessionStorage, "callboard.polls", []);
  const kept = read(localStorage, "callboard.poll", { paused: false, every: 0 });
  const link = { fails: 0, broken: false, kind: "", next: 0 };
  let timer = 0, looking = null, last = -Infinity, quietly = 0, lastGood = Date.now(), gone = false, anew = false;

  const now = () => performance.now();
  const later = ms => ms * (1 + Math.random() * 0.1);      // never sooner than said
  const shown = () => document.visibilityState !== "hidden";
  const quiet = () => gone || kept.paused || held.size > 0 || !shown();
  const millis = text => (/^[\d.]+m?s$/.test(text || "") ? parseFloat(text) * (text.endsWith("ms") ? 1 : 1000) : 0);
  const tell = (name, detail, more) => document.dispatchEvent(new CustomEvent("poll:" + name, { detail, ...more }));

  function read(store, name, usual) {
    try { const found = JSON.parse(store.getItem(name)); return Array.isArray(usual) ? found || usual : { ...usual, ...found }; }
    catch { return usual; }
  }
  function keep(store, name, value) {
    try { store.setItem(name, JSON.stringify(value)); } catch { /* private mode: this page only */ }
  }
  function say() {
    const live = [...regions.values()].filter(r => !r.stopped);
    const failing = link.fails > 0 || live.some(r => r.fails);
    tell("state", { state: kept.paused || held.size ? "paused" : failing ? "failed" : "active", lastGood,
      idle: regions.size > 0 && !live.length, broken: link.broken, kind: failing ? link.kind : "", next: link.next,
      held: [...held], every: kept.every, paused: kept.paused });
  }

  // -- when
  function wait(r) {
    if (kept.every) return Math.max(kept.every, told.floor);
    return Math.max(told.floor, r.every, Math.min(told.most, r.every * GROWTH ** Math.min(quietly, 9)));
  }
  function live() {
    for (const elt of regions.keys()) if (!elt.isConnected) regions.delete(elt);
    return [...regions].filter(([, r]) => !r.stopped);
  }
  function arm() {
    clearTimeout(timer);
    const watched = live();
    if (looking || quiet() || !watched.length) return;
    let at = Math.min(...watched.map(([, r]) => r.due));
    if (link.fails) at = Math.max(at, link.at);
    else at = Math.max(at, last + Math.min(...watched.map(([, r]) => wait(r))));
    timer = setTimeout(look, Math.max(0, at - now()));
  }
  function look(all) {                         // who is due, and who soon would be
    const watched = all ? [...regions].filter(([elt]) => elt.isConnected) : live();
    const due = all || link.broken ? watched : watched.filter(([, r]) => r.due - now() <= EARLY * wait(r));
    if (due.length && !looking) ask(due.slice(0, AT_ONCE), all);
  }

  // -- asking
  const feed = elt => elt.dataset.feed && document.getElementById(elt.dataset.feed);
  function address(elt) {
    const url = elt.getAttribute("hx-get"), list = feed(elt);
    if (!list) return url;
    const seen = Math.max(Number(elt.dataset.after) || 0, Number(list.lastElementChild?.dataset.seq) || 0);
    return url + (url.includes("?") ? "&" : "?") + "after=" + seen;
  }
  const named = elt => "r=" + address(elt).replace(/[%&#+]/g, encodeURIComponent);
  function fitting(asked) {                    // a request line has an end; who does not fit comes next
    let length = 0;
    return asked.filter(([elt], i) => (length += named(elt).length + 1) <= LONGEST || !i);
  }
  async function ask(due, byHand) {
    clearTimeout(timer);
    const asked = looking = fitting(due), began = last = now();
    for (const [, r] of asked) r.due = Infinity;
    const outcome = { code: 0, changed: 0, kind: "", after: 0 };
    try {
      const query = asked.map(([elt]) => named(elt)).join("&") + (anew || byHand ? "&now=1" : "");
      anew = false;
      const tags = asked.map(([elt, r]) => (feed(elt) ? "" : (r.etag || "").replace(/^"|"$/g, ""))).join("|");
      const answer = await fetch("/ui/look?" + query, {
        headers: { "If-None-Match": `"${tags}"` }, cache: "no-store", redirect: "error",
        signal: AbortSignal.timeout(told.timeout) });
      outcome.code = answer.status;
      outcome.after = Number(answer.headers.get("Retry-After")) * 1000 || 0;
      let news = null;
      if (answer.status === 304) news = (answer.headers.get("HX-Poll") || "").split(",").map(poll => ({ poll }));
      else if (answer.ok) news = (await answer.json()).regions;
      if (news && !byHand && quiet() && shown()) news = news.map(() => ({ later: true }));   // somebody holds the page still
      if (news) outcome.changed = await take(asked, news); else outcome.kind = String(answer.status);
    } catch (error) {
      outcome.code = 0;
      outcome.kind = !navigator.onLine ? "offline" : error.name === "TimeoutError" ? "timeout" : error.name === "SyntaxError" ? "strange" : "network";
    }
    looking = null;
    const ms = now() - began;
    if (outcome.kind) failed(asked, outcome); else succeeded(outcome);
    measure(outcome, ms);
    note(asked, outcome, ms);
    arm(); say();
  }

  // -- what came back
  async function take(asked, news) {
    let changed = 0;
    for (const [i, [elt, r]] of asked.entries()) {
      const said = news[i] || {};
      if (said.later || !elt.isConnected) { r.due = now(); continue; }
      if (said.code) { unwell(elt, r, said.code); continue; }
      r.fails = 0; r.good = Date.now();
      delete elt.dataset.stale;
      r.stopped = said.poll === "stop";
      r.every = millis(said.poll) || r.every;
      r.again = said.poll === "0ms";
      if (said.after) elt.dataset.after = said.after;
      if (said.etag) r.etag = said.etag;         // without html: only the tag is another one
      if ("html" in said && (said.etag || said.html)) changed += 1;
      if (said.html) await put(elt, said.html);
    }
    quietly = changed ? 0 : quietly + 1;
    for (const [, r] of regions) {
      if (r.again) r.due = 0;
      else if (r.due === Infinity || changed) r.due = Math.min(r.due, now() + later(wait(r)));
    }
    return changed;
  }
  async function put(elt, text) {
    const list = feed(elt), swap = elt.getAttribute("hx-swap") || "innerMorph";
    await htmx.swap({ sourceElement: elt, target: list || elt, swap, text, hx: {} });
    if (list && "follow" in list.dataset) while (list.children.length > KEPT_LINES) list.firstElementChild.remove();
  }
  function unwell(elt, r, code) {              // one region; the others are well
    if (code < 500 && code !== 429) {
      r.stopped = true;
      tell("gone", { code, elt });
      return;
    }
    r.fails += 1;
    link.kind = String(code);
    if (r.fails >= 2) mark(elt, r);
    r.due = now() + later(Math.min(told.cap, 1000 * 2 ** (r.fails - 1)));
    link.next = Date.now() + r.due - now();
  }
  function mark(elt, r) { elt.dataset.stale = new Date(r.good).toTimeString().slice(0, 8); }
  function succeeded() {
    lastGood = Date.now();
    if (link.fails) {
      sums.recoveries += 1;
      const took = (lastGood - link.since) / 1000;
      sums.recovery_seconds_sum += took;
      sums.recovery_seconds_most = Math.max(sums.recovery_seconds_most, took);
      for (const [elt, r] of live()) if (!r.fails) { delete elt.dataset.stale; r.due = Math.min(r.due, now()); }
      last = -Infinity;
    }
    Object.assign(link, { fails: 0, broken: false, kind: "", at: 0 });
  }
  function failed(asked, { code, kind, after }) {
    for (const [, r] of asked) r.due = now();
    if (code === 401) { leave(); return; }
    if (!link.fails) link.since = Date.now();
    link.fails += 1; link.kind = kind; quietly = 0;
    link.broken = link.fails >= told.trips;
    if (link.fails >= 2) for (const [elt, r] of live()) mark(elt, r);
    const back = link.broken ? told.open : Math.max(after, later(Math.min(told.cap, 1000 * 2 ** (link.fails - 1))));
    link.at = now() + back; link.next = Date.now() + back;
  }
  function leave() {
    gone = true;
    const detail = { href: "/sign-in?next=" + encodeURIComponent(location.pathname + location.search) };
    if (tell("signed-out", detail, { cancelable: true })) location.assign(detail.href);
  }

  // -- the diary, and what is reported of it
  function note(asked, { code, kind, changed }, ms) {
    const next = link.fails ? link.at - now() : Math.min(...live().map(([, r]) => r.due - now()));
    diary.push({ at: Date.now(), asked: asked.map(([elt]) => elt.getAttribute("hx-get").split("?")[0]), changed, code, kind,
                 ms: Math.round(ms), next: Number.isFinite(next) ? Math.max(0, Math.round(next)) : 0, broken: link.broken });
    if (diary.length > KEPT_POLLS) diary.shift();
  }
  const STEPS = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000, Infinity];
  let sums = fresh();
  function fresh() {
    return { polls: 0, unchanged: 0, failures: 0, timeouts: 0, ms_sum: 0, ms_most: 0, ms_spread: STEPS.map(() => 0),
             recoveries: 0, recovery_seconds_sum: 0, recovery_seconds_most: 0, since: Date.now() };
  }
  function measure({ kind, changed }, ms) {
    sums.polls += 1;
    if (kind) sums.failures += 1; else if (!changed) sums.unchanged += 1;
    if (kind === "timeout") sums.timeouts += 1;
    sums.ms_sum += ms; sums.ms_most = Math.max(sums.ms_most, ms);
    sums.ms_spread[STEPS.findIndex(step => ms <= step)] += 1;
  }
  function report() {
    if (!sums.polls || gone) return;
    const { since, ...said } = sums;
    navigator.sendBeacon?.("/ui/polling/report", JSON.stringify({ ...said, seconds: Math.max(1, (Date.now() - since) / 1000) }));
    sums = fresh();
  }
  setInterval(() => shown() && report(), 60000);
  addEventListener("pagehide", () => { report(); keep(sessionStorage, "callboard.polls", diary); });

  function watch(elt) {
    const said = elt.getAttribute("hx-poll");
    if (said === null || regions.has(elt)) return;
    const r = { every: millis(said) || 5000, fails: 0, good: Date.now(), etag: elt.dataset.etag, stopped: said === "stop" };
    r.due = now() + later(wait(r));
    regions.set(elt, r);
    arm(); say();
  }
  htmx.registerExtension("callboard-poll", {
    htmx_after_init: watch,
    htmx_before_cleanup(elt) { regions.delete(elt); },
  });

  document.addEventListener("visibilitychange", () => (shown() ? window.poller.wake() : arm()));
  addEventListener("online", () => window.poller.wake());
  addEventListener("offline", () => { link.kind = "offline"; say(); });
  addEventListener("pageshow", event => event.persisted && window.poller.wake());

  window.poller = {
    diary,
    /** Ask every region now, also while paused and also those that had stopped. */
    refresh() { quietly = 0; look(true); },
    /** Look again after a silence: all regions by one request, which is also what probes an open breaker. */
    wake() {
      if (quiet()) return;
      anew = true; quietly = 0; link.at = 0; last = -Infinity;
      for (const [, r] of live()) r.due = Math.min(r.due, now());
      arm();
    },
    pause(paused) {
      kept.paused = paused; keep(localStorage, "callboard.poll", kept);
      if (paused) arm(); else this.wake();
      say();
    },
    /** `seconds` between looks (1–60), or 0 for what the server says; kept in this browser. */
    setInterval(seconds) {
      kept.every = seconds ? Math.min(60, Math.max(1, seconds)) * 1000 : 0;
      keep(localStorage, "callboard.poll", kept);
      quietly = 0;
      for (const [, r] of live()) if (r.due !== Infinity) r.due = now() + later(wait(r));
      arm(); say();
    },
    /** Wait while `reason` holds, without pausing for good. */
    hold(reason, on) {
      if (held.has(reason) === on) return;
      if (on) held.add(reason); else held.delete(reason);
      if (held.size) arm(); else this.wake();
      say();
    },
  };
  document.querySelectorAll("[hx-poll]").forEach(watch);   // htmx may have been quicker than this file
  queueMicrotask(say);                       // app.js, further down in the same file, hears it
})();
