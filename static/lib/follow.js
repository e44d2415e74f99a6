// @ts-check
// Keep the end of a growing text in sight, but only for someone who is at the end. Whoever scrolled up stays where they
// are, whatever arrives below.

const NEAR_PX = 40;

export class Follow {
  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} content what grows inside
   * @param {(isAtEnd: boolean) => void} onChange
   */
  constructor(scroller, content, onChange) {
    this.scroller = scroller;
    this.onChange = onChange;
    this.isFollowing = true;
    this.isAtRest = false; // what is shown is no conversation: nothing moves it
    this.lastTop = scroller.scrollTop;
    this.onScroll = () => this.scrolled();
    scroller.addEventListener("scroll", this.onScroll, {passive: true});
    this.observer = new ResizeObserver(() => this.grown());
    this.observer.observe(content, {box: "border-box"}); // its padding makes room for the composer
    this.observer.observe(scroller);
  }

  stop() {
    this.scroller.removeEventListener("scroll", this.onScroll);
    this.observer.disconnect();
  }

  get distance() {
    const {scrollHeight, scrollTop, clientHeight} = this.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  scrolled() {
    const top = this.scroller.scrollTop;
    const isUp = top < this.lastTop - 1;
    this.lastTop = top;
    if (this.distance <= NEAR_PX) this.set(true);
    else if (isUp) this.set(false);
  }

  grown() {
    if (this.isAtRest) return;
    if (this.isFollowing) this.toEnd();
    else if (this.distance <= 1) this.set(true);
  }

  /** Show the beginning, for what is not a conversation. */
  toStart() {
    this.scroller.scrollTop = 0;
    this.lastTop = 0;
    this.isAtRest = true;
    this.set(false);
  }

  /** @param {boolean} [isSmooth] */
  toEnd(isSmooth = false) {
    this.isAtRest = false;
    this.set(true);
    this.scroller.scrollTo({top: this.scroller.scrollHeight, behavior: isSmooth ? "smooth" : "instant"});
    if (!isSmooth) this.lastTop = this.scroller.scrollTop;
  }

  /** @param {boolean} following */
  set(following) {
    if (this.isFollowing === following) return;
    this.isFollowing = following;
    this.onChange(following);
  }
}
