// The fields for times: by which zone's clocks they are read, and what a reading leaves open.

import { instantsOf, localOf, offsetOf } from "./clocks.js";
import { Fault } from "./faults.js";

const zones = document.querySelector("#zone"); // none where there is nothing to time
const inputs = [...document.querySelectorAll("input[type=datetime-local]")];

let isPicked = false; // whether the person has chosen the zone
const given = new Map(); // fields filled in by the script: the instant, and how it reads

const zone = () => zones.value;
const place = () => zones.selectedOptions[0].dataset.place;
const partOf = (input, part) => document.querySelector(`#${input.id}-${part}`);
const isAsGiven = (input) => input.value && given.get(input)?.local === input.value;

// Read times by the clocks of one of these zones, unless the person has picked a zone.
export function followZones(wanted) {
  if (!isPicked && wanted.length && !wanted.includes(zone())) zones.value = wanted.at(-1);
  refreshTimes();
}

// Fill in an instant; null empties the field.
export function setInstant(id, instant) {
  const input = document.querySelector(`#${id}`);
  input.value = instant ? localOf(instant, zone()) : "";
  if (instant) given.set(input, { instant, local: input.value, zone: zone() });
  else given.delete(input);
}

// Name the clocks beside each time, and ask which is meant where a time occurs twice or never.
export function refreshTimes() {
  for (const input of inputs) {
    const known = given.get(input);
    // What was filled in stays the same instant, by whichever clocks it is read.
    if (isAsGiven(input) && known.zone !== zone()) setInstant(input.id, known.instant);
    partOf(input, "zone").textContent = place();
    const instants = readings(input);
    partOf(input, "missing").hidden = instants.length > 0;
    askWhich(input, instants);
  }
}

function askWhich(input, instants) {
  const which = partOf(input, "which");
  const reading = `${input.value} ${zone()}`;
  which.hidden = instants.length < 2;
  for (const [number, radio] of [...which.querySelectorAll("input")].entries()) {
    if (which.dataset.reading !== reading) radio.checked = false;
    radio.nextElementSibling.textContent = which.hidden ? "" : offsetOf(instants[number], zone());
  }
  which.dataset.reading = reading;
}

// The instants that a field may mean: one, unless the clocks are put back or forward then.
function readings(input) {
  if (isAsGiven(input)) return [given.get(input).instant];
  if (Number.isNaN(Date.parse(`${input.value}Z`))) return [null];
  return instantsOf(input.value, zone());
}

// Return the instant that is given in a field, null if none is. Throws Fault.
export function instantIn(id, messages) {
  const input = document.querySelector(`#${id}`);
  const [field] = input.dataset.field.split(" ");
  const instants = readings(input);
  const isUnreadable = input.validity.badInput || (input.value && instants[0] === null);
  if (isUnreadable) throw new Fault(field, messages.missing);
  if (!instants.length) throw new Fault(field, messages.skipped.replace("{place}", place()));
  if (instants.length === 1) return instants[0];
  const chosen = partOf(input, "which").querySelector(":checked");
  if (!chosen) throw new Fault(`${id}-which`, messages.which);
  return instants[Number(chosen.value)];
}

// Before the form hears of it, which follows the sides otherwise.
zones?.addEventListener("input", () => {
  isPicked = true;
  refreshTimes();
});
