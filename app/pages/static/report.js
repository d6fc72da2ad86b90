// The report: a form whose effect is shown before it is recorded, and can be taken back after.
// The key is in its field and nowhere else.

import { fillIn, fillInTimes, load } from "./report/entry.js";
import { Fault, clearFaults, showFault, showLost, showProblem } from "./report/faults.js";
import { confirmations, described, effectTable, fill, linksTo, paragraph, warnings } from "./report/telling.js";
import { followZones, instantIn } from "./report/times.js";

const form = document.querySelector("#report");
const preview = document.querySelector("#preview");
const result = document.querySelector("#result");
const undo = document.querySelector("#undo");
const told = JSON.parse(form.dataset.told);
const send = document.querySelector("#send");
const { action } = form.dataset;

let entry; // what is corrected, ended, withdrawn or confirmed again
let pending; // what was previewed: requests, each with the key of its one write
let undoing; // requests that withdraw what was recorded

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
  const until = form.querySelector("#until-field");
  if (until) until.hidden = values("ends")[0] === "open";
  if (form.querySelector("#zone")) {
    followZones(zonesOf(crossings, action === "end" && entry ? entry.event.sides : values("side")));
  }
}

// The zones of the chosen sides at the crossings, of both sides while none is chosen.
function zonesOf(crossings, chosenSides) {
  return crossings.flatMap(({ dataset }) => {
    const zones = dataset.zones.split(" ");
    const sides = dataset.sides.split(" ");
    return zones.filter((_, number) => !chosenSides.length || chosenSides.includes(sides[number]));
  });
}

// What is sent

const instant = (id) => instantIn(id, told.messages);

function end() {
  const [kind] = values("ends");
  if (kind === "open") return {};
  const until = instant("until");
  if (!until) throw new Fault("effective.until", told.messages.missing);
  return kind === "until" ? { until } : { expected_until: until };
}

function declaration() {
  const { until = null, expected_until = null } = end();
  return {
    crossings: values("crossing"),
    sides: values("side"),
    status: values("status")[0],
    effective: { from: instant("from"), until },
    expected_until,
    ...scope(),
    reason: filled({ code: value("reason"), text: value("reason-text") }),
    exceptions: exceptions(),
    certainty: value("certainty"),
    precision: value("precision"),
    announced_at: instant("announced"),
    citations: citations(),
  };
}

function scope() {
  const traffic = values("traffic");
  return { traffic: traffic.length ? traffic : null, to: value("to") || null };
}

// The form has no field for the words of an exception: those of the entry stay, in its order.
function exceptions() {
  const codes = values("exception");
  const kept = (entry?.event.exceptions ?? []).filter((one) => codes.includes(one.code));
  const added = codes.filter((code) => !kept.some((one) => one.code === code));
  return [...kept, ...added.map((code) => ({ code }))];
}

// The source that the form names, and those of the entry that are kept.
function citations() {
  const names = { title: value("title"), publisher: value("publisher"), url: value("url") };
  const kept = keptCitations();
  const isNamed = Object.values(names).some(Boolean) || value("locator");
  if (kept.length && !isNamed) return kept;
  const source = { title: names.title, ...filled({ ...names, kind: value("kind") }) };
  return [filled({ source, locator: value("locator") }), ...kept];
}

function keptCitations() {
  const sources = values("kept");
  return entry ? entry.event.citations.filter((one) => sources.includes(one.source)) : [];
}

const superseded = () => values("crossing").map((crossing) => entry.events.get(crossing)[0].id);

function correction() {
  return { ...declaration(), incident: entry.event.incident, supersedes: superseded() };
}

// The entry itself, but for its end and who says so.
function ending() {
  const { sides, status, effective, traffic, to, reason, exceptions: spared, certainty, precision, announced_at, incident } = entry.event;
  return {
    crossings: values("crossing"),
    effective: { from: effective.from, until: instant("until") ?? new Date().toISOString() },
    sides, status, traffic, to, reason, exceptions: spared, certainty, precision, announced_at, incident,
    citations: citations(),
    supersedes: superseded(),
  };
}

// A row for each crossing, of those of its sides that are chosen. The sources of the entry are
// about the crossings of its decision alone.
function confirmation() {
  const sides = values("side");
  const cited = citations();
  const kept = new Set(keptCitations());
  const rows = chosen("crossing").map((one) => ({
    crossing: one.value,
    sides: one.dataset.sides.split(" ").filter((side) => sides.includes(side)),
    ...scope(),
    confirmed_at: instant("confirmed"),
    citations: cited.filter((citation) => !kept.has(citation) || entry.events.has(one.value)),
  }));
  return { confirmations: rows };
}

