/* The page of a job: the part one looks at is in sight, filters send themselves, and the link to earlier lines goes
   along when old lines leave the page. Without this file there is a button, and the link stays as it was written. */
(() => {
  "use strict";
  const here = document.querySelector("nav.parts [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 60;
  document.addEventListener("change", event => {
    if (event.target.matches?.("[data-send]")) event.target.form.requestSubmit();
  });
  const log = document.getElementById("log"), link = document.getElementById("earlier");
  if (!log || !link) return;
  let begin = log.querySelector("li[data-seq]:not([hidden])")?.dataset.seq;
  new MutationObserver(() => {
    const first = log.querySelector("li[data-seq]:not([hidden])")?.dataset.seq;
    begin ??= first;                                     // the log was empty when the page came
    if (first === begin) return;
    const address = new URL(link.href);
    address.searchParams.set("before", first);
    link.href = address.href;
    link.parentElement.hidden = false;
  }).observe(log, { childList: true });
})();
