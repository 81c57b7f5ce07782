// Days of a calendar by the arrow keys: one of them can be reached by Tab, the others from there.

const STEP = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
const PITCH = 13;

function place(link) {
  const cell = link.querySelector("rect");
  return [Number(cell.getAttribute("x")), Number(cell.getAttribute("y"))];
}

// The nearest day with a run in this direction; days without one are no links.
function nearest(links, from, [across, down]) {
  const [x, y] = place(from);
  let best = null;
  let shortest = Infinity;
  for (const link of links) {
    const [otherX, otherY] = place(link);
    const forwards = (otherX - x) * across + (otherY - y) * down;
    const aside = Math.abs((otherX - x) * down) + Math.abs((otherY - y) * across);
    if (forwards <= 0) continue;
    const distance = forwards + aside * PITCH;
    if (distance < shortest) [best, shortest] = [link, distance];
  }
  return best;
}

export function startCalendars() {
  document.addEventListener("keydown", (event) => {
    const link = event.target.closest?.(".calendar a");
    const step = STEP[event.key];
    if (!link || !step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const group = link.closest(".calendar-year") ?? link.closest(".calendar");
    const calendars = group.matches(".calendar") ? [group] : [...group.querySelectorAll(".calendar")];
    const own = link.closest(".calendar");
    let target = nearest(own.querySelectorAll("a"), link, step);
    if (!target && step[0]) {
      const neighbour = calendars[calendars.indexOf(own) + step[0]];
      const days = neighbour ? [...neighbour.querySelectorAll("a")] : [];
      target = step[0] > 0 ? days[0] : days.at(-1);
    }
    if (!target) return;
    link.setAttribute("tabindex", "-1");
    target.setAttribute("tabindex", "0");
    target.focus();
  });
}
