// Keys, and times that go on. Every page works without this file.

"use strict";

const typing = (element) => element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
let isGoing = false;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (isGoing) {
    isGoing = false;
    document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`)?.click();
  } else if (event.key === "g") {
    isGoing = true;
    setTimeout(() => { isGoing = false; }, 1500);
  } else if (event.key === "j" || event.key === "k") {
    const boxes = [...document.querySelectorAll("main td input[type=checkbox]")];
    const next = boxes.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
    boxes.at(Math.min(Math.max(next, 0), boxes.length - 1))?.focus();
  } else if (event.key === "r") {
    const reason = document.querySelector(".answering [name=reason]");
    if (reason) { event.preventDefault(); reason.focus(); }
  } else if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); } else location.assign("/console/products#q");
  } else if (event.key === "?") {
    document.getElementById("keys").showModal();
  }
});

// A form is sent once: a second click while the first answer is on its way does nothing. While the server does not
// answer, it is not sent: the browser's own page of the error would take the place of what was typed.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || form.dataset.sent === "now") return;
  event.preventDefault();
  if (form.dataset.sent) return;
  form.dataset.sent = "asked";
  setTimeout(() => { delete form.dataset.sent; }, 5000);
  try {
    await fetch("/health/live", { signal: AbortSignal.timeout(4000) });
  } catch {
    delete form.dataset.sent;
    tell(true);
    return;
  }
  form.dataset.sent = "now";
  typed.delete(form);
  form.requestSubmit(event.submitter);
  form.dataset.sent = "asked";
});

// A search that was begun on another page.
if (location.hash === "#q") document.getElementById("q")?.focus();

// In a narrow window, the navigation begins where this page is.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Leaving a page with something typed that is not sent is asked about first, also when another form is sent. A form
// that comes back with a problem, with the change of another person, or with a row more or less, is not sent.
const typed = new Set([...document.querySelectorAll("main form[method=post]")].filter((form) =>
  "unsent" in form.dataset || form.querySelector("[aria-invalid=true], .error.whole, [role=alert]")));
document.addEventListener("input", (event) => { if (event.target.form?.method === "post") typed.add(event.target.form); });
addEventListener("beforeunload", (event) => { if (typed.size) event.preventDefault(); });

// A lost connection is told, and what was shown stays.
const tell = (isLost) => { document.getElementById("lost").hidden = !isLost; };
document.addEventListener("htmx:error", () => tell(true));
document.addEventListener("htmx:response:error", () => tell(true));
document.addEventListener("htmx:after:swap", () => tell(false));

// The overview comes again and again over one stream, which the browser opens anew when it ends.
const follow = (element) => {
  const source = new EventSource(element.dataset.live);
  let late = 0;
  source.addEventListener("now", (event) => {
    clearTimeout(late);
    late = 0;
    tell(false);
    htmx.swap({ target: element, sourceElement: element, text: event.data, swap: "innerMorph" });
  });
  source.addEventListener("end", () => { source.close(); location.reload(); });
  source.addEventListener("error", () => {
    late ||= setTimeout(tell, 3000, true);
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 5000, element);
  });
};
document.querySelectorAll("[data-live]").forEach(follow);
