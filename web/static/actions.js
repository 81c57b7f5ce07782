// What people do from a page: run, verify, drill, restore, cancel.
//
// A page has buttons, and nothing else (web/templates/actions.html has macros for them):
//
//   <button type="button" data-action="run" data-backup="shop/db">Run now</button>
//   <button type="button" data-action="verify" data-backup="shop/db"
//           data-timestamp="20261120T030000Z" data-target="S3:shop">Verify</button>     (both may be left out)
//   <button type="button" data-action="drill" data-backup="shop/db">Drill</button>
//   <button type="button" data-action="restore" data-backup="shop/db" data-timestamp="20261120T030000Z"
//           data-target="S3:shop" data-paths='["srv/shop/logo.png"]'>Restore…</button>  (no data-paths: everything)
//   <button type="button" data-action="cancel" data-activity-id="…" data-backup="shop/db">Cancel</button>
//
// They may come and go: clicks are taken from the document. main.js calls startActions() once. What came of it is said
// in the element with data-toasts, which is a live region. Everything is put into the page as text, never as HTML.

const FOLLOW_MILLISECONDS = 700;
const FOLLOW_TIMES = 40;
const TOAST_MILLISECONDS = 15_000;

// --- asking the server --------------------------------------------------------------------------------------------

async function ask(method, address, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address, { method, headers, body: body ? JSON.stringify(body) : undefined });
  } catch {
    throw new Error("The dashboard does not answer. Try it again.");
  }
  const document_ = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(document_.detail || `The dashboard answered ${answer.status}.`);
  return document_;
}

function addressOf(backup, action) {
  return `/api/v1/backups/${backup.split("/").map(encodeURIComponent).join("/")}/${action}`;
}

// --- telling ------------------------------------------------------------------------------------------------------

function say(text, { isBad = false, link = null } = {}) {
  const place = document.querySelector("[data-toasts]");
  if (!place) return;
  const toast = document.createElement("div");
  toast.className = isBad ? "toast bad" : "toast";
  toast.append(text);
  if (link) {
    const anchor = document.createElement("a");
    anchor.href = link;
    anchor.textContent = "See how it goes";
    toast.append(" ", anchor);
  }
  place.append(toast);
  setTimeout(() => toast.remove(), TOAST_MILLISECONDS);
}

// --- the dialog ---------------------------------------------------------------------------------------------------

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

