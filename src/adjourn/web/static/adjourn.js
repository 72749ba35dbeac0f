// The dashboard of adjourn: brings figures up to date, and listens to keys. All pages work without it.
//
// Every page is made on the server. What is new is read as a document, never parsed from text, and only what differs is
// taken over: texts, and a few kinds of attributes. So nothing that stands in the database can become a script here.

const POLL = 5000; // milliseconds between two looks where there is no stream
const ANNOUNCE = 10000; // the least between two announcements to screen readers

const body = document.body;
const $ = (id) => document.getElementById(id);
const remembered = {
  get(name) { try { return localStorage.getItem(`adjourn.${name}`); } catch { return null; } },
  set(name, value) {
    try { value === null ? localStorage.removeItem(`adjourn.${name}`) : localStorage.setItem(`adjourn.${name}`, value); } catch { /* not kept */ }
  },
};

// Themes

const THEMES = ["system", "light", "dark"];
function showTheme() {
  const theme = remembered.get("theme") ?? "system";
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
}
$("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(remembered.get("theme") ?? "system") + 1) % THEMES.length];
  remembered.set("theme", next === "system" ? null : next);
  showTheme();
});
showTheme();
$("tools").hidden = false;

// How dense pages are; the page of settings has the button

function showDensity() {
  const density = remembered.get("density") === "compact" ? "compact" : "comfortable";
  document.documentElement.dataset.density = density;
  const button = $("density");
  if (!button) return;
  button.hidden = false;
  button.textContent = `Density: ${density}`;
}
$("density")?.addEventListener("click", () => {
  remembered.set("density", remembered.get("density") === "compact" ? null : "compact");
  showDensity();
});
showDensity();

// On a phone the navigation is one line, of which the present page is to be seen.
const present = document.querySelector("nav [aria-current]");
if (present) document.querySelector("nav").scrollLeft = present.offsetLeft - 60;

// What is new

let frozen = false;
let stream = null;
let timer = null;
let reading = null;
let announced = 0;
let saying = null;

function say(mode, text) {
  const element = $("mode");
  if (element.dataset.mode !== mode) announce(mode === "live" ? "" : `The figures are ${text}.`);
  element.dataset.mode = mode;
  element.textContent = text;
  element.hidden = false;
}

// Tells screen readers, at once or when they had time for what they were told before.
function announce(text) {
  clearTimeout(saying);
  saying = setTimeout(() => {
    if (text) announced = Date.now();
    $("announcer").textContent = text;
  }, text ? Math.max(0, announced + ANNOUNCE - Date.now()) : 0);
}

// Reads this page again. A document that is read so runs no script.
function look(mode) {
  if (reading || frozen) return;
  const request = (reading = new XMLHttpRequest());
  request.open("GET", location.href);
  request.setRequestHeader("X-Adjourn-Look", "1");
  request.responseType = "document";
  request.timeout = 10000;
  request.onload = () => {
    reading = null;
    if (request.status === 200 && request.response) {
      take(request.response);
      // The server says itself that its figures are old.
      $("state").querySelector(".bad") ? ($("mode").hidden = true) : say(mode, mode);
    } else {
      say("offline", `not new: the server answered ${request.status}`);
    }
  };
  request.onerror = request.ontimeout = () => {
    reading = null;
    say("offline", "not new: the dashboard does not answer");
  };
  request.send();
}

function take(fresh) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (now && !old.contains(busyElement())) merge(old, now);
  }
}

// The element that somebody types into, which is left alone.
function busyElement() {
  const element = document.activeElement;
  return element && element.matches("input:not([type=hidden]), select, textarea") ? element : null;
}

