/* The text of a workflow: Tab indents, the line numbers follow, a complaint leads to its line. All else is the server's. */
(() => {
  "use strict";
  const text = document.querySelector("[data-editor]"), gutter = document.getElementById("gutter");
  if (!text) return;
  let leaving = false;                                   // after Escape, Tab goes on to the next field as always

  function count() {
    const lines = Math.max(text.value.split("\n").length + 1, 18);
    while (gutter.children.length > lines) gutter.lastElementChild.remove();
    for (let n = gutter.children.length + 1; n <= lines; n++)
      gutter.append(Object.assign(document.createElement("li"), { id: "line-" + n, textContent: n }));
    text.rows = lines;
  }
  function type(words) {                                 // execCommand keeps the browser's undo
    if (!document.execCommand("insertText", false, words)) {
      text.setRangeText(words, text.selectionStart, text.selectionEnd, "end");
      text.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
  text.addEventListener("input", count);
  text.addEventListener("blur", () => { leaving = false; });
  text.addEventListener("keydown", event => {
    if (event.key === "Escape") { leaving = true; event.stopPropagation(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Tab" && !event.shiftKey && !leaving) { type("  "); event.preventDefault(); }
    if (event.key === "Enter") {                         // the next line begins where this one does
      const line = text.value.slice(0, text.selectionStart).split("\n").pop();
      type("\n" + line.match(/^ */)[0] + (/:\s*$/.test(line) ? "  " : "")); event.preventDefault();
    }
    leaving = false;
  });
  document.addEventListener("click", event => {
    const link = event.target.closest("[data-line]");
    if (!link) return;
    const lines = text.value.split("\n"), at = Math.min(Number(link.dataset.line), lines.length) - 1;
    const start = lines.slice(0, at).join("\n").length + (at ? 1 : 0);
    event.preventDefault();
    text.focus({ preventScroll: true });
    text.setSelectionRange(start, start + lines[at].length);
    document.getElementById("line-" + (at + 1))?.scrollIntoView({ block: "center" });
  });
  count();
})();
