// Notifications of the browser about what a page shows, begun and ended by one button.
//
// The browser keeps which alerts it has, each with the token that ends it.

const STORE = "alerts";
const root = document.documentElement.dataset.root;

const box = document.querySelector("#tell-me-push");
if (box && "serviceWorker" in navigator && "PushManager" in window && "Notification" in window) follow(box);

function follow(box) {
  const begin = box.querySelector(".begin");
  const end = box.querySelector(".end");
  const status = box.querySelector("[role=status]");
  const told = JSON.parse(box.dataset.told);
  const about = JSON.parse(box.dataset.about);
  const name = JSON.stringify([about.crossings, about.borders, about.traffic, about.to]);

  const say = (text) => (status.textContent = told[text] ?? "");

  function show() {
    const isOn = Notification.permission === "granted" && name in stored();
    begin.hidden = isOn;
    end.hidden = !isOn;
  }

  // One tap at a time, and whatever goes wrong is said.
  const tapped = (button, act) =>
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        say(await act());
      } catch {
        say("failed");
      }
      button.disabled = false;
      show();
    });

  tapped(begin, async () => {
    if ((await Notification.requestPermission()) !== "granted") return "denied";
    const subscription = await subscribe(box.dataset.key);
    const response = await fetch(`${root}/alerts/push`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...about, subscription: subscription.toJSON() }),
    });
    if (!response.ok) return "failed";
    keep({ ...stored(), [name]: await response.json() });
    return "on";
  });

  tapped(end, async () => {
    const { [name]: alert, ...others } = stored();
    const response = await fetch(`${root}/alerts/${alert.id}/unsubscribe`, {
      method: "POST",
      body: new URLSearchParams({ token: alert.token }),
    });
    // An alert that the service does not know any more has ended.
    if (!response.ok && response.status !== 404) return "failed";
    keep(others);
    return "off";
  });

  forgetEnded().then(() => {
    box.hidden = false;
    show();
  });
}

// A browser may end its subscription by itself: then the alerts that it had have ended, too.
async function forgetEnded() {
  const registration = await navigator.serviceWorker.getRegistration(`${root}/`);
  const subscription = await registration?.pushManager.getSubscription();
  if (!subscription) keep({});
}

// Return the subscription of this browser, made for this service's key.
async function subscribe(key) {
  await navigator.serviceWorker.register(`${root}/sw.js`, { scope: `${root}/` });
  const { pushManager } = await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: bytesOf(key) };
  try {
    return await pushManager.subscribe(options);
  } catch (error) {
    // It was subscribed for an earlier key of this service.
    const earlier = await pushManager.getSubscription();
    if (!earlier) throw error;
    await earlier.unsubscribe();
    keep({});
    return pushManager.subscribe(options);
  }
}

function bytesOf(text) {
  const base64 = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {};
  }
}

function keep(alerts) {
  localStorage.setItem(STORE, JSON.stringify(alerts));
}
