// The service worker: keeps the pages that the reader has seen, for when there is no network, and
// hands notifications to the script that shows them.
//
// An answer always comes from the network if there is one. What is kept is marked with the time at
// which it was fetched, so that the page can say how old it is.

const VERSION = "{{ version }}";
const ROOT = "{{ root }}";
const PAGES = "pages";
const ASSETS = `assets-${VERSION}`;
const MAX_PAGES = 60;
const FETCHED = "x-fetched-at";
const FIRST = [`${ROOT}/`, `${ROOT}/trip`];
const KEPT = [/^\/$/, /^\/trip(\/|$)/, /^\/crossings\//, /^\/borders\//, /^\/about$/, /^\/map\.json$/];

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    for (const path of FIRST) await keepPage(new Request(path, { headers: { Accept: "text/html" } }), await fetch(path));
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith("assets-") && name !== ASSETS);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin || !url.pathname.startsWith(`${ROOT}/`)) return;
  const path = url.pathname.slice(ROOT.length);
  if (path.startsWith("/static/")) event.respondWith(asset(request));
  else if (KEPT.some((pattern) => pattern.test(path))) event.respondWith(page(request));
});

/** Assets never change under their address. */
async function asset(request) {
  const kept = await caches.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await (await caches.open(ASSETS)).put(request, answer.clone());
  return answer;
}

async function page(request) {
  try {
    const answer = await fetch(request);
    if (answer.ok) await keepPage(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = mayBeOld(request) ? await keptPage(request) : undefined;
    if (kept) return kept;
    throw error;
  }
}

/** Only whoever says how old it is may be given an old answer: a page as a whole, not its updates. */
function mayBeOld({ mode, headers, url }) {
  if (headers.has("at-least-change")) return false;
  return mode === "navigate" || headers.has("offline-copy") || new URL(url).pathname === `${ROOT}/map.json`;
}

async function keepPage(request, answer) {
  if (!answer.ok) return;
  const headers = new Headers(answer.headers);
  headers.set(FETCHED, new Date().toISOString());
  const cache = await caches.open(PAGES);
  await cache.put(request.url, new Response(await answer.blob(), { headers }));
  const keys = await cache.keys();
  for (const key of keys.slice(0, Math.max(0, keys.length - MAX_PAGES))) await cache.delete(key);
}

/** Return what was kept of an address, marked with its age. */
async function keptPage(request) {
  const cache = await caches.open(PAGES);
  const exact = await cache.match(request.url, { ignoreVary: true });
  if (!exact) return undefined;
  const headers = new Headers(exact.headers);
  if (!headers.get("content-type").startsWith("text/html")) return exact;
  const body = (await exact.text()).replace("<html ", `<html data-cached-at="${headers.get(FETCHED)}" `);
  return new Response(body, { headers });
}
{% for script in scripts %}

importScripts(`${ROOT}{{ script }}`);
{% endfor %}
