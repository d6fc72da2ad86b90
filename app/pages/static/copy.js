// Puts a button beside each text that is there to be copied, where the browser lets us copy.

for (const box of navigator.clipboard ? document.querySelectorAll(".copy") : []) {
  const code = box.querySelector("code");
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.added = ""; // so that a page which follows changes keeps it
  button.textContent = document.body.dataset.copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = document.body.dataset.copied;
  });
  box.append(button);
}
