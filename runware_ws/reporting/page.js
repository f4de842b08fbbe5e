"use strict";
// Everything that comes from outside is set as text or as a checked link, never as markup.
const images = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

function element(tag, members, ...children) {
  const made = Object.assign(document.createElement(tag), members);
  made.append(...children);
  return made;
}

// Words

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const inBytes = (count) => {
  const units = ["B", "kB", "MB", "GB"];
  const step = Math.min(3, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  return `${number.format(count / 1000 ** step)} ${units[step]}`;
};
const inPixels = (picture) => (picture?.width ? `${picture.width}\u00d7${picture.height}` : "");
const inDollars = (cost) => `$${cost.toFixed(cost && cost < 0.01 ? 4 : 2)}`;
const inSeconds = (seconds) => `${seconds < 10 ? seconds.toFixed(2) : number.format(seconds)} s`;
const joined = (...parts) => parts.filter(Boolean).join(" \u00b7 ");
const change = (image, words) =>
  [image.before, image.after].map((one) => (one ? words(one) : "")).filter(Boolean).join(" \u2192 ");
const sizesOf = (image) =>
  joined(change(image, inPixels), change(image, (one) => (one.bytes ? inBytes(one.bytes) : "")));
const factsOf = (image) =>
  joined(
    image.seconds != null && inSeconds(image.seconds),
    image.cost != null && inDollars(image.cost),
    image.attempts > 1 && `${image.attempts} attempts`,
  );

// Totals

const failed = images.filter((image) => image.error);
const sum = (name) => images.reduce((total, image) => total + (image[name] ?? 0), 0);
const times = images.map((image) => image.seconds).filter((one) => one != null).sort((a, b) => a - b);
const totals = [
  ["upscaled", images.length - failed.length],
  ["failed", failed.length, failed.length ? "bad" : ""],
  images.some((image) => image.cost != null) && ["cost", inDollars(sum("cost"))],
  times.length && ["median time", inSeconds(times[Math.floor(times.length / 2)])],
  times.length && ["longest time", inSeconds(times.at(-1))],
];
$("totals").append(
  ...totals.filter(Boolean).map(([name, value, className = ""]) =>
    element("div", {}, element("dt", {}, name), element("dd", { className }, String(value))),
  ),
);

// Cards

const loader = new IntersectionObserver(
  (seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      loader.unobserve(target);
      for (const picture of target.querySelectorAll("img")) picture.src = picture.dataset.src;
    }
  },
  { rootMargin: "600px" },
);

function pictureOf(picture, className, alt) {
  const made = element("img", { className, alt, draggable: false, decoding: "async" });
  made.dataset.src = picture.thumbnail ?? picture.link;
  return made;
}
const isShown = (picture) => Boolean(picture?.thumbnail ?? picture?.link);

