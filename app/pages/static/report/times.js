// The fields for times: the zone they are read in, and times that are ambiguous or do not exist.

import { instantsOf, localOf, offsetOf } from "./clocks.js";
import { Fault } from "./faults.js";

const zones = document.querySelector("#zone"); // null where the form has no times
const inputs = [...document.querySelectorAll("input[type=datetime-local]")];

let isPicked = false; // whether the reporter has picked the zone
const prefilled = new Map(); // fields filled in by the script: the instant and its local time

const zone = () => zones.value;
const place = () => zones.selectedOptions[0].dataset.place;
const partOf = (input, part) => document.querySelector(`#${input.id}-${part}`);
const isPrefilled = (input) => input.value && prefilled.get(input)?.local === input.value;

// Read times in one of these zones, unless the reporter has picked a zone.
export function followZones(preferred) {
  if (!isPicked && preferred.length && !preferred.includes(zone())) zones.value = preferred.at(-1);
  refreshTimes();
}

// Fill in an instant; null empties the field.
export function setInstant(id, instant) {
  const input = document.querySelector(`#${id}`);
  input.value = instant ? localOf(instant, zone()) : "";
  if (instant) prefilled.set(input, { instant, local: input.value, zone: zone() });
  else prefilled.delete(input);
}

// Name the zone beside each time, and ask which instant is meant where a time occurs twice.
export function refreshTimes() {
  for (const input of inputs) {
    const previous = prefilled.get(input);
    // A prefilled field keeps its instant when the zone changes.
    if (isPrefilled(input) && previous.zone !== zone()) setInstant(input.id, previous.instant);
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

// The instants that a field may mean: one, except when the clocks are put back or forward.
function readings(input) {
  if (isPrefilled(input)) return [prefilled.get(input).instant];
  if (Number.isNaN(Date.parse(`${input.value}Z`))) return [null];
  return instantsOf(input.value, zone());
}

// Return the instant in a field, null if it is empty. Throws Fault.
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

// Runs before the listener of the form, which would otherwise choose the zone of the sides.
zones?.addEventListener("input", () => {
  isPicked = true;
  refreshTimes();
});
