// @ts-check
// The message box. It keeps the text until the server says that it has it: the server calls sent, refused or prepared
// with the number of the attempt. Long texts and pictures go by POST, because NiceGUI's socket takes one megabyte at
// most.

import {h} from "vue";
import {loadDraft, saveDraft} from "glasshouse/drafts.js";
import {icon} from "glasshouse/icon.js";
import {ACCEPTED, MOST_PICTURES, isPicture, readPictures} from "glasshouse/pictures.js";
import {isOnline, isTouch, on} from "glasshouse/shell.js";

const POST_FROM = 200_000; // characters
const ANSWER_WITHIN_MS = 10_000;
const TYPING_PAUSE_MS = 400;
const PASTED_FROM = 200; // characters at once
const NO_CONNECTION = "No connection just now. Your message stays here until you send it.";

export default {
  props: {
    conversationId: {type: String, default: null},
    isAnswering: Boolean,
    modelName: String,
    sees: {type: Boolean, default: null}, // whether the model sees pictures; null: it is not loaded yet
    readsAhead: Boolean,
  },
  emits: ["send", "prepare", "stop", "draft"],
  data() {
    return {
      text: loadDraft(this.conversationId),
      pictures: [],
      note: "",
      isSending: false,
      place: this.conversationId,
    };
  },
  computed: {
    isEmpty() {
      return !this.text.trim() && !this.pictures.length;
    },
  },
  watch: {
    conversationId(id) {
      this.visit(id);
    },
    isAnswering(isAnswering) {
      this.note = "";
      if (!isAnswering && this.text) this.tellDraftSoon(); // what was typed meanwhile
    },
  },
  created() {
    this.attempt = 0;
    this.told = ""; // the draft that the server knows of
    /** @type {{attempt: number, text: string, pictures: any[], key: string|null}|null} */
    this.pending = null;
  },
  mounted() {
    this.resize();
    this.focus();
    this.observer = new ResizeObserver(() => {
      const place = this.$el.closest(".main");
      place?.style.setProperty("--composer-height", `${this.$el.offsetHeight}px`);
    });
    this.observer.observe(this.$el);
    this.stopVisits = on("visit", this.visit);
    this.stopPictures = on("pictures", this.addPictures);
    this.stopOnline = on("online", (online) => online && this.note === NO_CONNECTION && (this.note = ""));
  },
  beforeUnmount() {
    this.observer.disconnect();
    this.stopVisits();
    this.stopPictures();
    this.stopOnline();
    clearTimeout(this.timer);
    clearTimeout(this.draftTimer);
  },
  methods: {
    focus() {
      if (!isTouch()) this.$refs.box.focus({preventScroll: true});
    },
    /** Belong to another conversation, at once: what is typed before the server shows it belongs there too. */
    visit(id) {
      if (id === this.place) return;
      const before = this.place;
      this.place = id;
      clearTimeout(this.draftTimer);
      if (this.isSending) return; // the first message of a new chat: the text is on its way
      saveDraft(before, this.text);
      this.setText(loadDraft(id));
      this.pictures = [];
      this.note = "";
      this.focus();
    },
    /** @param {Iterable<File>} files */
    async addPictures(files) {
      if (this.sees === false) {
        this.note = `${this.modelName} does not see pictures. Choose a model that has its projector (mmproj) with it.`;
        return;
      }
      try {
        const added = await readPictures(files);
        const pictures = [...this.pictures, ...added]; // more may have come meanwhile
        this.note = pictures.length > MOST_PICTURES ? `A message has ${MOST_PICTURES} pictures at most.` : "";
        this.pictures = pictures.slice(0, MOST_PICTURES);
      } catch (error) {
        this.note = error.message;
      }
      this.focus();
    },
    onPaste(event) {
      const files = [...(event.clipboardData?.files ?? [])].filter(isPicture);
      if (!files.length) return;
      event.preventDefault();
      this.addPictures(files);
    },
    setText(text) {
      this.text = text;
      this.$nextTick(this.resize);
    },
    resize() {
      const {box} = this.$refs;
      box.style.height = "auto";
      box.style.height = `${box.scrollHeight}px`; // max-height is the style sheet's
    },
    onInput(event) {
      const isPaste = event.target.value.length - this.text.length >= PASTED_FROM;
      this.text = event.target.value;
      this.tellDraftSoon(isPaste ? 0 : TYPING_PAUSE_MS);
      this.resize();
      saveDraft(this.place, this.text);
    },
    /** The server reads a draft ahead, so that the answer to it begins at once. */
    tellDraftSoon(pause = TYPING_PAUSE_MS) {
      clearTimeout(this.draftTimer);
      if (this.readsAhead) this.draftTimer = setTimeout(this.tellDraft, this.text.trim() ? pause : 0);
    },
    tellDraft() {
      const isIdle = !this.isSending && !this.isAnswering && this.isConnected();
      const text = this.text.trim() ? this.text : "";
      if (!isIdle || text === this.told || text.length > POST_FROM) return;
      this.told = text;
      this.$emit("draft", {conversation: this.place, text});
    },
    onKeydown(event) {
      if (event.key !== "Enter" || event.shiftKey || event.altKey || event.isComposing || event.keyCode === 229) return;
      if (isTouch() && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.send();
    },
    send() {
      if (this.isSending || this.isEmpty) return;
      if (this.isAnswering) this.note = "Wait until the answer is finished, or stop it.";
      else if (!this.isConnected()) this.note = NO_CONNECTION;
      else this.start(this.text);
    },
    /** Not navigator.onLine: a house without internet reaches its own server all the same. */
    isConnected: () => isOnline() && window.socket?.connected !== false,
    start(text) {
      clearTimeout(this.draftTimer);
      this.told = "";
      this.attempt += 1;
      this.isSending = true;
      this.note = "";
      this.pending = {attempt: this.attempt, text, pictures: this.pictures, key: this.place};
      this.timer = setTimeout(this.waitedTooLong, ANSWER_WITHIN_MS);
      if (text.length <= POST_FROM && !this.pictures.length) this.$emit("send", {attempt: this.attempt, text});
      else if (this.place) this.post(this.attempt, this.place);
      else this.$emit("prepare", {attempt: this.attempt, bytes: new Blob([text]).size});
    },
    /** The new chat for a long text is there. */
    prepared(attempt, conversationId) {
      if (this.pending?.attempt === attempt) this.post(attempt, conversationId);
    },
    async post(attempt, conversationId) {
      clearTimeout(this.timer); // a slow upload may take its time
      const address = `${window.path_prefix ?? ""}/api/conversations/${conversationId}/messages`;
      const {text, pictures} = this.pending;
      const body = JSON.stringify({text, images: pictures.map((each) => each.url)});
      try {
        const answer = await fetch(address, {method: "POST", headers: {"content-type": "application/json"}, body});
        if (answer.ok) return this.sent(attempt);
        const {error} = await answer.json().catch(() => ({}));
        this.refused(attempt, error?.message ?? "The message was not taken. It stays here; try again.");
      } catch {
        this.refused(attempt, NO_CONNECTION);
      }
    },
    /** The server has the message: what was typed meanwhile stays. */
    sent(attempt) {
      if (this.pending?.attempt !== attempt) return;
      const {text, pictures, key} = this.pending;
      this.pictures = this.pictures.filter((each) => !pictures.includes(each));
      this.settle();
      this.note = "";
      saveDraft(key, "");
      const more = this.text.startsWith(text) ? this.text.slice(text.length).trimStart() : this.text;
      this.setText(more || loadDraft(this.place));
      saveDraft(this.place, this.text);
      this.focus();
    },
    refused(attempt, reason) {
      if (this.pending?.attempt !== attempt) return;
      this.settle();
      this.note = reason;
    },
    /** The text may be sent again; should the answer still come, it counts. */
    waitedTooLong() {
      this.isSending = false;
      this.note = NO_CONNECTION;
    },
    settle() {
      clearTimeout(this.timer);
      this.isSending = false;
      this.pending = null;
    },
    renderPictures() {
      if (!this.pictures.length) return null;
      return h(
        "ul",
        {class: "composer-pictures", "aria-label": "Pictures of this message"},
        this.pictures.map((picture, index) =>
          h("li", {key: picture.url}, [
            h("img", {src: picture.url, alt: picture.name}),
            h(
              "button",
              {
                type: "button",
                "aria-label": `Remove ${picture.name}`,
                title: "Remove",
                onClick: () => this.pictures.splice(index, 1),
              },
              icon("x"),
            ),
          ]),
        ),
      );
    },
    renderPicker() {
      const pick = (event) => {
        this.addPictures([...event.target.files]);
        event.target.value = ""; // the same file again counts as a new choice
      };
      const words = {"aria-label": "Add pictures", title: "Add pictures"};
      const choose = (event) => (event.stopPropagation(), this.$refs.picker.click());
      return [
        h("input", {
          ref: "picker",
          type: "file",
          accept: ACCEPTED,
          multiple: true,
          hidden: true,
          tabindex: -1,
          "aria-label": "Choose pictures",
          onChange: pick,
        }),
        this.sees && h("button", {type: "button", class: "attach", ...words, onClick: choose}, icon("image")),
      ];
    },
    renderButton() {
      if (this.isAnswering) {
        const stop = () => this.$emit("stop");
        return h(
          "button",
          {key: "stop", class: "send stop", type: "button", "aria-label": "Stop", title: "Stop", onClick: stop},
          icon("square"),
        );
      }
      const isOff = this.isSending || this.isEmpty;
      return h(
        "button",
        {key: "send", class: "send", type: "submit", "aria-label": "Send", title: "Send", disabled: isOff},
        icon("arrow-up"),
      );
    },
  },
  render() {
    const submit = (event) => (event.preventDefault(), this.send());
    const box = {
      ref: "box",
      value: this.text,
      rows: 1,
      "aria-label": "Message",
      name: "message",
      dir: "auto",
      autocomplete: "off",
      enterkeyhint: isTouch() ? "enter" : "send",
      placeholder: `Message ${this.modelName || "Glasshouse"}…`,
      "aria-describedby": "composer-note",
      onInput: this.onInput,
      onKeydown: this.onKeydown,
      onPaste: this.onPaste,
    };
    return h("form", {class: "composer glass", onSubmit: submit}, [
      h("div", {id: "composer-note", class: ["composer-note", {shown: this.note}], role: "status"}, this.note),
      this.renderPictures(),
      h("div", {class: "composer-row", onClick: () => this.$refs.box.focus()}, [
        h("textarea", box),
        this.renderPicker(),
        this.renderButton(),
      ]),
    ]);
  },
};
