// The button that switches between light and dark, and remembers it.

export function startTheme() {
  for (const button of document.querySelectorAll("[data-theme-button]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const root = document.documentElement;
      const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
      root.dataset.theme = now === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("holdfast-theme", root.dataset.theme);
      } catch {
        // Without storage it holds for this page.
      }
    });
  }
}
