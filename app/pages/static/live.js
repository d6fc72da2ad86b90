// Keeps a page about the present current: follows the stream of changes and, after a change that
// concerns the page, fetches its HTML again and updates what differs.
//
// `data-live` of <main> is the stream's address, `data-change` the change that the page
// reflects, `data-every` the seconds after which the page is fetched again in any case.

import { morph } from "./morph.js";

const GRACE = 5_000; // longer than a restart of the server takes
const RETRY = 15_000;
const SPREAD = 1_000; // so that not all readers reload at once
const NOTICE_TIME = 8_000;
const MAX_ANNOUNCED = 4; // changes that are announced one by one

const main = document.querySelector("main");
const box = document.querySelector("#live");
const [notice, age] = box.querySelectorAll("p");
// As the rest of the page writes it: 24 hours.
const lang = document.documentElement.lang.replace(/^en$/, "en-GB");
const every = Number(main.dataset.every ?? 120) * 1_000;

let change = Number(main.dataset.change);
let asOf = new Date();
let stream;
let lostTimer, againTimer, renewTimer, noticeTimer, ageTimer;

// Announcements

const clock = () => asOf.toLocaleTimeString(lang, { timeStyle: "short" });

function ago() {
  const seconds = Math.round((asOf - Date.now()) / 1_000);
  const words = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  return seconds > -60 ? words.format(seconds, "second") : words.format(Math.round(seconds / 60), "minute");
}

// The statements on the page, in words: `data-said` of its elements.
const statements = () => new Set([...main.querySelectorAll("[data-said]")].map((element) => element.dataset.said));

/** Announce what is new in a few words: screen readers read only this. */
function announceUpdate(news) {
  const parts = news.slice(0, MAX_ANNOUNCED);
  if (news.length > MAX_ANNOUNCED) parts.push(box.dataset.more.replace("{count}", news.length - MAX_ANNOUNCED));
  announce([...parts, box.dataset.updated.replace("{time}", clock())].join(". "));
}

function announce(text, { unseen = false } = {}) {
  notice.classList.toggle("hidden", unseen);
  notice.textContent = text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { notice.textContent = ""; }, NOTICE_TIME);
}

function showAge() {
  const text = box.dataset.lost.replace("{time}", clock()).replace("{ago}", ago());
  age.querySelector("span").textContent = text;
  // Announced once, not each time that the age grows.
  if (age.hidden) announce(text, { unseen: true });
  age.hidden = false;
  clearTimeout(ageTimer);
  ageTimer = setTimeout(showAge, 10_000);
}

function hideAge() {
  clearTimeout(lostTimer);
  clearTimeout(ageTimer);
  lostTimer = undefined;
  age.hidden = true;
}

// The page

async function renew({ quietly = false } = {}) {
  clearTimeout(renewTimer);
  renewTimer = setTimeout(renew, RETRY, { quietly: true }); // in case this fails
  let response;
  try {
    const headers = { Accept: "text/html", "At-Least-Change": String(Math.max(change, 0)) };
    response = await fetch(location.href, { headers, cache: "no-cache" });
  } catch {
    return onLoss(); // no network
  }
  if (!response.ok) return onLoss();
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const before = main.textContent;
  const previous = statements();
  morph(main, next.querySelector("main"));
  document.title = next.title;
  document.querySelector("link[rel=icon]").href = next.querySelector("link[rel=icon]").href;
  const oldWarning = document.querySelector("body > .old");
  const newWarning = next.querySelector("body > .old");
  if (oldWarning && newWarning) oldWarning.replaceWith(newWarning);
  else if (oldWarning) oldWarning.remove();
  else if (newWarning) main.before(newWarning);
  // While the data of the service is old, fetch more often.
  clearTimeout(renewTimer);
  renewTimer = setTimeout(renew, newWarning ? RETRY : every, { quietly: true });
  asOf = new Date();
  if (stream?.readyState === EventSource.OPEN) hideAge();
  if (main.textContent !== before) {
    document.dispatchEvent(new Event("renewed"));
    const news = [...statements()].filter((statement) => !previous.has(statement));
    if (news.length || !quietly) announceUpdate(news);
  }
}

function onChange(event) {
  change = Math.max(change, Number(event.lastEventId));
  clearTimeout(renewTimer);
  renewTimer = setTimeout(renew, Math.random() * SPREAD);
}

// The stream

function follow() {
  clearTimeout(againTimer);
  stream?.close();
  const address = new URL(main.dataset.live, location.href);
  if (change >= 0) address.searchParams.set("after", change);
  stream = new EventSource(address);
  stream.onopen = () => {
    if (!age.hidden) renew(); // for the changes missed meanwhile
    else hideAge();
  };
  stream.onerror = () => {
    onLoss();
    // The browser reconnects by itself, except after an error response.
    if (stream.readyState === EventSource.CLOSED) againTimer = setTimeout(follow, RETRY);
  };
  for (const kind of box.dataset.kinds.split(" ")) stream.addEventListener(kind, onChange);
  stream.addEventListener("dropped", (event) => {
    change = JSON.parse(event.data).after;
    renew();
  });
}

function onLoss() {
  lostTimer ??= setTimeout(showAge, GRACE);
}

function stop() {
  stream?.close();
  clearTimeout(againTimer);
  clearTimeout(renewTimer);
}

function start() {
  if (!("live" in main.dataset)) return; // the page now shows the past
  follow();
  renewTimer = setTimeout(renew, every, { quietly: true });
}

// A hidden window closes its connection, because browsers allow only six to a host.
document.addEventListener("visibilitychange", () => {
  stop();
  if (document.hidden) return;
  start();
  if ("live" in main.dataset) renew();
});
// Sent by scripts that have replaced the content of <main>.
document.addEventListener("moved", () => {
  stop();
  change = Number(main.dataset.change);
  asOf = new Date();
  hideAge();
  start();
});

start();