const OWN = new Set(["open", "checked", "selected", "value", "aria-selected", "tabindex"]);
// What somebody has typed or opened; the value of a bar, and one that nobody sees, is the server's.
const isOwn = (element, name) => OWN.has(name) && !(name === "value" && (element.nodeName === "PROGRESS" || element.type === "hidden"));
function merge(old, now) {
  for (const { name, value } of now.attributes) {
    if (!isOwn(old, name) && !name.startsWith("on") && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) if (!isOwn(old, name) && !now.hasAttribute(name)) old.removeAttribute(name);
  if (old.classList.contains("current") !== (old === row)) old.classList.toggle("current", old === row);
  const rows = new Map([...old.children].filter((each) => each.dataset.row).map((each) => [each.dataset.row, each]));
  let place = old.firstChild;
  for (const each of [...now.childNodes]) {
    const known = each.nodeType === Node.ELEMENT_NODE && each.dataset?.row ? rows.get(each.dataset.row) : null;
    if (known) {
      rows.delete(each.dataset.row);
      if (known === place) place = place.nextSibling;
      else old.insertBefore(known, place);
      merge(known, each);
    } else if (place && alike(place, each) && !rows.has(place.dataset?.row)) {
      const next = place.nextSibling;
      if (place.nodeType === Node.ELEMENT_NODE) merge(place, each);
      else if (place.data !== each.data) place.data = each.data;
      place = next;
    } else if (each.nodeName.toLowerCase() !== "script") {
      old.insertBefore(document.importNode(each, true), place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}
function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && one.id === other.id && one.dataset?.row === other.dataset?.row;
}

function begin() {
  end();
  if (!body.dataset.page || frozen || document.hidden) return;
  if (body.dataset.events && window.EventSource) {
    stream = new EventSource(body.dataset.events);
    stream.addEventListener("look", () => { poll(false); look("live"); });
    stream.onerror = () => { poll(true); if (stream.readyState === EventSource.CLOSED) setTimeout(begin, 30000); };
  } else {
    poll(true);
  }
}
function poll(on) {
  // A stream that is refused fails every three seconds: what asks already goes on.
  if (on === (timer !== null)) return;
  clearInterval(timer);
  timer = on ? setInterval(() => look("polling"), POLL) : null;
}
function end() {
  stream?.close();
  stream = null;
  poll(false);
}
function freeze(on) {
  frozen = on;
  $("freeze").setAttribute("aria-pressed", String(on));
  $("freeze").textContent = on ? "Go on" : "Freeze";
  if (on) { end(); say("frozen", "frozen"); } else { begin(); look(stream ? "live" : "polling"); }
}
$("freeze").hidden = !body.dataset.page;
$("freeze").addEventListener("click", () => freeze(!frozen));
// A browser has six connections for a site: a page that nobody sees holds none.
document.addEventListener("visibilitychange", () => (document.hidden ? end() : begin()));
addEventListener("pagehide", end);

// Buttons that copy, and boxes that check all

document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) copyText(copy);
  const all = event.target.closest("[data-check-all]");
  if (all) for (const box of document.querySelectorAll(`input[name="${CSS.escape(all.dataset.checkAll)}"]`)) box.checked = all.checked;
});
for (const all of document.querySelectorAll("[data-check-all]")) all.hidden = false;
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (event.target.matches("[data-check-all]") || form?.id === "chosen") countChosen();
});
addEventListener("pageshow", countChosen);
function countChosen() {
  const told = $("chosen-count");
  if (!told) return;
  const boxes = [...document.querySelectorAll('input[name="job"][form="chosen"]')];
  const count = boxes.filter((box) => box.checked).length;
  told.textContent = `With the chosen jobs (${count}):`;
  const all = $("check-all");
  all.checked = count > 0 && count === boxes.length;
  all.indeterminate = count > 0 && count < boxes.length;
}
async function copyText(button) {
  const text = $(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain http there is no clipboard but the one of before.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), 1500);
}

// Keys

let row = null;
let lead = 0;
const dialog = $("keys");
$("keys-off").checked = remembered.get("keys") === "off";
$("keys-off").addEventListener("change", (event) => remembered.set("keys", event.target.checked ? "off" : null));
$("help").addEventListener("click", () => dialog.showModal());

function choose(step) {
  const rows = [...document.querySelectorAll("main tbody tr")];
  if (!rows.length) return;
  const place = rows.indexOf(row);
  const next = rows[Math.min(rows.length - 1, Math.max(0, place < 0 ? 0 : place + step))];
  row?.classList.remove("current");
  row = next;
  row.classList.add("current");
  row.scrollIntoView({ block: "nearest" });
  (row.querySelector("a") ?? row.querySelector("button, input:not([type=hidden])"))?.focus({ preventScroll: true });
}

const KEYS = {
  "?": () => dialog.showModal(),
  "/": () => document.querySelector("main input[type=search], main .filters input")?.focus(),
  j: () => choose(1),
  k: () => choose(-1),
  x: () => row?.querySelector("input[type=checkbox]")?.click(),
  r: () => row?.querySelector("[data-key-retry], form[action$='/do/job.retry'] button")?.click(),
  ".": () => body.dataset.page && freeze(!frozen),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || dialog.open) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea") || ($("keys-off").checked && event.key !== "?")) return;
  if (Date.now() - lead < 1500) {
    lead = 0;
    const page = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
    if (page) { event.preventDefault(); page.click(); }
  } else if (event.key === "g") {
    lead = Date.now();
  } else if (Object.hasOwn(KEYS, event.key)) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

begin();
