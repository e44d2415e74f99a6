// @ts-check
// Share: how to let others in the house use this Glasshouse, or, once it is shared, the address, a QR code that signs a
// phone in, the passphrase, and signing out everybody else.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {copyFor, copyLine} from "glasshouse/copy_line.js";
import {confirmDialog} from "glasshouse/dialog.js";
import {dialogFrame, opensAs} from "glasshouse/dialog_frame.js";

export default {
  mixins: [opensAs("share")],
  props: {initial: {type: Object, required: true}},
  emits: ["opened", "changePassphrase", "makePassphrase", "signOutOthers"],
  data() {
    return {
      ...this.initial,
      /** @type {{path: string, size: number, link: string, until: number} | null} */
      code: null,
      secondsLeft: 0,
      copied: "",
      passphrase: "",
      newPassphrase: "",
      problem: "",
      done: "",
    };
  },
  beforeUnmount() {
    window.clearInterval(this.timer);
  },
  methods: {
    onOpen() {
      Object.assign(this, {problem: "", done: "", passphrase: "", newPassphrase: "", code: null});
      this.$emit("opened");
      window.clearInterval(this.timer);
      this.timer = window.setInterval(() => this.tick(), 1000);
    },
    onClose() {
      window.clearInterval(this.timer);
      Object.assign(this, {code: null, newPassphrase: ""}); // nothing secret stays on the page
    },
    /** @param {object} news any of addresses, code, problem, done, newPassphrase */
    receive(news) {
      if (news.code) news.code.until = Date.now() + news.code.seconds * 1000;
      Object.assign(this, news);
      this.tick();
    },
    tick() {
      if (!this.code) return;
      this.secondsLeft = Math.max(0, Math.round((this.code.until - Date.now()) / 1000));
      if (this.secondsLeft === 0) {
        this.code = null;
        this.$emit("opened"); // a fresh one
      }
    },
    async signOutOthers() {
      const isSure = await confirmDialog({
        title: "Sign out other devices?",
        text: "Every other browser has to sign in again. Programs go on.",
        confirm: "Sign out",
      });
      if (isSure) this.$emit("signOutOthers");
    },
    submitPassphrase(event) {
      event.preventDefault();
      Object.assign(this, {problem: "", done: "", newPassphrase: ""});
      this.$emit("changePassphrase", this.passphrase);
    },
    makePassphrase() {
      Object.assign(this, {problem: "", done: "", passphrase: ""});
      this.$emit("makePassphrase");
    },
    renderAlone() {
      return [
        h(
          "p",
          {class: "share-lead"},
          "Only this machine can open Glasshouse now. To use it from phones and other computers in your network, stop it and start it again with:",
        ),
        copyLine(this, this.command, "Copy"),
        h("p", {class: "hint"}, "This dialog then shows the address and a QR code. Others sign in with a passphrase."),
      ];
    },
    renderCode() {
      if (!this.code) return h("div", {class: "qr-side"}, h("div", {class: "qr qr-empty"}));
      const {path, size} = this.code;
      const minutes = Math.ceil(this.secondsLeft / 60);
      return h("div", {class: "qr-side"}, [
        h(
          "svg",
          {
            class: "qr",
            viewBox: `0 0 ${size} ${size}`,
            role: "img",
            "aria-label": "QR code that signs a phone in",
            "shape-rendering": "crispEdges",
          },
          [h("rect", {class: "qr-light", width: size, height: size}), h("path", {class: "qr-dark", d: path})],
        ),
        h("p", {class: "hint numbers"}, `For one device · ${minutes} min left`),
        h("div", {class: "qr-actions"}, [
          h("button", {type: "button", class: "button quiet small", onClick: () => copyFor(this, this.code.link)}, [
            icon(this.copied === this.code.link ? "check" : "link"),
            this.copied === this.code.link ? "Copied" : "Copy link",
          ]),
          h("button", {type: "button", class: "button quiet small", onClick: () => this.$emit("opened")}, [
            icon("refresh-cw"),
            "New code",
          ]),
        ]),
      ]);
    },
    renderShared() {
      if (!this.addresses.length) {
        return [
          h(
            "p",
            {class: "share-lead"},
            "Glasshouse is shared, but this machine is in no network now. Connect it and open this dialog again.",
          ),
        ];
      }
      return [
        h("div", {class: "share-grid"}, [
          this.asksSignIn && this.renderCode(),
          h("div", [
            h(
              "p",
              {class: "share-lead"},
              this.asksSignIn
                ? "Scan the code with a phone in the same network: it is signed in without typing. Or open this address and type the passphrase:"
                : "Open this address on any device in the same network. Sign-in is off: everybody who reaches it may use it.",
            ),
            ...this.addresses.map((address) => copyLine(this, address, "Copy address")),
            h("p", {class: "hint"}, "Everybody who is signed in sees the same chats and models."),
          ]),
        ]),
        this.asksSignIn && this.renderPassphrase(),
      ];
    },
    renderPassphrase() {
      if (this.isFixed) {
        return h("div", [
          h("h3", {class: "form-label"}, "Passphrase"),
          h(
            "p",
            {class: "share-lead"},
            "It was given when Glasshouse was started (GLASSHOUSE_PASSPHRASE) and is changed there.",
          ),
          this.renderSignOut(),
        ]);
      }
      return h("div", [
        h("label", {class: "form-label", for: "new-passphrase"}, "New passphrase"),
        h("form", {class: "share-form", onSubmit: this.submitPassphrase}, [
          h("input", {
            class: "field",
            id: "new-passphrase",
            type: "text",
            autocomplete: "off",
            autocapitalize: "none",
            spellcheck: "false",
            placeholder: "At least 8 characters",
            value: this.passphrase,
            "aria-invalid": Boolean(this.problem),
            "aria-describedby": "passphrase-hint",
            onInput: (event) => (this.passphrase = event.target.value),
          }),
          h("button", {type: "submit", class: "button", disabled: !this.passphrase.trim()}, "Change passphrase"),
        ]),
        this.problem && h("p", {class: "problem", role: "alert"}, this.problem),
        h("p", {class: "share-done", role: "status"}, this.done),
        this.newPassphrase && copyLine(this, this.newPassphrase, "Copy"),
        h(
          "p",
          {class: "hint", id: "passphrase-hint"},
          this.isInLog &&
            "The log of the first start shows the passphrase that others need, if nobody changed it since. ",
          "Changing it signs out every other device. Programs have keys of their own, in Settings. It is kept as a hash, so it cannot be shown again later.",
        ),
        this.renderSignOut(
          h("button", {type: "button", class: "button", onClick: this.makePassphrase}, [
            icon("key-round"),
            "Make one for me",
          ]),
        ),
      ]);
    },
    renderSignOut(before) {
      return h("div", {class: "share-actions"}, [
        before,
        h("button", {type: "button", class: "button danger", onClick: this.signOutOthers}, [
          icon("log-out"),
          "Sign out other devices",
        ]),
      ]);
    },
  },
  render() {
    return dialogFrame(this, {title: "Share", class: "dialog-share"}, [
      h("div", {class: "dialog-body form"}, this.isShared ? this.renderShared() : this.renderAlone()),
    ]);
  },
};
