// How long ago a time was, or in how long it is, beside each <time data-ago>.

const UNITS = [
  [60, "min"],
  [3600, "h"],
  [86400, "d"],
];

// The time of the day on the server, as the rest of the page has it.
function clockOfServer() {
  const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  try {
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: document.documentElement.dataset.zone });
  } catch {
    return new Intl.DateTimeFormat("en-GB", options);
  }
}

let format = null;

export function clock(time) {
  format ??= clockOfServer();
  return format.format(new Date(time));
}

export function relative(seconds) {
  const size = Math.abs(seconds);
  if (size < 60) return seconds < 0 ? "in a moment" : "just now";
  let [step, unit] = UNITS[0];
  for (const [each, name] of UNITS) if (size >= each) [step, unit] = [each, name];
  const words = `${Math.floor(size / step)} ${unit}`;
  return seconds < 0 ? `in ${words}` : `${words} ago`;
}

export function showTimes(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const words = relative((now - Date.parse(time.dateTime)) / 1000);
    let beside = time.nextElementSibling;
    if (!beside?.classList.contains("ago")) {
      beside = document.createElement("span");
      beside.className = "ago";
      time.after(" ", beside);
    }
    if (beside.textContent !== words) beside.textContent = words;
  }
}
