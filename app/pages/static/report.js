// The report: a form whose effect is shown before it is recorded, and can be taken back after.
// The key is in its field and nowhere else.

import { instantOf } from "./report/clocks.js";
import { clearFaults, showFault, showProblem } from "./report/faults.js";
import { effectTable, fill, paragraph, warnings } from "./report/telling.js";

const form = document.querySelector("#report");
const preview = document.querySelector("#preview");
const result = document.querySelector("#result");
const undo = document.querySelector("#undo");
const told = JSON.parse(form.dataset.told);
const send = document.querySelector("#send");

let pending; // the body that was previewed, and the key of its one write
let undoing; // [{address, key}] of what was recorded

const value = (id) => form.querySelector(`#${id}`).value.trim();
const chosen = (name) => [...form.querySelectorAll(`[name=${name}]:checked:not(:disabled)`)];
const values = (name) => chosen(name).map((one) => one.value);
const filled = (fields) => Object.fromEntries(Object.entries(fields).filter(([, one]) => one));

// What belongs to the crossings that are chosen

function narrow() {
  const crossings = chosen("crossing");
  const sides = new Set(crossings.flatMap((one) => one.dataset.sides.split(" ")));
  const usable = (traffic) => crossings.every((one) => one.dataset.traffic.split(" ").includes(traffic));
  for (const one of form.querySelectorAll("[name=side]")) {
    one.disabled = !sides.has(one.value);
    one.closest("label").hidden = crossings.length > 0 && one.disabled;
  }
  for (const one of form.querySelectorAll("[name=traffic]")) {
    one.disabled = !usable(one.value);
    one.closest("label").hidden = one.disabled;
  }
  for (const one of form.querySelectorAll("#to option[value]:not([value=''])")) {
    one.hidden = one.disabled = !sides.has(one.value);
  }
  form.querySelector("#until-field").hidden = values("ends")[0] === "open";
}

// What is sent

function instant(id) {
  const input = form.querySelector(`#${id}`);
  if (input.validity.badInput) throw new Missing(input.dataset.field.split(" ")[0]);
  return input.value ? instantOf(input.value, value("zone")) : null;
}

class Missing extends Error {}

function end() {
  const [kind] = values("ends");
  if (kind === "open") return {};
  const until = instant("until");
  if (!until) throw new Missing(kind === "until" ? "effective.until" : "expected_until");
  return kind === "until" ? { until } : { expected_until: until };
}

function report() {
  const { until = null, expected_until = null } = end();
  const traffic = values("traffic");
  return {
    crossings: values("crossing"),
    sides: values("side"),
    status: values("status")[0],
    effective: { from: instant("from"), until },
    expected_until,
    traffic: traffic.length ? traffic : null,
    to: value("to") || null,
    reason: filled({ code: value("reason"), text: value("reason-text") }),
    exceptions: values("exception").map((code) => ({ code })),
    certainty: value("certainty"),
    announced_at: instant("announced"),
    citations: [
      filled({
        source: {
          title: value("title"),
          ...filled({ kind: value("kind"), publisher: value("publisher"), url: value("url") }),
        },
        locator: value("locator"),
      }),
    ],
  };
}

async function post(address, body, idempotencyKey) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${value("key")}` };
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  const response = await fetch(address, {
    method: "POST", headers, body: JSON.stringify(body), credentials: "omit", cache: "no-store",
  });
  return { ok: response.ok, body: await response.json() };
}

// Only pages of a secure host have crypto.randomUUID.
const unique = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");

async function trying(button, ask) {
  clearFaults();
  button.disabled = true;
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Missing) showFault(told, error.message, told.messages.missing);
    else if (error instanceof TypeError || error instanceof SyntaxError) showProblem(told, { detail: told.messages.lost });
    else throw error;
  } finally {
    button.disabled = false;
  }
}

// The steps

form.addEventListener("submit", (event) => {
  event.preventDefault();
  return trying(event.submitter ?? form.querySelector("button"), async () => {
    const body = report();
    const answer = await post("/v1/events?validate_only=true", body);
    if (!answer.ok) return showProblem(told, answer.body);
    pending = { body, key: unique() };
    fill(preview, [
      ...(await warnings(told, body, answer.body)),
      ...(answer.body.effect.length ? [effectTable(told, answer.body.effect)] : []),
    ]);
    show(preview);
  });
});

send.addEventListener("click", () =>
  trying(send, async () => {
    const answer = await post("/v1/events", pending.body, pending.key);
    if (!answer.ok) return showProblem(told, answer.body);
    const { body } = answer;
    undoing = body.undo.map((address) => ({ address, key: unique() }));
    result.querySelector("h2").textContent = told.messages.recorded.replace("{change}", body.change);
    fill(result, body.effect.length ? [effectTable(told, body.effect)] : [paragraph(told.messages.nothing)]);
    undo.hidden = undoing.length === 0;
    form.hidden = preview.hidden = true;
    show(result);
  }),
);

undo.addEventListener("submit", (event) => {
  event.preventDefault();
  return trying(event.submitter ?? undo.querySelector("button"), async () => {
    const text = undo.querySelector("input").value.trim();
    const reason = filled({ code: "other", text });
    let change;
    while (undoing.length) {
      const { address, key } = undoing[0];
      const answer = await post(address, { reason }, key);
      if (!answer.ok) return showProblem(told, answer.body);
      ({ change } = answer.body);
      undoing.shift();
    }
    result.querySelector("h2").textContent = told.messages.retracted.replace("{change}", change);
    fill(result, []);
    undo.hidden = true;
    show(result);
  });
});

function show(section) {
  section.hidden = false;
  section.querySelector("h2").focus({ preventScroll: true });
  section.scrollIntoView({ block: "start" });
}

function withdrawPreview() {
  preview.hidden = true;
  pending = undefined;
  narrow();
}

document.querySelector("#back").addEventListener("click", () => {
  withdrawPreview();
  form.querySelector("#key").focus();
});
// What was previewed is what is recorded: whoever alters it looks again.
form.addEventListener("input", withdrawPreview);
addEventListener("pagehide", () => { form.querySelector("#key").value = ""; });

narrow();
const here = form.querySelector("[name=crossing]:checked")?.dataset.sides.split(" ");
const zone = here && form.querySelector(`#zone option[data-country=${here.at(-1)}]`);
if (zone) zone.selected = true;
form.hidden = false;
