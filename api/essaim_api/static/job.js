/** One job: how far it is, as it goes, and what came out. */

import { call, follow, get, post } from "./api.js";
import { announce, attempt, byId, h, keep, notice, plural, shortId, state, sureButton, time, took } from "./dom.js";
import { render } from "./result.js";

const TASKS_SHOWN = 200;
const PAUSE = 2000; // milliseconds until an API that does not answer is asked again
const ENDED = ["succeeded", "failed", "cancelled"];

/** Show the job in the section, and follow it. Returns `leave()`, and `hear(jobs)` for the jobs that somebody has seen. */
export function openJob(section, id, changed) {
  const left = new AbortController();
  const path = `/v1/jobs/${encodeURIComponent(id)}`;
  const head = h("p", { class: "facts" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Progress of the job" });
  const said = h("p", { class: "muted" });
  const buttons = h("p", { class: "buttons" });
  const problem = h("div", {});
  const result = h("div", { class: "result" });
  const request = h("pre", { tabindex: 0, "aria-label": "Request" });
  const rows = h("tbody", {});
  const rest = h("p", { class: "muted" });
  const tasks = h("details", { ontoggle: () => tasks.open && attempt(showTasks) }, h("summary", {}, "Tasks"), taskTable(rows), rest);
  let seen = "";
  let last = "";

  const show = (job) => {
    last = job.state;
    head.replaceChildren(state(job.state), ...facts(job));
    bar.hidden = ENDED.includes(job.state);
    bar.value = job.state === "succeeded" ? 1 : job.progress;
    said.hidden = job.state === "succeeded" || (job.tasks === null && bar.hidden);
    const tasks = job.tasks === null ? "not split into tasks yet" : `${job.tasks_ended} of ${plural(job.tasks, "task")} ended`;
    said.textContent = `${Math.floor(bar.value * 100)} % · ${tasks}`;
    problem.replaceChildren(...(job.problem ? [h("p", { class: "complaint" }, job.problem.detail)] : []));
    const wanted = `${job.state} ${job.run}`;
    if (buttons.dataset.for !== wanted) {
      const focused = buttons.contains(document.activeElement);
      buttons.dataset.for = wanted;
      buttons.replaceChildren(...actions(job));
      if (focused) byId("job-title").focus();
    }
    const news = `Job ${shortId(id)} is ${job.state}${job.state === "running" ? `, ${Math.floor(job.progress * 4) * 25} %` : ""}`;
    if (news !== seen) announce((seen = news));
  };
  const actions = (job) => [
    !ENDED.includes(job.state) && sureButton("Cancel job", "Yes, cancel it", () => attempt(() => act("DELETE", path))),
    job.state === "failed" && h("button", { type: "button", onclick: () => attempt(() => act("POST", `${path}/retry`)) }, "Retry job"),
    job.links.result && h("button", { type: "button", onclick: () => attempt(() => download(job)) }, "Download result"),
  ].filter(Boolean);
  const act = async (method, where) => {
    show(await (await call(method, where)).json());
    changed();
    run();
  };
  const showTasks = async () => {
    const page = await get(`${path}/tasks?limit=${TASKS_SHOWN}`, { signal: left.signal });
    keep(rows, page.tasks, (task) => task.number, taskRow);
    rest.textContent = page.after === null ? "" : `The first ${TASKS_SHOWN} are shown.`;
  };
  const whole = async () => {
    const job = await get(path, { signal: left.signal });
    show(job);
    request.textContent = JSON.stringify(job.request, null, 2);
    result.replaceChildren(...outcome(job));
    if (tasks.open) await showTasks();
    return job;
  };
  let following = null;
  const run = async () => {
    following?.abort();
    const mine = (following = new AbortController());
    left.signal.addEventListener("abort", () => mine.abort());
    while (!mine.signal.aborted) {
      try {
        const job = await whole();
        notice("job", null);
        if (ENDED.includes(job.state)) return;
        for await (const { data } of follow(job.links.events, mine.signal)) {
          show(data);
          if (tasks.open) await showTasks();
        }
        changed(); // it has ended, so look at the whole of it
      } catch (error) {
        if (mine.signal.aborted) return;
        if (error.status >= 400 && error.status < 500) return void problem.replaceChildren(h("p", { class: "complaint" }, error.message));
        notice("job", error);
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  };

  section.replaceChildren(
    h("div", { class: "head" },
      h("h2", { id: "job-title", tabindex: -1 }, "Job ", h("span", { class: "id" }, shortId(id))),
      h("a", { href: "#", class: "button quiet" }, "Close")),
    head, bar, said, problem, buttons, result,
    h("details", {}, h("summary", {}, "Request"), request),
    tasks);
  section.hidden = false;
  byId("job-title").focus();
  run();
  const hear = (jobs) => {
    if (last === "failed" && jobs.find((job) => job.id === id)?.state !== "failed") run(); // retried or replayed, by whomever
  };
  const leave = () => {
    left.abort();
    notice("job", null);
  };
  return { hear, leave };
}

const facts = (job) => [
  h("span", {}, "submitted ", time(job.created)),
  job.retried && h("span", {}, "retried ", time(job.retried)),
  job.started && h("span", {}, `${job.ended ? "took" : "running for"} ${took(job)}`),
  job.state === "succeeded" && h("span", {}, plural(job.tasks, "task")),
  job.run > 1 && h("span", {}, `run ${job.run}`),
  h("span", {}, `release ${job.release}`),
  h("span", {}, `owner ${job.owner}`),
  h("span", { class: "id" }, job.id),
].filter(Boolean);

function outcome(job) {
  if (job.state !== "succeeded") return [];
  if (job.result === null) return [h("h3", {}, "Result"), h("p", { class: "muted" }, "It is large: download it to see it.")];
  return [h("h3", {}, "Result"), render(job.result)];
}

/** A link could not send the token. */
async function download(job) {
  const blob = await (await call("GET", job.links.result)).blob();
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: `${job.id}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const taskTable = (rows) => h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table of tasks" },
  h("table", {},
    h("thead", {}, h("tr", {}, ["Task", "State", "Progress", "Attempts", "Worker"].map((name) => h("th", { scope: "col" }, name)))),
    rows));

const taskRow = (task) => h("tr", {},
  h("th", { scope: "row", class: "number" }, String(task.number)),
  h("td", {}, state(task.state), task.problem && h("div", { class: "complaint" }, task.problem.detail)),
  h("td", { class: "number" }, `${Math.floor(task.progress * 100)} %`),
  h("td", { class: "number" }, task.failures ? `${task.attempts} (${task.failures} failed)` : String(task.attempts)),
  h("td", { class: "id" }, task.worker ?? "–"));
