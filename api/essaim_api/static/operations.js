/** Workers and dead letters. */

import { get, post } from "./api.js";
import { attempt, h, jobLink, keep, plural, time } from "./dom.js";

const LETTERS_SHOWN = 100;

/** Add the table of workers to the section. Returns `show(workers, waiting)`. */
export function openWorkers(section) {
  const said = h("p", { class: "muted" });
  const rows = h("tbody", {});
  const table = h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table of workers" },
    h("table", {},
      h("thead", {}, h("tr", {}, ["Worker", "Doing", "Since", "Release"].map((name, index) => h("th", { scope: "col", class: index > 1 && "roomy" }, name)))),
      rows));
  section.append(said, table);
  const row = (worker) => h("tr", {},
    h("th", { scope: "row", class: "id name", title: worker.id }, worker.id),
    h("td", {}, worker.tasks.length ? worker.tasks.map(task) : h("span", { class: "muted" }, "idle")),
    h("td", { class: "number roomy" }, time(worker.started)),
    h("td", { class: "roomy" }, worker.release));
  const show = (workers, waiting) => {
    const idle = workers.filter((worker) => !worker.tasks.length).length;
    table.hidden = !workers.length;
    said.textContent = workers.length
      ? `${plural(workers.length, "worker")}, ${idle ? `${idle} idle` : "all busy"}.`
      : waiting ? "No workers, although there is work. They are starting, or nothing starts them."
      : "No workers. They start when there is work, and stop when it is done.";
    const seen = workers.map(({ id, release, started, tasks }) => ({ id, release, started, tasks }));
    keep(rows, seen, (worker) => worker.id, row);
  };
  return show;
}

function task(name) {
  const [id, number] = name.split("/");
  return h("span", { class: "doing" }, jobLink(id, h("span", { class: "muted" }, ` task ${number}`)));
}

/** Add the dead letters to the section. Returns `load()`. */
export function openDeadLetters(section, changed) {
  const said = h("p", { class: "muted" });
  const rows = h("tbody", {});
  const table = h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table of dead letters" },
    h("table", {},
      h("thead", {}, h("tr", {}, ["Job", "Reason", "Parked"].map((name) => h("th", { scope: "col" }, name)), h("td", {}))),
      rows));
  const all = h("button", { type: "button", onclick: () => attempt(() => replay()) }, "Replay all");
  section.append(said, table, h("p", { class: "buttons" }, all));

  const load = async () => {
    const { dead_letters: letters } = await get(`/v1/dead-letters?limit=${LETTERS_SHOWN}`);
    const many = letters.length === LETTERS_SHOWN ? `The first ${LETTERS_SHOWN}` : plural(letters.length, "message");
    said.textContent = letters.length
      ? `${many} parked after their last attempt. Replay them to run their jobs again.`
      : "No dead letters.";
    table.hidden = all.hidden = !letters.length;
    keep(rows, letters, (letter) => letter.id, row);
  };
  const replay = async (ids) => {
    await post("/v1/dead-letters/replay", ids && { ids });
    await load();
    changed();
  };
  const row = (letter) => h("tr", {},
    h("th", { scope: "row" }, letter.event?.subject ? jobLink(letter.event.subject) : h("code", { class: "name" }, letter.body ?? "–")),
    h("td", { class: "quote" }, letter.reason),
    h("td", { class: "number" }, time(letter.parked)),
    h("td", { class: "end" }, h("button", { type: "button", class: "quiet", "data-focus": "replay", "aria-label": `Replay message ${letter.id}`, onclick: () => attempt(() => replay([letter.id])) }, "Replay")));
  return load;
}
