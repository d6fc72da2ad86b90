// What a service worker does with pushed messages: it shows them, and opens their page.

self.addEventListener("push", (event) => {
  if (!event.data) return;
  const { title, body, lang, path, tag } = event.data.json();
  event.waitUntil(
    self.registration.showNotification(title, { body, lang, tag, renotify: true, data: { path } }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { path } = event.notification.data;
  event.waitUntil(open(new URL(path, self.location.origin).href));
});

async function open(address) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const same = windows.find((client) => client.url === address);
  return same ? same.focus() : self.clients.openWindow(address);
}
