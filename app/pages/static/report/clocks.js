// Between the clocks of a zone and instants.

function shown(instant, zone) {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", era: "short",
    year: "numeric", month: "numeric", day: "numeric",
    hour: "numeric", minute: "numeric", second: "numeric",
  }).formatToParts(instant);
  const of = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(of.year, of.month - 1, of.day, of.hour, of.minute, of.second);
}

// Return the instant at which the clocks of a zone show `local`, such as 2026-11-24T12:00.
export function instantOf(local, zone) {
  const wanted = Date.parse(`${local}Z`);
  let found = wanted;
  // The second time corrects for a change of the clocks in between.
  for (let turn = 0; turn < 2; turn++) found += wanted - shown(found, zone);
  return new Date(found).toISOString();
}

// Tell an instant by a zone's clocks, which are named; in UTC as its title.
export function time(instant, { zone, place }) {
  const element = document.createElement("time");
  element.dateTime = instant;
  element.title = `${instant.slice(0, 16).replace("T", " ")} UTC`;
  const { lang } = document.documentElement;
  // As the countries here write dates, and as the rest of the page does: the day first.
  const words = new Intl.DateTimeFormat(lang === "en" ? "en-GB" : lang, {
    timeZone: zone, dateStyle: "medium", timeStyle: "short",
  });
  element.textContent = `${words.format(new Date(instant))} (${place})`;
  return element;
}
