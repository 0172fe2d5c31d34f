/** The table of jobs: by state, page by page. */

import { call, get, post } from "./api.js";
import { attempt, h, jobLink, keep, plural, state, sureButton, time, took } from "./dom.js";

const STATES = ["queued", "running", "succeeded", "failed", "cancelled"];
const PAGE = 15;

/** Add the table to the section. Returns `load()`, to show what is there now and return it, and `count(jobs)`, for the numbers of `/v1/stats`. */
export function openJobs(section) {
  const rows = h("tbody", {});
  const empty = h("p", { class: "empty", hidden: true });
  const newer = h("button", { type: "button", class: "quiet" }, "Newer");
  const older = h("button", { type: "button", class: "quiet" }, "Older");
  const where = h("span", { class: "muted" });
  let only = "";
  let before = []; // the cursors of the pages up to this one
  let next = null;

  const load = async () => {
    const asked = [only, before.at(-1)].join();
    const query = new URLSearchParams({ limit: PAGE });
    if (only) query.set("state", only);
    if (before.length) query.set("cursor", before.at(-1));
    const page = await get(`/v1/jobs?${query}`);
    if (asked !== [only, before.at(-1)].join()) return page.jobs; // somebody has turned the page meanwhile
    next = page.cursor;
    keep(rows, page.jobs.map((job) => ({ ...job, shown: took(job) })), (job) => job.id, row);
    empty.hidden = page.jobs.length > 0;
    empty.textContent = only ? `No job is ${only}.` : "No jobs yet. Submit the first one: an example fills in the form.";
    newer.hidden = !before.length;
    older.hidden = !next;
    where.hidden = !before.length;
    where.textContent = before.length ? `page ${before.length + 1}` : "";
    table.hidden = !page.jobs.length;
    return page.jobs;
  };
  const turn = (pages) => {
    before = pages;
    return attempt(load);
  };
  newer.onclick = () => turn(before.slice(0, -1));
  older.onclick = () => next && turn([...before, next]);

  const row = (job) => h("tr", {},
    h("td", {}, state(job.state)),
    h("th", { scope: "row" }, jobLink(job.id)),
    h("td", { class: "progress" }, progress(job)),
    h("td", { class: "number" }, time(job.created)),
    h("td", { class: "number roomy" }, job.shown),
    h("td", { class: "roomy" }, job.owner),
    h("td", { class: "end" }, action(job)));
  const action = (job) => {
    const path = `/v1/jobs/${job.id}`;
    const act = (method, to) => attempt(async () => {
      await call(method, to);
      await load();
    });
    if (job.state === "failed") return h("button", { type: "button", class: "quiet", "data-focus": "act", "aria-label": `Retry job ${job.id}`, onclick: () => act("POST", `${path}/retry`) }, "Retry");
    return ["queued", "running"].includes(job.state) && sureButton("Cancel", "Sure?", () => act("DELETE", path), { quiet: true, name: `Cancel job ${job.id}` });
  };

  const filters = ["", ...STATES].map((name) => {
    const number = h("b", {}, "");
    const choose = () => {
      only = name;
      for (const each of filters) each.button.setAttribute("aria-pressed", String(each.name === only));
      return turn([]);
    };
    const button = h("button", { type: "button", "aria-pressed": String(name === ""), onclick: choose }, name ? state(name) : "all", " ", number);
    return { name, number, button };
  });
  const count = (byRelease) => {
    const total = (name) => Object.values(byRelease).reduce((sum, states) => sum + (states[name] ?? 0), 0);
    const all = STATES.reduce((sum, name) => sum + total(name), 0);
    for (const { name, number } of filters) number.textContent = (name ? total(name) : all).toLocaleString("en");
  };

  const heads = [["State"], ["Job"], ["Progress"], ["Submitted"], ["Took", "roomy"], ["Owner", "roomy"]];
  const table = h("table", { class: "jobs", "aria-labelledby": "jobs-title" },
    h("thead", {}, h("tr", {},
      heads.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)),
      h("td", {}))),
    rows);
  section.append(
    h("div", { class: "filters", role: "group", "aria-label": "Show jobs that are" }, filters.map((each) => each.button)),
    table, empty, h("p", { class: "buttons" }, newer, older, where));
  return { load, count };
}

function progress(job) {
  if (job.problem) return h("span", { class: "complaint", title: job.problem.detail }, job.problem.detail);
  if (job.state === "queued") return h("span", { class: "muted" }, "waiting");
  const tasks = job.tasks > 1 && [` ${job.tasks_ended} of ${job.tasks.toLocaleString("en")}`, h("span", { class: "roomy" }, " tasks")];
  if (job.state === "succeeded") return h("span", { class: "muted" }, plural(job.tasks, "task"));
  return [
    job.state === "running" && h("progress", { max: 1, value: job.progress, "aria-label": `Progress of job ${job.id}` }),
    h("span", { class: "muted number" }, tasks || ` ${Math.floor(job.progress * 100)} %`),
  ].filter(Boolean);
}
