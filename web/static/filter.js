// The search box of the overview searches while one types; without scripts it is an ordinary form.

import { refreshNow } from "./live.js";

const PAUSE_MILLISECONDS = 200;

export function startFilter() {
  const form = document.querySelector("[data-filter]");
  if (!form) return;
  let waiting = null;
  const search = () => {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
    const address = query.size ? `/?${query}` : "/";
    history.replaceState(null, "", address);
    refreshNow();
  };
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, PAUSE_MILLISECONDS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    search();
  });
}
