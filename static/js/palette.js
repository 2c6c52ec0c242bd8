/* The command palette: Ctrl+K, a word, Enter. Asked for by app.js when it is first wanted; a combobox with a list, by the
   keyboard or the mouse. What there is comes from /ui/search, which knows who asks. */
const look = new CSSStyleSheet();                // here, because most pages never show it
look.replaceSync(`
  #palette { width: 34rem; padding: var(--s4); margin-top: 12vh; } #palette form { display: grid; gap: var(--s2); } #palette p:empty { display: none; }
  #palette-list { max-height: 55vh; overflow-y: auto; } #palette .label { padding: .5rem .6rem .15rem; color: var(--faint); font-size: .82rem; font-weight: 580; }
  .option { display: flex; gap: .8rem; align-items: baseline; padding: .35rem .6rem; border-radius: .35rem; cursor: pointer; } .option > :first-child { overflow-wrap: anywhere; } .option > .faint { margin-left: auto; text-align: right; }
  .option[aria-selected=true] { background: var(--accent-tint); box-shadow: inset 2px 0 var(--accent); }
`);
document.adoptedStyleSheets.push(look);
const dialog = document.body.appendChild(document.createElement("dialog"));
dialog.id = "palette";
dialog.setAttribute("aria-label", "Go to or find");
dialog.innerHTML = `<form method="dialog"><input type="search" role="combobox" aria-label="Go to or find" aria-expanded="true"
  aria-controls="palette-list" aria-autocomplete="list" autocomplete="off" spellcheck="false" maxlength="200"
  placeholder="Go to a page, or find a job, agent, workflow or schedule"><div id="palette-list" role="listbox" aria-label="Found"></div>
  <p class="small soft" role="status"></p></form>`;
const box = dialog.querySelector("input"), list = dialog.querySelector("[role=listbox]"), told = dialog.querySelector("[role=status]");
let asked = 0, timer = 0, at = -1;

const items = () => [...list.querySelectorAll("[role=option]")];

function mark(n) {
  const all = items();
  all[at]?.setAttribute("aria-selected", "false");
  at = all.length ? (n + all.length) % all.length : -1;
  all[at]?.setAttribute("aria-selected", "true");
  all[at]?.scrollIntoView({ block: "nearest" });
  if (at < 0) box.removeAttribute("aria-activedescendant");
  else box.setAttribute("aria-activedescendant", all[at].id);
}

function show(groups) {
  list.replaceChildren();
  let n = 0;
  for (const group of groups) {
    const part = list.appendChild(document.createElement("div"));
    part.setAttribute("role", "group");
    part.setAttribute("aria-label", group.title);
    part.append(Object.assign(document.createElement("p"), { className: "label", ariaHidden: "true", textContent: group.title }));
    for (const item of group.items) {
      const line = Object.assign(document.createElement("div"), { id: "palette-" + n++, className: "option" });
      line.setAttribute("role", "option");
      line.setAttribute("aria-selected", "false");
      line.dataset.path = item.path;
      line.append(Object.assign(document.createElement("span"), { textContent: item.title }));
      const more = [item.detail, item.status].filter(Boolean).join(" · ");
      if (more) line.append(Object.assign(document.createElement("span"), { className: "faint small", textContent: more }));
      part.append(line);
    }
  }
  at = -1;
  mark(0);
  told.textContent = n ? "" : "Nothing is called this.";
}

async function ask() {
  const mine = ++asked;
  try {
    const answer = await fetch("/ui/search?q=" + encodeURIComponent(box.value), { signal: AbortSignal.timeout(5000) });
    if (answer.status === 401) { location.assign("/sign-in?next=" + encodeURIComponent(location.pathname + location.search)); return; }
    if (!answer.ok) throw new Error(answer.status);
    const { groups } = await answer.json();
    if (mine === asked) show(groups);
  } catch {
    if (mine === asked) told.textContent = "The server does not answer. Enter opens the search page.";
  }
}

function go(line) {
  location.assign(line ? line.dataset.path : "/search?q=" + encodeURIComponent(box.value));
}

box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
box.addEventListener("keydown", event => {
  const act = { ArrowDown: () => mark(at + 1), ArrowUp: () => mark(at - 1), Home: () => mark(0), End: () => mark(items().length - 1),
    Enter: () => go(items()[at]), Escape: () => dialog.close() }[event.key];   // a search box would only empty itself
  if (!act || event.isComposing || ((event.key === "Home" || event.key === "End") && box.value)) return;
  event.preventDefault();
  act();
});
list.addEventListener("mousemove", event => {
  const line = event.target.closest("[role=option]");
  if (line) mark(items().indexOf(line));
});
list.addEventListener("click", event => go(event.target.closest("[role=option]") ?? items()[at]));
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });

export function open() {
  if (dialog.open) return;
  box.value = "";
  dialog.showModal();
  ask();
}
