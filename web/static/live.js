// The page follows what happens. The server says what changed (server-sent events); the page is then fetched again, and
// its parts marked with data-live take the place of those that are shown. So nothing is drawn twice in two languages.
// Progress comes several times a second, and is put into the page as text.

import { clock, showTimes } from "./times.js";

const LEAST_MILLISECONDS = 900;
const POLL_MILLISECONDS = 5_000;
const HIDDEN_MILLISECONDS = 20_000;

let waiting = null;
let lastRefresh = 0;
let isRefreshing = false;
let isAsked = false;

// Of each live part, what the server sent: scripts write the times into it afterwards.
const sources = new WeakMap();

export function formatSize(size) {
  if (size < 1000) return `${Math.trunc(size)} B`;
  let unit = "";
  for (unit of ["kB", "MB", "GB", "TB", "PB"]) {
    size /= 1000;
    if (size < 999.5) break;
  }
  return `${size.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0)} ${unit}`;
}

// --- whole parts of the page ------------------------------------------------------------------------------------

function describe(element) {
  if (!element) return null;
  if (element.id) return { id: element.id };
  const href = element.getAttribute("href");
  if (href) return { href };
  const action = element.dataset?.action;
  return action ? { action } : null;
}

function find(part, description) {
  if (!description) return null;
  if (description.id) return document.getElementById(description.id);
  for (const each of part.querySelectorAll("a, button, summary")) {
    if (description.href && each.getAttribute("href") === description.href) return each;
    if (description.action && each.dataset.action === description.action) return each;
  }
  return null;
}

export function rememberParts() {
  for (const part of document.querySelectorAll("[data-live]")) sources.set(part, part.outerHTML);
}

function replacePart(before, after) {
  const source = after.outerHTML;
  if (sources.get(before) === source) return;
  const focused = before.contains(document.activeElement) ? describe(document.activeElement) : null;
  const open = [...before.querySelectorAll("details")].map((each) => each.open);
  const part = document.importNode(after, true);
  before.replaceWith(part);
  sources.set(part, source);
  part.querySelectorAll("details").forEach((each, position) => {
    if (open[position]) each.open = true;
  });
  showTimes(part);
  find(part, focused)?.focus({ preventScroll: true });
}

async function fetchPage() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
  if (answer.type === "opaqueredirect") {
    location.reload(); // the session has ended: the server leads to the sign-in
    return null;
  }
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

export async function refreshNow() {
  isRefreshing = true;
  lastRefresh = Date.now();
  try {
    const address = location.href;
    const page = await fetchPage();
    if (!page || address !== location.href) return;
    for (const after of page.querySelectorAll("[data-live]")) {
      const before = document.getElementById(after.id);
      if (before?.matches("[data-live]")) replacePart(before, after);
    }
    document.title = page.title;
    document.dispatchEvent(new CustomEvent("holdfast:refreshed"));
  } catch {
    // The server is away. It is asked again.
  } finally {
    isRefreshing = false;
    if (isAsked) {
      isAsked = false;
      refresh();
    }
  }
}

export function refresh() {
  if (isRefreshing) {
    isAsked = true;
    return;
  }
  if (waiting) return;
  const wait = Math.max(0, lastRefresh + LEAST_MILLISECONDS - Date.now());
  waiting = setTimeout(() => {
    waiting = null;
    refreshNow();
  }, wait);
}

// --- progress ---------------------------------------------------------------------------------------------------

function progressOf(activity) {
  if (activity.uploads.length) {
    const sent = activity.uploads.reduce((sum, each) => sum + each.sent, 0);
    return [sent, activity.uploads.reduce((sum, each) => sum + each.size, 0)];
  }
  return [activity.size, activity.expected_size];
}

function words(activity, done, expected) {
  if (activity.waiting_until) return `Waits for its next try at ${clock(activity.waiting_until).slice(0, 5)}`;
  const sending = activity.uploads.length > 0;
  const of = expected ? ` of ${sending ? "" : "about "}${formatSize(expected)}` : "";
  if (sending) return `Sending ${formatSize(done)}${of}`;
  const files = `${activity.files.toLocaleString("en")} ${activity.files === 1 ? "file" : "files"}`;
  return `${files} · ${formatSize(done)}${of}`;
}

function setText(box, field, text) {
  const element = box.querySelector(`[data-field="${field}"]`);
  if (element && element.textContent !== text) element.textContent = text;
}

function showActivity(box, activity) {
  const [done, expected] = progressOf(activity);
  const share = expected ? Math.min(100, Math.floor((100 * done) / expected)) : null;
  const bar = box.querySelector('[data-field="bar"]');
  if (bar && share === null) bar.removeAttribute("value");
  else if (bar) {
    bar.max = 100;
    bar.value = share;
  }
  setText(box, "words", words(activity, done, expected));
  setText(box, "share", share === null ? "" : `${share} %`);
  setText(box, "path", activity.path);
}

function showActivities(activities) {
  for (const activity of activities) {
    const boxes = document.querySelectorAll(`[data-activity="${CSS.escape(activity.id)}"]`);
    for (const box of boxes) showActivity(box, activity);
  }
}

// --- listening --------------------------------------------------------------------------------------------------

function concerns(backup) {
  const here = document.querySelector("main [data-backup][data-live]")?.dataset.backup;
  return !here || !backup || backup === here;
}

function showState(state) {
  const place = document.querySelector("[data-live-state]");
  if (!place) return;
  place.hidden = false;
  place.dataset.state = state;
  place.textContent = state === "live" ? "Live" : "Asks every few seconds";
}

function poll() {
  if (document.visibilityState === "visible") refresh();
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

let source = null;
let polling = null;
let known = null;

function onActivities(event) {
  const activities = parse(event.data)?.activities ?? [];
  showActivities(activities);
  const ids = activities.map((each) => each.id).sort().join();
  if (known !== null && ids !== known) refresh(); // something began, or has ended
  known = ids;
}

function connect() {
  source = new EventSource("/api/v1/events");
  source.addEventListener("open", () => {
    clearInterval(polling);
    polling = null;
    showState("live");
    refresh(); // what happened in between
  });
  source.addEventListener("error", () => {
    showState("polling");
    polling ??= setInterval(poll, POLL_MILLISECONDS);
  });
  source.addEventListener("backup", (event) => {
    if (concerns(parse(event.data)?.id)) refresh();
  });
  source.addEventListener("activity", onActivities);
}

function disconnect() {
  source?.close();
  source = null;
  clearInterval(polling);
  polling = null;
}

// A browser opens few connections to one server: a page that nobody looks at gives its own back after a while.
function followVisibility() {
  let leaving = null;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.visibilityState === "hidden") leaving = setTimeout(disconnect, HIDDEN_MILLISECONDS);
    else if (!source) connect();
  });
  window.addEventListener("pagehide", disconnect);
  window.addEventListener("pageshow", () => {
    if (!source) connect();
  });
}

export function startLive() {
  if (!document.querySelector("main [data-live]")) return;
  connect();
  followVisibility();
}
