// @ts-check
/**
 * The sign-in page.
 *
 * A link may carry the secret behind the hash (#pair=… from the QR code, #passphrase=… or the bare passphrase), which
 * browsers never send to a server: it is used at once and then removed from the address.
 */

(() => {
  /** @param {string} text */
  function decode(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // a passphrase with a bare % in it
    }
  }

  /** @returns {{pairing?: string, passphrase?: string} | null} */
  function takeSecretFromAddress() {
    if (location.hash.length < 2) return null;
    const hash = decode(location.hash.slice(1));
    history.replaceState(null, "", location.pathname + location.search);
    if (hash.startsWith("pair=")) return {pairing: hash.slice(5)};
    return {passphrase: hash.replace(/^passphrase=/, "")};
  }

  /** Where to go afterwards: a path of this site, never another one. */
  function destination() {
    const home = new URL("./", location.href);
    const next = new URL(new URLSearchParams(location.search).get("next") ?? "./", location.href);
    return next.origin === home.origin ? next : home;
  }

  document.addEventListener("DOMContentLoaded", () => {
    const form = /** @type {HTMLFormElement} */ (document.getElementById("signin"));
    const field = /** @type {HTMLInputElement} */ (document.getElementById("passphrase"));
    const submit = /** @type {HTMLButtonElement} */ (document.getElementById("submit"));
    const show = /** @type {HTMLButtonElement} */ (document.getElementById("show"));
    const problem = /** @type {HTMLElement} */ (document.getElementById("problem"));
    let timer = 0;

    /** @param {string} text */
    function complain(text) {
      problem.textContent = text;
      field.setAttribute("aria-invalid", String(text !== ""));
    }

    /** @param {boolean} isBusy */
    function setBusy(isBusy) {
      submit.disabled = isBusy;
      submit.classList.toggle("busy", isBusy);
    }

    /** Counts down until the next attempt is allowed. @param {number} seconds */
    function wait(seconds) {
      window.clearInterval(timer);
      const end = Date.now() + seconds * 1000;
      const tick = () => {
        const left = Math.ceil((end - Date.now()) / 1000);
        submit.disabled = left > 0;
        if (left > 0)
          return complain(`Too many wrong attempts. Try again in ${left} ${left === 1 ? "second" : "seconds"}.`);
        window.clearInterval(timer);
        complain("");
      };
      tick();
      timer = window.setInterval(tick, 500);
    }

    /** @param {{pairing?: string, passphrase?: string}} secret */
    async function signIn(secret) {
      complain("");
      setBusy(true);
      const answer = await fetch("api/session", {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify(secret),
      }).catch(() => null);
      if (answer?.ok) return location.replace(destination());
      setBusy(false);
      if (!answer) return complain("Glasshouse does not answer. Is it still running, and are you on its network?");
      const body = await answer.json().catch(() => ({}));
      if (answer.status === 429) return wait(Number(answer.headers.get("Retry-After")) || 30);
      if (secret.pairing)
        complain(
          "This sign-in link was used already or is too old. Make a new one under Share, or type the passphrase.",
        );
      else complain(body.error?.message ?? "Signing in did not work. Try again.");
      field.focus();
      field.select();
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const passphrase = field.value.trim();
      if (passphrase) signIn({passphrase});
      else complain("Type the passphrase first.");
    });
    show.addEventListener("click", () => {
      const isHidden = field.type === "password";
      field.type = isHidden ? "text" : "password";
      show.textContent = isHidden ? "Hide" : "Show";
      show.setAttribute("aria-pressed", String(isHidden));
    });

    const secret = takeSecretFromAddress();
    if (secret?.passphrase) field.value = secret.passphrase;
    if (secret) signIn(secret);
    else if (!matchMedia("(pointer: coarse)").matches) field.focus();
  });
})();
