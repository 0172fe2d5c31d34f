/** Submitting a job: the form, its examples, and what the API says to it. */

import { get, newKey, post, Problem } from "./api.js";
import { h } from "./dom.js";
import { draw } from "./form.js";

/** Draw the form into `parent`; `submitted(job)` is called for each new job. Returns the form, and the release. */
export async function openForm(parent, submitted) {
  const document = await get("/openapi.json");
  const resolve = (reference) => reference.slice(2).split("/").reduce((at, part) => at[part], document);
  const content = document.paths["/v1/jobs"].post.requestBody.content["application/json"];
  const { $ref, ...own } = content.schema;
  const schema = $ref ? resolve($ref) : own;
  const form = draw(schema, resolve);
  const complaint = h("p", { class: "complaint", role: "alert", hidden: true });
  const button = h("button", { class: "primary" }, "Submit");
  let key = newKey(); // pressed again after a broken connection it is still the same job
  const say = (sentence) => {
    complaint.hidden = !sentence;
    complaint.textContent = sentence;
  };

  const send = async (event) => {
    event.preventDefault();
    button.disabled = true;
    form.mark([]);
    say("");
    try {
      const job = await post("/v1/jobs", form.read(), { "Idempotency-Key": key });
      key = newKey();
      submitted(job);
    } catch (error) {
      if (error instanceof SyntaxError) return say("What is asked for as JSON is none.");
      if (!(error instanceof Problem)) throw error;
      const left = form.mark(error.errors);
      say([error.message, ...left.map((detail) => `${detail}.`)].join(" "));
    } finally {
      button.disabled = false;
    }
  };
  const changed = () => (key = newKey());
  const examples = (schema.examples ?? []).map((example, index) => {
    const fill = () => {
      form.write(example);
      form.mark([]);
      say("");
      changed();
      button.focus();
    };
    return h("button", { type: "button", class: "quiet", onclick: fill }, `Example ${index + 1}`);
  });
  parent.replaceChildren(
    h("form", { onsubmit: send, oninput: changed },
      schema.description && h("p", { class: "muted" }, schema.description.split("\n\n")[0]),
      form.node,
      complaint,
      h("p", { class: "buttons" }, button, examples)),
  );
  return { form, release: document.info.version };
}
