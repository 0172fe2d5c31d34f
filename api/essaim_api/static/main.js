/** The page: assembles its parts, polls the API, and shows the job in the address. */

import { askForToken, get, hasToken } from "./api.js";
import { byId, notice } from "./dom.js";
import { openDeadLetters, openWorkers } from "./operations.js";
import { openJob } from "./job.js";
import { openJobs } from "./jobs.js";
import { History, Plot } from "./plot.js";
import { openForm } from "./submit.js";
import { openTexts } from "./texts.js";

const LOOK_SECONDS = 2;
const LOOK_AROUND = 5; // looks until the dead letters are looked at too
const LONGEST_PAUSE_SECONDS = 10; // between looks at an API that does not answer

const samples = new History();
const queue = new Plot("Queue", "in_flight", "ready", ({ ready, in_flight }) => ({
  numbers: [["upper", ready, "waiting"], ["lower", in_flight, "in flight"]],
  sentence: ready + in_flight ? "" : "nothing to do",
}));
const crew = new Plot("Workers", "busy", "idle", ({ idle, busy }) => ({
  numbers: [["upper", idle, "idle"], ["lower", busy, "busy"]],
  sentence: idle + busy ? "" : "none here",
}));
byId("now").append(queue.node, crew.node);

const jobs = openJobs(byId("jobs"));
const showWorkers = openWorkers(byId("workers"));
const loadDeadLetters = openDeadLetters(byId("dead"), () => lookNow());
let form = null;
const loadTexts = openTexts(byId("texts"), () => form?.texts);
let textsLoaded = false;

let timer = 0;
let looks = 0;
let failures = 0;
let looking = false;
let locked = false; // a token is wanted

/** Look at everything once, unless nobody watches; then again after a while, the longer the more often it failed. */
async function look() {
  clearTimeout(timer);
  if (document.hidden || looking) return;
  looking = true;
  try {
    const around = looks % LOOK_AROUND === 0 && loadDeadLetters();
    const [stats, { workers }, seen] = await Promise.all([get("/v1/stats"), get("/v1/workers"), jobs.load(), around]);
    const busy = workers.filter((worker) => worker.tasks.length).length;
    samples.add({ ...stats.queue, busy, idle: workers.length - busy });
    queue.draw(samples.samples);
    crew.draw(samples.samples);
    jobs.count(stats.jobs);
    showWorkers(workers, stats.queue.ready > 0);
    shown.job?.hear(seen);
    say("live", "live");
    if (!form) await drawForm();
    if (!textsLoaded) await loadTexts();
    textsLoaded = true;
    notice("look", null);
    looks += 1;
    failures = 0;
    locked = false;
  } catch (problem) {
    failures += 1;
    locked = problem.status === 401;
    say("away", locked ? "locked" : "no answer");
    notice("look", problem);
  } finally {
    looking = false;
    byId("token").hidden = !locked && !hasToken();
  }
  timer = setTimeout(look, 1000 * Math.min(LOOK_SECONDS * 2 ** failures, LONGEST_PAUSE_SECONDS));
}

const lookNow = () => {
  looks = 0;
  return look();
};

function say(kind, word) {
  const health = byId("health");
  if (health.textContent !== word) health.textContent = word;
  health.className = `health ${kind}`;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) say("paused", "paused");
  look();
});

window.addEventListener("online", look);

byId("token").addEventListener("click", async () => {
  if (await askForToken(null, true)) open();
});

const shown = { id: "", job: null };

/** Show the job that the address names. Other fragments are places on the page. */
function route() {
  const id = /^#job\/(.+)/.exec(location.hash)?.[1] ?? "";
  if (id === shown.id) return;
  shown.job?.leave();
  shown.id = id;
  document.title = id ? `Job ${id.slice(-8)} – Essaim` : "Essaim";
  shown.job = id ? openJob(byId("job"), id, lookNow) : null;
  if (!id) {
    byId("job").hidden = true;
    byId("job").replaceChildren();
    byId("jobs").focus({ preventScroll: true });
  }
}
window.addEventListener("hashchange", route);

/** Fetch what is fetched once, and begin to look. */
async function open() {
  failures = 0;
  textsLoaded = false;
  shown.job?.leave();
  shown.id = ""; // what was refused to nobody may be shown to somebody
  route();
  await look();
}

/** The form comes once the API has answered: it is the API's own. */
async function drawForm() {
  const opened = await openForm(byId("submit"), (job) => {
    location.hash = `#job/${job.id}`;
    lookNow();
  });
  form = opened.form;
  byId("release").textContent = `release ${opened.release}`;
}

open();
