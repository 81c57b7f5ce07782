#!/usr/bin/env python3
"""Make docs/screenshots: every page of the dashboard, light and dark, on a telephone and on a desktop.

    .venv/bin/python tools/screenshots.py [FOLDER]

It needs Chromium (Debian's package ``chromium``) and playwright. What it shows is in ``tests/support/demo_site.py``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from base64 import b64decode, b64encode
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from tests.support.dashboard import Dashboard, running_dashboard  # noqa: E402
from tests.support.demo_site import ENVIRONMENT, FAILED, REAL, running_backup, write_demo  # noqa: E402
from tests.support.holdfast import Holdfast  # noqa: E402
from utils import utc_now  # noqa: E402

# The folder of this run of the program is nobody's.
HIDE = """folder => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (text.data.includes(folder)) text.data = text.data.replaceAll(folder, "/srv");
  }
  const parts = folder.split("/").filter(Boolean);
  for (const item of document.querySelectorAll(".crumbs li"))
    if (parts.includes(item.textContent.trim())) item.remove();
}"""

# A third of the size of a PNG, and every browser shows it. Chromium itself writes it.
TO_WEBP = """async png => {
  const bytes = Uint8Array.from(atob(png), each => each.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").drawImage(picture, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/webp", quality: 0.9 });
  const data = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(data, each => String.fromCharCode(each)).join(""));
}"""

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        holdfast = Holdfast(Path(temporary) / "holdfast")
        os.environ.update(ENVIRONMENT, LOCAL_STORAGE_ROOT=str(holdfast.storage), STATE_DIR=str(holdfast.state))
        now = utc_now()
        write_demo(holdfast, Path(temporary) / "uploads", now)
        holdfast.run("backup.py", REAL).check_returncode()
        with running_backup(holdfast, now), running_dashboard(holdfast) as dashboard, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for theme in ("light", "dark"):
                for size in SIZES:
                    take(browser, dashboard, folder, theme, size)
            browser.close()


def pages(dashboard: Dashboard) -> dict[str, str]:
    """The path of each page, by the name of its picture."""
    failed = dashboard.catalog.runs(FAILED, 1)[0]
    copy = dashboard.client().get(f"/api/v1/backups/{REAL}/copies").json()["copies"][0]
    running = next(run for run in dashboard.catalog.runs_of_all(5) if run.ended is None)
    return {
        "overview": "/",
        "project": "/projects/Web-shop",
        "backup": "/backups/Web-shop/database",
        "charts": "/backups/Web-shop/database#charts",
        "run-failed": f"/runs/{failed.id}",
        "run-live": f"/runs/{running.id}",
        "runs": "/runs",
        "copies": f"/backups/{REAL}/copies",
        "browse": f"/backups/{REAL}/copies/{copy['timestamp']}?{urlencode({'target': copy['target']})}",
        "day": f"/days/{failed.started.date()}",
        "schedule": "/schedule",
        "storage": "/storage",
        "config": "/config",
    }


def take(browser: Browser, dashboard: Dashboard, folder: Path, theme: str, size: str) -> None:
    """All pages in one theme and size."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
    )
    page = context.new_page()
    base = dashboard.base.rstrip("/")
    page.goto(f"{base}/sign-in")
    shoot(page, folder / f"sign-in-{size}-{theme}.webp")
    secret = dashboard.client().cookies["holdfast"]
    context.add_cookies([{"name": "holdfast", "value": secret, "url": dashboard.base}])
    while not dashboard.services.snapshot.view.is_whole:
        page.wait_for_timeout(100)
    for name, path in pages(dashboard).items():
        page.goto(base + path)
        page.wait_for_timeout(400)
        page.evaluate(HIDE, str(dashboard.holdfast.folder.parent))
        shoot(page, folder / f"{name}-{size}-{theme}.webp")
    context.close()


def shoot(page: Page, path: Path) -> None:
    """Keep what the page shows."""
    blank = page.context.new_page()
    path.write_bytes(b64decode(blank.evaluate(TO_WEBP, b64encode(page.screenshot()).decode())))
    blank.close()


if __name__ == "__main__":
    main()