function compare(image) {
  const box = element("div", { className: "compare" });
  const [before, after] = [isShown(image.before), isShown(image.after)];
  if (before) box.append(pictureOf(image.before, "before", `${image.name}, before`));
  if (after) box.append(pictureOf(image.after, "after", `${image.name}, after`));
  if (before && after) {
    const slider = element("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50 });
    slider.setAttribute("aria-label", `Boundary between before and after of ${image.name}`);
    slider.addEventListener("input", () => box.style.setProperty("--split", `${slider.value}%`));
    slider.addEventListener("dblclick", () => viewer.show(image));
    slider.addEventListener("keydown", (event) => event.key === "Enter" && viewer.show(image));
    box.append(
      element("span", { className: "label left" }, "Before"),
      element("span", { className: "label right" }, "After"),
      element("div", { className: "divider" }),
      slider,
    );
  } else {
    box.classList.add("single");
    if (!before && !after) box.append(element("span", { className: "blank" }, "no picture"));
  }
  return box;
}

function linkOf(picture, words) {
  return element("a", { href: picture.link, target: "_blank", rel: "noopener noreferrer" }, words);
}

function card(image) {
  const name = element("div", { className: "name" }, element("h2", { title: image.name }, image.name));
  const about = element("div", { className: "about" }, name);
  if (image.error) about.append(element("p", { className: "reason" }, image.error));
  for (const words of [sizesOf(image), factsOf(image)]) if (words) about.append(element("p", {}, words));
  const links = element("p", {});
  if (image.before?.link) links.append(linkOf(image.before, "original"), " ");
  if (image.after?.link) links.append(linkOf(image.after, "result"));
  if (links.childNodes.length) about.append(links);
  if (isShown(image.after)) {
    const open = element("button", { type: "button", onclick: () => viewer.show(image) }, "Zoom");
    open.setAttribute("aria-label", `Zoom into ${image.name}`);
    name.append(open);
  }
  const made = element("article", { className: image.error ? "card failed" : "card" }, compare(image), about);
  loader.observe(made);
  return made;
}

// Filter and sort

const orders = {
  "as processed": () => 0,
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  "longest time": (a, b) => (b.seconds ?? -1) - (a.seconds ?? -1),
  "highest cost": (a, b) => (b.cost ?? -1) - (a.cost ?? -1),
  "largest result": (a, b) => (b.after?.bytes ?? -1) - (a.after?.bytes ?? -1),
};
const kinds = [
  ["All", () => true],
  ["Done", (image) => !image.error],
  ["Failed", (image) => Boolean(image.error)],
];
$("order").append(...Object.keys(orders).map((name) => element("option", {}, name)));
$("kinds").append(
  ...kinds.map(([name, test], place) => {
    const choice = element("input", { type: "radio", name: "kind", value: place, checked: !place });
    return element("label", {}, choice, `${name} ${images.filter(test).length}`);
  }),
);

const cards = new Map(images.map((image) => [image, card(image)]));
let shown = images;

function update() {
  const words = $("words").value.trim().toLowerCase();
  const [, test] = kinds[document.querySelector("#kinds :checked").value];
  const holds = (image) => `${image.name} ${image.error ?? ""}`.toLowerCase().includes(words);
  shown = images.filter((image) => test(image) && holds(image)).sort(orders[$("order").value]);
  $("images").replaceChildren(...shown.map((image) => cards.get(image)));
  $("nothing").hidden = shown.length > 0;
}
$("controls").addEventListener("input", update);
$("controls").addEventListener("submit", (event) => event.preventDefault());

// Viewer

const viewer = {
  dialog: $("viewer"),
  stage: document.querySelector(".stage"),
  split: $("viewer-split"),
  pictures: [...document.querySelectorAll(".layer img")],
  pointers: new Map(),

  show(image) {
    this.image = image;
    const [before, after] = this.pictures;
    this.stage.classList.toggle("single", !isShown(image.before));
    for (const [element, picture] of [[before, image.before], [after, image.after]]) {
      element.removeAttribute("src");
      if (!isShown(picture)) continue;
      element.src = picture.link ?? picture.thumbnail;
      // The original may have been moved, or the page be on another machine.
      element.onerror = () => {
        element.onerror = null;
        if (picture.thumbnail) element.src = picture.thumbnail;
      };
      element.onload = () => element === after && this.fit();
    }
    $("viewer-name").textContent = image.name;
    $("viewer-sizes").textContent = joined(sizesOf(image), factsOf(image));
    this.setSplit(50);
    if (!this.dialog.open) this.dialog.showModal();
    this.fit();
  },

  size() {
    const [, after] = this.pictures;
    const { width, height } = this.image.after;
    return [width ?? (after.naturalWidth || 1), height ?? (after.naturalHeight || 1)];
  },

  fit() {
    const [width, height] = this.size();
    const { clientWidth, clientHeight } = this.stage;
    this.scale = Math.min(clientWidth / width, clientHeight / height);
    this.left = (clientWidth - width * this.scale) / 2;
    this.top = (clientHeight - height * this.scale) / 2;
    this.draw();
  },

  pixels() {
    const { clientWidth, clientHeight } = this.stage;
    this.zoom(1 / devicePixelRatio / this.scale, clientWidth / 2, clientHeight / 2);
  },

  zoom(factor, x, y) {
    const scale = Math.min(32, Math.max(0.02, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.draw();
  },

  draw() {
    const [width, height] = this.size();
    for (const picture of this.pictures) {
      picture.style.width = `${width}px`;
      picture.style.height = `${height}px`;
      picture.style.transform = `translate(${this.left}px, ${this.top}px) scale(${this.scale})`;
    }
    const shownScale = this.scale * devicePixelRatio;
    this.stage.classList.toggle("near", shownScale >= 1);
    $("viewer-zoom").textContent = `${Math.round(shownScale * 100)}%`;
  },

  setSplit(value) {
    this.split.value = value;
    this.stage.style.setProperty("--split", `${this.split.value}%`);
  },

  step(by) {
    const all = shown.filter((image) => isShown(image.after));
    const place = all.indexOf(this.image);
    if (all[place + by]) this.show(all[place + by]);
  },

  act(name) {
    const { clientWidth, clientHeight } = this.stage;
    const zoomBy = (factor) => this.zoom(factor, clientWidth / 2, clientHeight / 2);
    const acts = {
      in: () => zoomBy(1.5),
      out: () => zoomBy(1 / 1.5),
      fit: () => this.fit(),
      pixels: () => this.pixels(),
      next: () => this.step(1),
      previous: () => this.step(-1),
      close: () => this.dialog.close(),
    };
    acts[name]?.();
  },

  place(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  },

  moved(event) {
    if (!this.pointers.has(event.pointerId)) return;
    const before = [...this.pointers.values()];
    this.pointers.set(event.pointerId, this.place(event));
    const after = [...this.pointers.values()];
    const middle = (all) => [0, 1].map((axis) => all.reduce((sum, one) => sum + one[axis], 0) / all.length);
    const [oldMiddle, newMiddle] = [middle(before), middle(after)];
    this.left += newMiddle[0] - oldMiddle[0];
    this.top += newMiddle[1] - oldMiddle[1];
    this.draw();
    if (after.length === 2) {
      const spread = (all) => Math.hypot(all[0][0] - all[1][0], all[0][1] - all[1][1]) || 1;
      this.zoom(spread(after) / spread(before), ...newMiddle);
    }
  },

  listen() {
    const divider = this.stage.querySelector(".divider");
    this.dialog.addEventListener("click", ({ target }) => this.act(target.dataset?.do));
    this.split.addEventListener("input", () => this.setSplit(this.split.value));
    this.stage.addEventListener("dblclick", () => (this.scale * devicePixelRatio < 1 ? this.pixels() : this.fit()));
    this.stage.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), ...this.place(event));
      },
      { passive: false },
    );
    divider.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      divider.setPointerCapture(event.pointerId);
    });
    divider.addEventListener("pointermove", (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      const { left, width } = this.stage.getBoundingClientRect();
      this.setSplit(((event.clientX - left) / width) * 100);
    });
    this.stage.addEventListener("pointerdown", (event) => {
      this.stage.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.place(event));
      this.stage.classList.add("moving");
    });
    this.stage.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel"])
      this.stage.addEventListener(end, (event) => {
        this.pointers.delete(event.pointerId);
        if (!this.pointers.size) this.stage.classList.remove("moving");
      });
    this.dialog.addEventListener("keydown", (event) => {
      const keys = { "+": "in", "=": "in", "-": "out", 0: "fit", 1: "pixels", PageDown: "next", PageUp: "previous" };
      if (event.key === " " && event.target.tagName !== "BUTTON") this.setSplit(this.split.value < 50 ? 100 : 0);
      else if (keys[event.key]) this.act(keys[event.key]);
      else if (event.target !== this.split && ["ArrowLeft", "ArrowRight"].includes(event.key))
        this.setSplit(Number(this.split.value) + (event.key === "ArrowLeft" ? -2 : 2));
      else return;
      event.preventDefault();
    });
    addEventListener("resize", () => this.dialog.open && this.fit());
  },
};
viewer.listen();
update();
