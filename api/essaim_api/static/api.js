/** The API: calls with a token, problems as sentences, and event streams that resume. */

import { byId } from "./dom.js";

const KEY = "essaim-token"; // in sessionStorage: gone with the tab
const BLIP = 300; // milliseconds

/** What went wrong, as a sentence in `message`; `errors` names each place that does not fit. */
export class Problem extends Error {
  constructor(status, { title = "Something went wrong", detail = "", errors = [] }) {
    const more = detail.toLowerCase() !== title.toLowerCase() && detail;
    super((more ? `${title.replace(/[.!]?$/, ":")} ${more}` : title).replace(/[^.?!…]$/, "$&."));
    this.status = status;
    this.errors = errors;
  }
}

/**
 * Send a request; asks for a token where one is needed. Throws a `Problem` for every answer that is an error.
 *
 * A browser drops its connections whenever any network comes or goes. What may be asked twice is then asked twice.
 */
export async function call(method, path, { body, headers = {}, signal } = {}) {
  let again = method === "GET" || "Idempotency-Key" in headers;
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const sent = token ? { ...headers, Authorization: `Bearer ${token}` } : headers;
    const options = { method, body, headers: sent, signal, cache: "no-store", credentials: "omit", redirect: "error" };
    const answer = await fetch(path, options).catch((error) => {
      if (signal?.aborted) throw error;
      if (!again) throw new Problem(0, { title: "API unreachable", detail: "Retrying…" });
    });
    if (!answer) {
      again = false;
      await new Promise((resolve) => setTimeout(resolve, BLIP));
      continue;
    }
    if (answer.ok) return answer;
    const problem = new Problem(answer.status, await answer.json().catch(() => ({ detail: `status ${answer.status}` })));
    if (answer.status !== 401) throw problem;
    if (token === sessionStorage.getItem(KEY) && !(await askForToken(token))) throw problem;
  }
}

export const get = async (path, options) => (await call("GET", path, options)).json();

export const post = async (path, value, headers = {}) => {
  const json = { body: JSON.stringify(value), headers: { "Content-Type": "application/json", ...headers } };
  return (await call("POST", path, value === undefined ? { headers } : json)).json();
};

let asking = null; // one question at a time, however many calls want the answer
let refused = false; // who has said "not now" is not asked again by a poll

/** Ask for a token. Returns whether there is another one now. */
export function askForToken(known, again = false) {
  if (refused && !again) return Promise.resolve(false);
  asking ??= new Promise((resolve) => {
    const dialog = byId("token-dialog");
    const input = byId("token-input");
    let given = false;
    byId("token-why").textContent = known
      ? "Unknown token. A new one is kept in this tab until you close it."
      : "The API requires a token. It is kept in this tab until you close it.";
    dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      given = /^[!-~]+$/.test(input.value.trim()); // what can stand in a header
      input.setCustomValidity(given ? "" : "A token has no spaces and only plain characters.");
      if (!given) return void input.reportValidity();
      sessionStorage.setItem(KEY, input.value.trim());
      dialog.close();
    };
    input.oninput = () => input.setCustomValidity("");
    byId("token-cancel").onclick = () => dialog.close();
    dialog.onclose = () => {
      input.value = "";
      asking = null;
      refused = !given;
      byId("token").hidden = false;
      resolve(given);
    };
    dialog.showModal();
  });
  return asking;
}

export const hasToken = () => sessionStorage.getItem(KEY) !== null;

/** Follow an event stream to its `end`, across all its interruptions. EventSource could not send a token. */
export async function* follow(path, signal) {
  const resume = { id: "", pause: 1000 };
  while (!signal.aborted) {
    try {
      const headers = resume.id ? { "Last-Event-ID": resume.id } : {};
      const answer = await call("GET", path, { headers, signal });
      if (answer.status === 204) return;
      for await (const { event, data } of messages(answer.body, resume)) {
        yield { event, data: JSON.parse(data) };
        if (event === "end") return;
      }
    } catch (problem) {
      if (signal.aborted) return;
      if (problem instanceof Problem && problem.status >= 400 && problem.status < 500) throw problem;
    }
    await new Promise((resolve) => setTimeout(resolve, resume.pause));
  }
}

/** The events in a stream, as the standard has them; id and pause to resume with go into `resume`. */
async function* messages(body, resume) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const found = { event: "message", data: null };
        for (const line of part.split("\n")) {
          const [, name, text] = /^([^:]*):? ?(.*)$/.exec(line);
          if (name === "event") found.event = text;
          if (name === "data") found.data = found.data === null ? text : `${found.data}\n${text}`;
          if (name === "id") resume.id = text;
          if (name === "retry" && /^\d+$/.test(text)) resume.pause = Number(text);
        }
        if (found.data !== null) yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A key for a request that may be sent twice: also where the page is not served over HTTPS. */
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
