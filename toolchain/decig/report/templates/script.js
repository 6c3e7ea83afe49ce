"use strict";
// The viewer of pictures: one image at a time, two views of it, a slider and a flicker. The gallery
// below it holds all pictures and is there without this script.
(() => {
  const FLICKER_MS = 600; // below three changes a second, which nobody need fear
  const find = (id) => document.getElementById(id);
  const viewer = find("viewer");
  if (!viewer) return;
  const exhibits = [...document.querySelectorAll(".exhibit")];
  const [stage, under, over, slider] = ["stage", "under", "over", "slider"].map(find);
  const [left, right, flicker, name] = ["left", "right", "flicker", "viewer-name"].map(find);
  let current = 0, timer = 0;

  const views = () => [...exhibits[current].querySelectorAll("img")];
  const viewOf = (kind) => views().find((view) => view.dataset.kind === kind) || views()[0];

  function place(percent) {
    slider.value = Math.round(Math.min(100, Math.max(0, percent)));
    stage.style.setProperty("--at", `${slider.value}%`);
    slider.setAttribute("aria-valuetext",
      `${slider.value} % ${viewOf(left.value).dataset.title}, the rest ${viewOf(right.value).dataset.title}`);
  }

  function stopFlicker() {
    window.clearInterval(timer);
    timer = 0;
    flicker.setAttribute("aria-pressed", "false");
    viewer.classList.remove("flickering");
    place(slider.value);
  }

  function startFlicker() {
    flicker.setAttribute("aria-pressed", "true");
    viewer.classList.add("flickering");
    let shown = false;
    const turn = () => {
      shown = !shown;
      viewer.dataset.shown = shown ? "left" : "right";
      stage.style.setProperty("--at", shown ? "100%" : "0%");
    };
    turn();
    timer = window.setInterval(turn, FLICKER_MS);
  }

  function show(index) {
    current = (index + exhibits.length) % exhibits.length;
    const kinds = views().map((view) => view.dataset.kind);
    for (const [list, usual] of [[left, "original"], [right, "compressed"]]) {
      const wanted = kinds.includes(list.value) ? list.value : usual;
      list.replaceChildren(...views().map((view) => new Option(view.dataset.title, view.dataset.kind)));
      list.value = kinds.includes(wanted) ? wanted : kinds[0];
    }
    exhibits.forEach((each, place) => each.setAttribute("aria-current", String(place === current)));
    name.textContent = exhibits[current].dataset.text;
    draw();
  }

  function draw() {
    for (const [image, list, tag] of [[over, left, "left-tag"], [under, right, "right-tag"]]) {
      const view = viewOf(list.value);
      image.src = view.src;
      image.alt = view.alt;
      find(tag).textContent = view.dataset.title;
    }
    if (!timer) place(slider.value);
  }

  exhibits.forEach((exhibit, index) => {
    const caption = exhibit.querySelector("figcaption");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Compare";
    button.setAttribute("aria-label", `Compare ${exhibit.dataset.name} above`);
    button.addEventListener("click", () => {
      show(index);
      viewer.scrollIntoView({ block: "center" });
      slider.focus({ preventScroll: true });
    });
    caption.append(button);
  });

  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    if (timer) stopFlicker();
    place((100 * (event.clientX - box.left)) / box.width);
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (event.buttons) drag(event);
  });
  slider.addEventListener("input", () => {
    if (timer) stopFlicker();
    place(slider.value);
  });
  left.addEventListener("change", draw);
  right.addEventListener("change", draw);
  flicker.addEventListener("click", () => (timer ? stopFlicker() : startFlicker()));
  find("previous").addEventListener("click", () => show(current - 1));
  find("next").addEventListener("click", () => show(current + 1));
  viewer.hidden = false;
  show(0);
})();
