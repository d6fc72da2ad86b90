// What a report would change, and what it contradicts, in words.

import { time } from "./clocks.js";

const LOOKED_AT = 20; // crossings, for what stands there

export const fill = (section, parts) => section.querySelector(".told").replaceChildren(...parts);

export function paragraph(text, className = "") {
  const found = document.createElement("p");
  found.className = className;
  found.append(...(Array.isArray(text) ? text : [text]));
  return found;
}

const box = (crossing) => document.querySelector(`[name=crossing][value="${CSS.escape(crossing)}"]`);
const nameOf = (crossing) => box(crossing)?.closest("label").textContent.trim() ?? crossing;

function clockOf(crossing) {
  const side = box(crossing)?.dataset.sides.split(" ").at(-1);
  const option = document.querySelector(`#zone option[data-country="${side}"]`);
  return option ? { zone: option.value, place: option.dataset.place } : { zone: "UTC", place: "UTC" };
}

function status(told, value) {
  const pattern = document.querySelector(`#status input[value=${value}] ~ .status .mark`);
  const found = document.createElement("span");
  found.className = `status status-${value}`;
  if (pattern) found.append(pattern.cloneNode(true));
  found.append(told.statuses[value] ?? value);
  return found;
}

// "cars, trucks to Belarus; cars to Lithuania": directions with the same traffic are one.
function lanesOf(told, crossing, lanes) {
  const directions = new Map();
  for (const { traffic, to } of lanes) directions.set(to, [...(directions.get(to) ?? []), traffic]);
  const all = box(crossing)?.dataset.traffic.split(" ").length;
  const parts = [...directions].map(([to, traffic]) => [
    traffic.length === all ? told.messages.all : traffic.map((one) => told.traffic[one] ?? one).join(", "),
    told.directions[to] ?? to,
  ]);
  const joint = new Map();
  for (const [traffic, to] of parts) joint.set(traffic, [...(joint.get(traffic) ?? []), to]);
  return [...joint].map(([traffic, to]) => `${traffic} ${to.join(", ")}`).join("; ");
}

function row(cells, kind = "td") {
  const found = document.createElement("tr");
  for (const content of cells) {
    const cell = document.createElement(kind);
    if (kind === "th") cell.scope = "col";
    cell.append(content);
    found.append(cell);
  }
  return found;
}

export function effectTable(told, effect) {
  const { messages } = told;
  const table = document.createElement("table");
  table.createTHead().append(
    row([messages.crossing, messages.lanes, messages.before, messages.after, messages.from, messages.end], "th"),
  );
  const body = table.createTBody();
  for (const one of effect) {
    const link = document.createElement("a");
    link.href = `/crossings/${one.crossing}`;
    link.textContent = nameOf(one.crossing);
    const clock = clockOf(one.crossing);
    body.append(row([
      link,
      lanesOf(told, one.crossing, one.lanes),
      status(told, one.before),
      one.after === one.before ? messages.same : status(told, one.after),
      time(one.from, clock),
      one.until ? time(one.until, clock) : messages.until,
    ]));
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.append(table);
  return scroll;
}

// What somebody who reports should know before it is recorded.
export async function warnings(told, body, preview) {
  const { messages } = told;
  const found = [];
  if (body.certainty === "unconfirmed") found.push(paragraph(messages.rumour, "warning"));
  else if (preview.effect.length === 0) found.push(paragraph(messages.nothing, "warning"));
  for (const crossing of body.crossings.slice(0, LOOKED_AT)) {
    const at = body.effective.from ? `?at=${encodeURIComponent(body.effective.from)}` : "";
    const response = await fetch(`/v1/crossings/${crossing}/status${at}`, { cache: "no-store" });
    if (!response.ok) continue;
    found.push(...against(told, body, preview, await response.json()));
  }
  return found;
}

function against(told, body, preview, standing) {
  const { messages } = told;
  const { crossing } = standing;
  const found = [];
  const covered = standing.lanes.filter(
    (lane) => (!body.traffic || body.traffic.includes(lane.traffic)) && (!body.to || body.to === lane.to),
  );
  const altered = preview.effect.filter((one) => one.crossing === crossing);
  const effectsOn = (lane) => altered.filter(
    (one) => one.lanes.some(({ traffic, to }) => traffic === lane.traffic && to === lane.to),
  );
  for (const event of standing.decided_by) {
    const decided = covered.filter((lane) => lane.decided_by === event.id);
    if (event.status === body.status || !decided.length) continue;
    // A later statement of the same side replaces its earlier one, where it takes effect. Who speaks
    // for one side contradicts what both said.
    const replaces = event.sides.every((side) => body.sides.includes(side))
      && decided.some((lane) => effectsOn(lane).length);
    const clock = clockOf(crossing);
    const since = time(event.effective.from, clock);
    const sides = event.sides.map((one) => told.countries[one] ?? one).join(", ");
    found.push(paragraph(
      filledIn(replaces ? messages.replaces : messages.contradicts, {
        crossing: nameOf(crossing), side: sides, status: status(told, event.status), from: since,
      }),
      replaces ? "" : "warning",
    ));
  }
  const later = (lane) => effectsOn(lane)[0]?.after ?? lane.status;
  const staying = covered.filter((lane) => later(lane) !== body.status);
  if (staying.length && body.certainty !== "unconfirmed") {
    const byStatus = new Map();
    for (const lane of staying) byStatus.set(later(lane), [...(byStatus.get(later(lane)) ?? []), lane]);
    for (const [is, lanes] of byStatus) {
      found.push(paragraph(
        filledIn(messages.stays, {
          crossing: nameOf(crossing), lanes: lanesOf(told, crossing, lanes), status: status(told, is),
        }),
        "warning",
      ));
    }
  }
  return found;
}

// Put nodes or texts in the place of a message's {names}.
function filledIn(message, values) {
  return message.split(/(\{\w+\})/).filter(Boolean).map((part) => values[part.slice(1, -1)] ?? part);
}
