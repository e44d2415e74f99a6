// @ts-check
// The page Connect: every program that we know how to point at this server, a search, a model and a key for all of them.
// The server sends {place, clients, models}, and {step | ended} while a test runs.
import {h} from "vue";
import {connectCard} from "glasshouse/connect_card.js";
import {emptyState, problem, skeleton} from "glasshouse/models_bits.js";
import {searchField} from "glasshouse/models_filter.js";
import {programsHead} from "glasshouse/programs_head.js";
import {on, pageName} from "glasshouse/shell.js";

const KINDS = [
  ["all", "All"],
  ["library", "Libraries"],
  ["terminal", "Terminal"],
  ["editor", "Editors"],
  ["chat", "Chat apps"],
  ["home", "Home and automation"],
];
const TYPING_PAUSE_MS = 400;

/** @param {any[]} clients @param {{query: string, kind: string}} filter every word must be found somewhere */
export const listed = (clients, {query, kind}) =>
  clients.filter(
    (client) =>
      (kind === "all" || client.kind === kind) &&
      query
        .toLowerCase()
        .split(/\s+/)
        .every((word) => `${client.name} ${client.id} ${client.speaks} ${client.kind}`.toLowerCase().includes(word)),
  );

export default {
  props: {initial: {type: Object, required: true}, ask: {type: Function, required: true}},
  data: () => ({
    clients: /** @type {any[]|null} */ (null),
    place: /** @type {any} */ (null),
    models: [],
    model: "",
    key: "",
    filter: {query: "", kind: "all"},
    opened: location.hash.slice(1),
    /** @type {Record<string, {isRunning: boolean, steps: any[]}>} by the program's id */
    tests: {},
    error: "",
  }),
  mounted() {
    this.ask("look");
    this.stopListening = on("page", (page) => page === "connect" && this.ask("look"));
  },
  beforeUnmount() {
    this.stopListening();
    window.clearTimeout(this.typing);
  },
  methods: {
    /** @param {any} news */
    receive({step, ended, ...news}) {
      Object.assign(this, news);
      if (step) {
        const test = (this.tests[step.id] ??= {isRunning: true, steps: []});
        test.steps.push(step);
      }
      if (ended && this.tests[ended]) this.tests[ended].isRunning = false;
    },
    choose(change) {
      Object.assign(this, change);
      this.ask("choose", {model: this.model, key: this.key});
    },
    typeKey(key) {
      this.key = key;
      window.clearTimeout(this.typing);
      this.typing = window.setTimeout(() => this.choose({key: this.key}), TYPING_PAUSE_MS);
    },
    test(id) {
      this.tests[id] = {isRunning: true, steps: []};
      this.ask("test", id);
    },
    toggle(id) {
      this.opened = this.opened === id ? "" : id;
      if (pageName() === "connect") {
        history.replaceState(history.state, "", location.pathname + (this.opened && `#${this.opened}`));
      }
    },
    renderPlace() {
      const fact = (label, words) => h("div", {class: "place-fact"}, [h("span", {class: "place-label"}, label), words]);
      return h("section", {class: "card connect-place", "aria-label": "This server"}, [
        fact("Address", h("code", {class: "place-address"}, this.place.address)),
        fact(
          "Model",
          h(
            "select",
            {
              class: "field",
              "aria-label": "Model",
              value: this.model,
              onChange: (event) => this.choose({model: event.target.value}),
            },
            [
              h("option", {value: ""}, `${this.place.model} (now)`),
              ...this.models.map((model) => h("option", {value: model.id, key: model.id}, model.name)),
            ],
          ),
        ),
        fact(
          "Key",
          h("input", {
            class: "field",
            type: "password",
            "aria-label": "Key to put in",
            placeholder: "paste a key to put it in",
            autocomplete: "off",
            value: this.key,
            onInput: (event) => this.typeKey(event.target.value),
          }),
        ),
        h("p", {class: "hint place-hint"}, this.place.keyWords),
      ]);
    },
    renderFilter() {
      return h("div", {class: "models-filter connect-filter", role: "search", "aria-label": "Programs"}, [
        searchField({
          label: "Search programs",
          value: this.filter.query,
          onInput: (text) => (this.filter.query = text),
        }),
        h(
          "div",
          {class: "chips", role: "group", "aria-label": "Show only"},
          KINDS.map(([kind, words]) =>
            h(
              "button",
              {
                type: "button",
                class: ["chip", this.filter.kind === kind && "on"],
                key: kind,
                "aria-pressed": this.filter.kind === kind,
                onClick: () => (this.filter.kind = kind),
              },
              words,
            ),
          ),
        ),
      ]);
    },
    renderClients() {
      const clients = listed(this.clients ?? [], this.filter);
      if (!clients.length) {
        return emptyState(
          "search",
          "No program with these words",
          "Whatever speaks OpenAI’s, Anthropic’s or Ollama’s API works: give it the address above.",
        );
      }
      return h(
        "ul",
        {class: "connect-cards", "aria-label": "Programs"},
        clients.map((client) => connectCard(client, this)),
      );
    },
  },
  render() {
    const body = this.clients
      ? [
          problem(this.error, () => (this.error = "")),
          this.renderPlace(),
          this.renderFilter(),
          this.renderClients(),
        ]
      : [skeleton(4, "Looking for programs")];
    return h("main", {class: "main of-connect", "aria-label": "Connect programs"}, [
      programsHead("connect"),
      h(
        "div",
        {class: "models-scroll", id: "programs-body", role: "tabpanel", "aria-labelledby": "programs-tab-connect"},
        body,
      ),
    ]);
  },
};