const REQUESTS = {
  declare: () => [["/v1/events", declaration()]],
  correct: () => [["/v1/events", correction()]],
  end: () => [["/v1/events", ending()]],
  confirm: () => [["/v1/confirmations", confirmation()]],
  withdraw: () => {
    const reason = filled({ code: "other", text: value("reason-text") });
    const events = values("crossing").flatMap((crossing) => entry.events.get(crossing));
    if (!events.length) throw new Fault("crossings", told.messages.none);
    return events.map((one) => [`/v1/events/${one.id}/retraction`, { reason }]);
  },
};

async function post(address, body, idempotencyKey) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${value("key")}` };
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  const response = await fetch(document.documentElement.dataset.root + address, {
    method: "POST", headers, body: JSON.stringify(body), credentials: "omit", cache: "no-store",
  });
  return { ok: response.ok, body: await response.json() };
}

// Only pages of a secure host have crypto.randomUUID.
const unique = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");

const write = ([address, body]) => ({ address, body, key: unique() });

async function trying(button, ask) {
  clearFaults();
  button.disabled = true;
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Fault) showFault(told, error);
    else if (error instanceof TypeError || error instanceof SyntaxError) showLost(told);
    else throw error;
  } finally {
    button.disabled = false;
  }
}

// The steps

form.addEventListener("submit", (event) => {
  event.preventDefault();
  return trying(event.submitter ?? form.querySelector("button"), async () => {
    const requests = REQUESTS[action]().map(write);
    const effect = [];
    for (const { address, body } of requests) {
      const answer = await post(`${address}?validate_only=true`, body);
      if (!answer.ok) return showProblem(told, answer.body);
      effect.push(...answer.body.effect);
    }
    pending = { requests, effect: [] };
    fill(preview, [
      ...(await remarks(requests[0].body, effect)),
      ...(effect.length ? [effectTable(told, effect)] : []),
    ]);
    show(preview);
  });
});

// What somebody should know besides the effect, before it is recorded.
async function remarks(body, effect) {
  if (action === "confirm") return confirmations(told, body.confirmations);
  if (action === "declare" || action === "correct") return warnings(told, body, { effect });
  return effect.length ? [] : [paragraph(told.messages.nothing, "warning")];
}

send.addEventListener("click", () =>
  trying(send, async () => {
    const { requests, effect } = pending;
    const crossings = values("crossing");
    while (requests.length) {
      const { address, body, key } = requests[0];
      const answer = await post(address, body, key);
      if (!answer.ok) return showProblem(told, answer.body);
      effect.push(...answer.body.effect);
      pending.last = answer.body;
      requests.shift();
    }
    const { change, undo: addresses } = pending.last;
    const isWithdrawal = action === "withdraw";
    undoing = isWithdrawal ? [] : addresses.map((address) => write([address]));
    const message = isWithdrawal ? told.messages.retracted : told.messages.recorded;
    result.querySelector("h2").textContent = message.replace("{change}", change);
    fill(result, [effect.length ? effectTable(told, effect) : unaltered(crossings)]);
    undo.hidden = undoing.length === 0;
    form.hidden = true;
    preview.hidden = true;
    show(result);
  }),
);

function unaltered(crossings) {
  const isSilent = action === "confirm" || action === "withdraw";
  return isSilent ? linksTo(crossings) : paragraph(told.messages.nothing);
}

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

// Fill the form in with the entry that it is about. Return whether it can be used.
async function begin() {
  if (!form.dataset.event) return true;
  entry = await load(form.dataset.event);
  const section = document.querySelector("#entry");
  const canBe = action === "withdraw" || entry.event.kind === "declaration";
  fill(section, [
    ...described(told, entry),
    ...(canBe ? [] : [paragraph(told.messages.undeclared, "warning")]),
  ]);
  section.hidden = false;
  if (!canBe || entry.event.retracted_by) return false;
  fillIn(entry, action);
  return true;
}

try {
  const isUsable = await begin();
  narrow();
  if (entry && isUsable) fillInTimes(entry, action);
  narrow();
  form.hidden = !isUsable;
} catch (error) {
  if (error.problem) showProblem(told, error.problem);
  else if (error instanceof TypeError) showLost(told, "");
  else throw error;
}
