// The log of a run that is under way grows in the page. What it says is only ever put in as text.

import { clock } from "./times.js";

const PAUSE_MILLISECONDS = 700;
const MOST_LINES = 5_000;

function addLine(log, line) {
  const element = document.createElement("span");
  if (line.level === "WARNING") element.className = "warning";
  if (line.level === "ERROR" || line.level === "CRITICAL") element.className = "error";
  element.textContent = line.time ? `${clock(line.time)}  ${line.message}` : line.message;
  log.append(element);
}

async function fetchMore(log) {
  const answer = await fetch(`/api/v1/runs/${encodeURIComponent(log.dataset.log)}/log?offset=${log.dataset.offset}`);
  if (!answer.ok) return false;
  const piece = await answer.json();
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  for (const line of piece.lines) addLine(log, line);
  while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
  log.dataset.offset = piece.next_offset;
  if (piece.lines.length) {
    document.querySelector("[data-log-empty]")?.remove();
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }
  return piece.next_offset < piece.size && piece.lines.length > 0;
}

export function startLog() {
  const log = document.querySelector("[data-log]");
  if (!log) return;
  log.scrollTop = log.scrollHeight;
  const isRunning = () => document.getElementById("run")?.dataset.status === "running";
  let wasRunning = isRunning();
  let isBusy = false;
  const look = async () => {
    const running = isRunning();
    if (isBusy || !(running || wasRunning)) return;
    isBusy = true;
    try {
      while (await fetchMore(log));
      wasRunning = running; // once more after its end, for the last lines
    } catch {
      // The server is away. It is asked again.
    } finally {
      isBusy = false;
    }
  };
  setInterval(look, PAUSE_MILLISECONDS);
}