// Answers with the values of its fields once it is confirmed, and null where it is not. ``submit`` does the thing
// while the dialog is still open: what it throws is shown there, and can be put right.
function confirm_(title, text, button, { fields = [], isDangerous = false, submit }) {
  return new Promise((resolve) => {
    const problem = element("p", { className: "message bad", hidden: true });
    problem.setAttribute("role", "alert");
    const yes = element("button", { className: isDangerous ? "danger" : "primary", textContent: button });
    const no = element("button", { type: "button", className: "plain", textContent: "Back" });
    const heading = element("h2", { id: "action-title", textContent: title });
    const form = element(
      "form",
      { method: "dialog" },
      heading,
      ...text.map((line) => element("p", { textContent: line })),
      ...fields,
      problem,
      element("div", { className: "actions" }, no, yes),
    );
    const dialog = element("dialog", {}, form);
    dialog.setAttribute("aria-labelledby", "action-title");
    let answer = null;
    no.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      yes.disabled = true;
      problem.hidden = true;
      try {
        answer = await submit(Object.fromEntries(new FormData(form)));
        dialog.close();
      } catch (error) {
        problem.textContent = error.message;
        problem.hidden = false;
      } finally {
        yes.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// --- following a job ----------------------------------------------------------------------------------------------

// A job has a page at once. That of a run appears with its run, which may take a moment: so it is asked for.
async function follow(job) {
  for (let tries = 0; tries < FOLLOW_TIMES && job.kind === "backup" && !job.run; tries += 1) {
    if (job.outcome !== "running") break;
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MILLISECONDS));
    job = await ask("GET", `/api/v1/jobs/${job.id}`);
  }
  location.assign(job.run ? `/runs/${job.run}` : `/jobs/${job.id}`);
}

async function start(button, action, title, text, word, options = {}) {
  const backup = button.dataset.backup;
  const job = await confirm_(title, text, word, {
    ...options,
    submit: (values) => ask("POST", addressOf(backup, action), options.body?.(values)),
  });
  if (!job) return;
  say(`${backup}: it begins.`, { link: `/jobs/${job.id}` });
  await follow(job);
}

// --- what can be done ---------------------------------------------------------------------------------------------

function copyWords(data) {
  return data.timestamp ? `the copy ${data.timestamp}` : "the newest good copy";
}

function defaultFolder(data) {
  const name = data.backup.replace("/", "-").replace(/[^A-Za-z0-9._-]/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  const now = new Date().toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
  return `${name.slice(0, 60)}-${now}`;
}

function restoreFields(data) {
  const input = element("input", {
    id: "action-folder",
    name: "folder_name",
    type: "text",
    required: true,
    maxLength: 100,
    pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*",
    title: "Letters, digits, dots, underscores and hyphens; it begins with a letter or a digit.",
    autocomplete: "off",
    spellcheck: false,
    value: defaultFolder(data),
  });
  const label = element("label", { htmlFor: "action-folder", textContent: "Name of the new folder" });
  return [element("p", { className: "field" }, label, input)];
}

function pathsOf(data) {
  return data.paths ? JSON.parse(data.paths) : [];
}

function describePaths(paths) {
  if (!paths.length) return "Everything in it is restored.";
  const shown = paths.slice(0, 5).join(", ");
  return `Only this is restored: ${shown}${paths.length > 5 ? `, and ${paths.length - 5} more` : ""}.`;
}

const ACTIONS = {
  run: (button) =>
    start(
      button,
      "run",
      `Run ${button.dataset.backup} now?`,
      ["It reads its source and makes a new copy on each target, as its schedule does."],
      "Run now",
    ),
  verify: (button) =>
    start(
      button,
      "verify",
      `Verify ${button.dataset.backup}?`,
      [`Every byte of ${copyWords(button.dataset)} is read back from its storage and checked. Storages may charge for that.`],
      "Verify",
      {
        body: () => ({
          timestamp: button.dataset.timestamp || null,
          target: (button.dataset.timestamp && button.dataset.target) || null,
        }),
      },
    ),
  drill: (button) =>
    start(
      button,
      "drill",
      `Drill ${button.dataset.backup}?`,
      ["The newest good copy is restored for real into a scratch place, compared with what was recorded, and removed again."],
      "Drill",
    ),
  restore: (button) => {
    const data = button.dataset;
    const paths = pathsOf(data);
    return start(
      button,
      "restore",
      `Restore from ${data.backup}`,
      [
        `From ${copyWords(data)} on ${data.target}. ${describePaths(paths)}`,
        "It goes into a new folder on the machine of the dashboard. Nothing is overwritten.",
      ],
      "Restore",
      {
        fields: restoreFields(data),
        body: (values) => ({
          timestamp: data.timestamp,
          target: data.target,
          paths,
          folder_name: values.folder_name,
        }),
      },
    );
  },
  cancel: async (button) => {
    const { backup, activityId } = button.dataset;
    const answer = await confirm_(
      `Cancel this for ${backup}?`,
      ["It ends cleanly: nothing is left half done, and earlier copies are untouched."],
      "Cancel it",
      {
        isDangerous: true,
        submit: () => ask("POST", `/api/v1/activities/${encodeURIComponent(activityId)}/cancel`),
      },
    );
    if (answer) say(`${backup}: it was asked to end.`);
  },
};

export function startActions() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-action]");
    const act = button && ACTIONS[button.dataset.action];
    if (!act || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    try {
      await act(button);
    } catch (error) {
      say(error.message, { isBad: true });
    }
  });
  followShownJob();
}

// --- the page of a job --------------------------------------------------------------------------------------------

// What a job wrote grows in its page; once it begins or ends, the page is loaded again, as the server draws it. How far
// it is comes from live.js.
function followShownJob() {
  const shown = document.querySelector('[data-job][data-outcome="running"]');
  if (!shown) return;
  const look = async () => {
    try {
      const job = await ask("GET", `/api/v1/jobs/${encodeURIComponent(shown.dataset.job)}`);
      const output = shown.querySelector("[data-output]");
      if (output && output.textContent !== job.output) output.textContent = job.output;
      if (job.outcome !== "running" || (job.activity ?? "") !== shown.dataset.activityId) {
        location.reload();
        return;
      }
    } catch {
      // The dashboard is away. It is asked again.
    }
    setTimeout(look, FOLLOW_MILLISECONDS);
  };
  look();
}
