/* What few need of a page, fetched when somebody first wants it (app.js). */
const $ = (selector, root = document) => root.querySelector(selector);
const make = (name, more = {}, ...inside) => {
  const made = Object.assign(document.createElement(name), more);
  made.append(...inside);
  return made;
};
const clock = ms => new Date(ms).toTimeString().slice(0, 8);

/** Copy what `button` names; plain HTTP has no clipboard, so there it is selected and copied the old way. */
export async function copy(button, say) {
  const text = button.dataset.copy || $(button.dataset.copyFrom)?.textContent || "";
  try { await navigator.clipboard.writeText(text); }
  catch {
    const area = document.body.appendChild(make("textarea", { value: text, className: "vh" }));
    area.select(); document.execCommand("copy"); area.remove();
    button.focus();
  }
  button.dataset.said = ""; say("Copied");
  const words = $("span", button) || button, before = words.textContent;
  if (before !== "Copied") { words.textContent = "Copied"; setTimeout(() => { words.textContent = before; }, 1400); }
}

/** Ask before `button` sends `form`. */
export function confirm(button, form) {
  const dialog = $("#confirm");
  $("p", dialog).textContent = button.dataset.confirm;
  $("[value=yes]", dialog).textContent = button.dataset.yes || button.textContent.trim();
  dialog.onclose = () => {
    if (dialog.returnValue !== "yes") return;
    button.dataset.sure = "";
    form.requestSubmit(button);
    delete button.dataset.sure;
  };
  dialog.returnValue = "";
  dialog.showModal();
}

const REASONS = {
  offline: "You are offline", timeout: "The server takes too long", network: "The server does not answer",
  strange: "Something between here and the server answers for it", 429: "Too many requests", 500: "The server had an error",
  503: "The database is away",
};

const HEAD = "time     answer    took  new    next";

/** What stands behind the word *Live*: why, the controls as they are, and the last polls, newest first. */
export function live(now) {
  $("#link-why").textContent = why(now);
  $("#link-pause").textContent = now.paused ? "Resume" : "Pause";
  $("#link-every").value = String(now.every / 1000);
  $("#link-breaker").textContent = now.broken ? "open: one look at " + clock(now.next) + " decides" : "closed";
  $("#link-diary").textContent = [HEAD, ...window.poller.diary.map(line).reverse()].join("\n");
}

function why(now) {
  if (now.state === "failed") return `${REASONS[now.kind] || "Error " + now.kind}. Next try at ${clock(now.next)}.`;
  if (now.held.includes("selection")) return "Updates wait while rows are selected.";
  if (now.paused) return "Updates are paused.";
  return `Updated ${clock(now.lastGood)}.` + (now.idle ? " Nothing here will change any more." : "");
}

function line(p) {
  const next = p.broken ? "open" : p.next ? (p.next / 1000).toFixed(1) + " s" : "–";
  return clock(p.at) + " " + String(p.code || p.kind).padEnd(7) + String(p.ms).padStart(5) + " ms"
    + `${p.changed}/${p.asked.length}`.padStart(5) + next.padStart(8);
}

/** Light or dark, kept in a cookie, so that the server draws the next page so. */
export function theme() {
  const root = document.documentElement, chosen = getComputedStyle(root).colorScheme;
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme};path=/;max-age=31536000;samesite=lax${location.protocol === "https:" ? ";secure" : ""}`;
}

/** Show of a list only what has the words of `box`. */
export function filter(box) {
  const words = box.value.toLowerCase(), { filter: items } = box.dataset;
  for (const item of document.querySelectorAll(items)) item.hidden = !item.textContent.toLowerCase().includes(words);
  for (const group of document.querySelectorAll("[data-filter-group]")) group.hidden = ![...group.querySelectorAll(items)].some(item => !item.hidden);
}

/** What a, r and e do. None answers by itself: they lead to the card, and there to the button, which is to be pressed. */
export function act(decision, row) {
  const button = document.getElementById("do-" + decision);
  const link = row ? $("a[data-answer]", row) : $("a[data-answer]:not([data-row] *)");
  if (button) {
    for (let fold = button.closest("details:not([open])"); fold; fold = fold.parentElement.closest("details:not([open])")) fold.open = true;
    button.focus(); button.scrollIntoView({ block: "center" });
  } else if (link) location.assign(link.href + "#do-" + decision);
  else if (decision === "reject") $("[data-key=retry]")?.click();
  else if (decision === "edit") explain(row);
}

function explain(row) {
  if (row) { $("a[data-explain]", row)?.click(); return; }     // its page says all of it
  const box = $("[data-explain]:not([data-row] *)");
  box?.focus(); box?.scrollIntoView({ block: "nearest" });
}

const SHEET = [
  ["/", "Filter"], ["Ctrl K", "Everything, by name"],
  ["j · k", "Next, previous row"], ["x", "Select the row; J and K extend"], ["Enter", "Open the row"],
  ["r · c", "Retry, cancel the job or the selected"], ["a · r · e", "To the button that approves, rejects, edits"],
  ["e", "Why does it wait?"], ["R", "Pause or resume updates"], [".", "Menu of the row, or of updates"], ["t", "Light or dark"], ["Esc", "Clear"],
];

/** The sheet of keys, and the switch for single keys; the places are those of the menu of whoever asks. */
export function keys() {
  ($("#keys") || document.body.appendChild(drawn())).showModal();
}

function drawn() {
  const places = [...document.querySelectorAll("[data-go]")].map(link => 
    ["g " + link.dataset.go, [...link.childNodes].find(node => node.nodeType === Node.TEXT_NODE).data]);
  const rows = SHEET.filter(([key]) => key !== "Ctrl K" || document.body.dataset.palette);
  const lines = (list, more = "") => make("div", { className: "keys" + more }, ...list.flatMap(([key, words]) =>
    [make("kbd", { textContent: key }), make("span", { textContent: words })]));
  const single = make("input", { type: "checkbox", id: "keys-single", checked: true });
  try { single.checked = localStorage.getItem("callboard.keys") !== "off"; } catch { /* private mode: on */ }
  single.onchange = () => { try { localStorage.setItem("callboard.keys", single.checked ? "on" : "off"); } catch { /* this page only */ } };
  const form = make("form", { method: "dialog", className: "stack" },
    make("h2", { id: "keys-title", textContent: "Keys" }), lines(rows),
    make("h3", { className: "small soft", textContent: "Go to" }), lines(places, " two"),
    make("label", { className: "check" }, single, " Single keys (off leaves Esc" + (document.body.dataset.palette ? " and Ctrl K)" : ")")),
    make("button", { className: "btn", textContent: "Close", autofocus: true }));
  const dialog = make("dialog", { id: "keys" }, form);
  dialog.setAttribute("aria-labelledby", "keys-title");
  return dialog;
}
