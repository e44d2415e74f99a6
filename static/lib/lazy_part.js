// @ts-check
// A large part of the page whose code is fetched when somebody opens it first, not when the chat loads.
import {h, markRaw} from "vue";
import {notify} from "glasshouse/shell.js";

/**
 * The component that the server knows. It passes the part's events up and the server's news down; what the server
 * sends before the part is there is not missed, because the part asks for everything when it comes.
 * @param {() => Promise<{default: object}>} load
 * @param {{emits: string[], bringWhen: (bring: () => void) => () => void, empty: () => any}} options `bringWhen` says
 *   when the code is wanted and returns how to stop listening; `empty` is drawn until it has come
 */
export const lazyPart = (load, {emits, bringWhen, empty}) => ({
  props: {initial: {type: Object, default: () => ({})}},
  emits,
  data: () => ({part: null}),
  mounted() {
    this.stop = bringWhen((detail) => this.bring(detail));
  },
  beforeUnmount() {
    this.stop();
  },
  methods: {
    async bring(detail) {
      if (this.part) return;
      try {
        this.part = markRaw((await load()).default);
      } catch {
        notify("This page could not be fetched. Check the connection and open it again.", "bad");
        return;
      }
      if (detail !== undefined) this.$nextTick(() => this.$refs.part.begin?.(detail));
    },
    /** @param {object} news */
    receive(news) {
      this.$refs.part?.receive(news);
    },
  },
  render() {
    if (!this.part) return empty();
    return h(this.part, {ref: "part", initial: this.initial, ask: (name, detail) => this.$emit(name, detail)});
  },
});
