// The page of what is in a copy: "/" goes to the search, and sizes of folders come once the whole list was read.

const LOOK_MILLISECONDS = 1500;
const LOOKS = 40;

const search = document.querySelector("[data-search]");

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, dialog");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search?.focus();
    search?.select();
  }
});

async function complete(section) {
  for (let look = 0; look < LOOKS; look++) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS));
    if (document.hidden || document.querySelector("dialog[open]") || section.contains(document.activeElement)) continue;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) continue;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const newer = page.querySelector("section[aria-labelledby=folder-title]");
    if (newer && !newer.hasAttribute("data-incomplete")) {
      section.replaceWith(document.adoptNode(newer));
      return;
    }
  }
}

const incomplete = document.querySelector("[data-incomplete]");
if (incomplete) complete(incomplete);
