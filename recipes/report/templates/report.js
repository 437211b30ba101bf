"use strict";
// The browser of samples. All that a model wrote goes into the page as text (`textContent`), never as markup.
(() => {
  const PAGE_SIZE = 24;
  const SEARCH_PAUSE_MS = 120;
  const byId = (id) => document.getElementById(id);
  const section = byId("samples");
  const data = JSON.parse(byId("sample-data").textContent);
  const { answers, images, dictionaries } = data;
  const n = answers.image.length;
  const UNPARSED = data.labels.length;

  // Filters. A facet gives every answer the number of one of its options, -1 for none.
  const yesNo = ["yes", "no"];
  const ofImage = (column) => answers.image.map((image) => column[image]);
  const isRight = (i) => answers.verdict[i] === images.label[answers.image[i]];
  const numbers = Array.from({ length: n }, (_, i) => i);
  const facets = [
    { key: "run", title: "Run", options: data.runs, codes: answers.run },
    { key: "questions", title: "Questions", options: data.banks, codes: answers.bank },
    { key: "label", title: "Label", options: data.labels, codes: ofImage(images.label) },
    { key: "verdict", title: "Verdict", options: [...data.labels, "none"], codes: answers.verdict },
    { key: "result", title: "Right or wrong", options: ["right", "wrong"], codes: numbers.map((i) => (isRight(i) ? 0 : 1)) },
    { key: "parsed", title: "Verdict found", options: yesNo, codes: answers.verdict.map((v) => (v === UNPARSED ? 1 : 0)) },
    { key: "thinking", title: "Thinking", options: yesNo, codes: answers.thinking.map((v) => 1 - v) },
    { key: "repeats", title: "Repeats itself", options: yesNo, codes: answers.looped.map((v) => 1 - v) },
    ...["category", "generator", "source"].map((key) => ({
      key,
      title: key[0].toUpperCase() + key.slice(1),
      options: dictionaries[key],
      codes: ofImage(images[key]),
    })),
  ].filter((facet) => new Set(facet.codes).size > 1);

  const doubt = (i) => answers.p_fake[i] ?? 0.5;
  const wrongness = (i) => Math.abs(doubt(i) - images.label[answers.image[i]]);
  const orders = {
    "as evaluated": null,
    "longest first": (a, b) => answers.tokens[b] - answers.tokens[a],
    "p(fake), high first": (a, b) => doubt(b) - doubt(a),
    "p(fake), low first": (a, b) => doubt(a) - doubt(b),
    "furthest from the label first": (a, b) => wrongness(b) - wrongness(a),
  };

  const state = { q: "", sort: "as evaluated", page: 1, answer: null };
  let shown = numbers;

  // Text search: every word must occur, in any case; what is searched is made at the first search.
  let haystacks = null;
  const textOf = (i) => {
    const image = answers.image[i];
    const parts = [images.id[image], dictionaries.question[answers.question[i]], ...answers.completion[i], images.reference[image]];
    return parts.filter(Boolean).join("\n").toLowerCase();
  };
  const words = () => state.q.toLowerCase().split(/\s+/).filter(Boolean);

  function update() {
    const wanted = facets.map((facet) => facet.options.indexOf(state[facet.key]));
    const counts = facets.map((facet) => new Array(facet.options.length).fill(0));
    const terms = words();
    if (terms.length && !haystacks) haystacks = numbers.map(textOf);
    shown = [];
    for (let i = 0; i < n; i++) {
      if (!terms.every((term) => haystacks[i].includes(term))) continue;
      // An option's count is of the answers that all *other* filters let through.
      let nFailed = 0;
      let failed = -1;
      for (let f = 0; f < facets.length && nFailed < 2; f++) {
        if (wanted[f] >= 0 && facets[f].codes[i] !== wanted[f]) {
          nFailed += 1;
          failed = f;
        }
      }
      if (nFailed === 0) {
        shown.push(i);
        for (let f = 0; f < facets.length; f++) if (facets[f].codes[i] >= 0) counts[f][facets[f].codes[i]] += 1;
      } else if (nFailed === 1 && facets[failed].codes[i] >= 0) {
        counts[failed][facets[failed].codes[i]] += 1;
      }
    }
    const order = orders[state.sort];
    if (order) shown.sort((a, b) => order(a, b) || a - b);
    facets.forEach((facet, f) => showCounts(facet, counts[f]));
    showPage();
  }

  function showCounts(facet, counts) {
    [...facet.select.options].slice(1).forEach((option, i) => {
      option.textContent = `${facet.options[i]} (${counts[i].toLocaleString("en")})`;
    });
    facet.select.value = facet.options.includes(state[facet.key]) ? state[facet.key] : "";
    facet.select.classList.toggle("set", facet.select.value !== "");
  }

  // Elements.
  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const blocks = new Map();
  function picture(image) {
    const number = Math.floor(image / data.images_a_block);
    if (!blocks.has(number)) {
      const script = byId(`thumbnails-${number}`);
      blocks.set(number, script ? JSON.parse(script.textContent) : []);
    }
    const webp = blocks.get(number)[image % data.images_a_block];
    if (!webp) return element("div", "picture none", "no thumbnail");
    const made = element("img", "picture");
    made.alt = `Image ${images.id[image]}`;
    made.src = `data:image/webp;base64,${webp}`;
    return made;
  }

  function completion(i) {
    const box = element("div", "completion");
    answers.completion[i].forEach((text, part) => {
      // Odd parts are think blocks, their tags included.
      const empty = !text.replace("<think>", "").replace("</think>", "").trim();
      const className = part % 2 === 0 ? "outside" : empty ? "think empty" : "think";
      if (text.trim()) box.append(element("span", className, text.trim()));
    });
    if (!box.childElementCount) box.append(element("em", "", "(empty)"));
    return box;
  }

  function badges(i) {
    const label = images.label[answers.image[i]];
    const verdict = answers.verdict[i];
    const list = element("p", "badges");
    const said = verdict === UNPARSED ? "no verdict" : `says ${data.labels[verdict]}`;
    const result = isRight(i) ? "right" : "wrong";
    const mark = isRight(i) ? "✓" : "✗";
    list.append(element("span", `badge ${result}`, `${mark} ${said}`), element("span", "badge", `is ${data.labels[label]}`));
    list.append(element("span", "badge", data.banks[answers.bank[i]]));
    if (data.runs.length > 1) list.append(element("span", "badge", data.runs[answers.run[i]]));
    list.append(element("span", "badge", `${answers.tokens[i]} tokens`));
    if (answers.p_fake[i] !== null) list.append(element("span", "badge", `p(fake) ${answers.p_fake[i].toFixed(3)}`));
    if (answers.looped[i]) list.append(element("span", "badge warn", "repeats itself"));
    if (!answers.well_formed[i]) list.append(element("span", "badge warn", "not well-formed"));
    return list;
  }

  function facts(image) {
    const parts = ["source", "generator", "category"].map((key) => dictionaries[key][images[key][image]]);
    if (images.width[image] && images.height[image]) parts.push(`${images.width[image]} × ${images.height[image]} px`);
    return parts.filter(Boolean).join(" · ");
  }

  function card(i) {
    const image = answers.image[i];
    const item = element("li", "card");
    const open = element("button", "open", images.id[image]);
    open.type = "button";
    open.dataset.answer = i;
    open.setAttribute("aria-haspopup", "dialog");
    const text = element("div", "card-text");
    text.append(open, badges(i), element("p", "question", dictionaries.question[answers.question[i]] ?? ""), completion(i));
    item.append(picture(image), text);
    item.append(element("p", "facts", facts(image)));
    return item;
  }

  const nPages = () => Math.max(1, Math.ceil(shown.length / PAGE_SIZE));
  function showPage() {
    state.page = Math.min(Math.max(1, state.page), nPages());
    const start = (state.page - 1) * PAGE_SIZE;
    byId("cards").replaceChildren(...shown.slice(start, start + PAGE_SIZE).map(card));
    const count = (value) => value.toLocaleString("en");
    byId("count").textContent = `${count(shown.length)} of ${count(n)} answers, page ${state.page} of ${nPages()}`;
    byId("none").hidden = shown.length > 0;
    for (const button of section.querySelectorAll("[data-page]")) {
      const back = ["first", "previous"].includes(button.dataset.page);
      button.disabled = back ? state.page === 1 : state.page === nPages();
    }
    const number = byId("page-number");
    number.value = state.page;
    number.max = nPages();
    writeHash();
  }

  function goTo(page) {
    state.page = page;
    showPage();
    byId("count").scrollIntoView({ block: "start" });
  }

  function turn(where) {
    goTo({ first: 1, previous: state.page - 1, next: state.page + 1, last: nPages() }[where]);
  }

  // One answer in full, with all answers to its image.
  const dialog = byId("detail");
  function openAnswer(i) {
    const image = answers.image[i];
    const body = byId("detail-body");
    byId("detail-title").textContent = images.id[image];
    body.replaceChildren(picture(image), element("p", "facts", `labelled ${data.labels[images.label[image]]} · ${facts(image)}`));
    if (images.reference[image]) {
      body.append(element("h4", "", "The data set's own explanation"), element("p", "reference", images.reference[image]));
    }
    numbers.filter((j) => answers.image[j] === image).forEach((j) => {
      const box = element("section", j === i ? "answer current" : "answer");
      box.append(badges(j), element("p", "question", dictionaries.question[answers.question[j]] ?? ""), completion(j));
      if (j === i) box.setAttribute("aria-current", "true");
      body.append(box);
    });
    state.answer = i;
    if (!dialog.open) dialog.showModal();
    body.querySelector(".current").scrollIntoView({ block: "nearest" });
    writeHash();
  }

  function step(by) {
    const place = shown.indexOf(state.answer) + by;
    if (place >= 0 && place < shown.length) openAnswer(shown[place]);
  }

  dialog.addEventListener("close", () => {
    const i = state.answer;
    state.answer = null;
    // What was read last has the focus again, on whatever page it is.
    const place = shown.indexOf(i);
    if (place >= 0) {
      state.page = Math.floor(place / PAGE_SIZE) + 1;
      showPage();
      section.querySelector(`[data-answer="${i}"]`)?.focus();
    } else {
      writeHash();
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });

  // The address: #samples?questions=hard&result=wrong&page=2
  function writeHash() {
    const query = new URLSearchParams();
    for (const facet of facets) if (state[facet.key]) query.set(facet.key, state[facet.key]);
    if (state.q) query.set("q", state.q);
    if (state.sort !== "as evaluated") query.set("sort", state.sort);
    if (state.page > 1) query.set("page", state.page);
    if (state.answer !== null) query.set("answer", state.answer + 1);
    const text = query.toString();
    const hash = text ? `#samples?${text}` : "#samples";
    // Other addresses (#table1) stay until something is chosen here.
    if ((text || location.hash.startsWith("#samples")) && location.hash !== hash) history.replaceState(null, "", hash);
  }

  function readHash() {
    if (!location.hash.startsWith("#samples")) return false;
    const query = new URLSearchParams(location.hash.slice("#samples?".length));
    for (const facet of facets) state[facet.key] = facet.options.includes(query.get(facet.key)) ? query.get(facet.key) : "";
    state.q = query.get("q") ?? "";
    state.sort = query.get("sort") in orders ? query.get("sort") : "as evaluated";
    state.page = Number.parseInt(query.get("page") ?? "1", 10) || 1;
    byId("search").value = state.q;
    byId("sort").value = state.sort;
    const answer = Number.parseInt(query.get("answer") ?? "", 10) - 1;
    update();
    if (answer >= 0 && answer < n) openAnswer(answer);
    else if (dialog.open) dialog.close();
    return true;
  }

  // Controls.
  function makeFilters() {
    for (const facet of facets) {
      const label = element("label", "", facet.title);
      facet.select = element("select");
      facet.select.name = facet.key;
      const any = element("option", "", "any");
      any.value = "";
      facet.select.append(any);
      for (const name of facet.options) {
        const option = element("option", "", name);
        option.value = name;
        facet.select.append(option);
      }
      facet.select.addEventListener("change", () => choose(facet.key, facet.select.value));
      label.append(facet.select);
      byId("filters").append(label);
    }
    for (const name of Object.keys(orders)) byId("sort").append(element("option", "", name));
  }

  function choose(key, value) {
    state[key] = value;
    state.page = 1;
    update();
  }

  function reset() {
    for (const facet of facets) state[facet.key] = "";
    byId("search").value = "";
    byId("sort").value = "as evaluated";
    Object.assign(state, { q: "", sort: "as evaluated", page: 1 });
    update();
  }

  function moveFocus(by) {
    const buttons = [...byId("cards").querySelectorAll(".open")];
    const place = buttons.indexOf(document.activeElement) + by;
    if (place >= 0 && place < buttons.length) return buttons[place].focus();
    const page = state.page + by;
    if (place < 0 && document.activeElement !== buttons[0]) return buttons[0]?.focus();
    if (page < 1 || page > nPages()) return undefined;
    goTo(page);
    return [...byId("cards").querySelectorAll(".open")].at(by > 0 ? 0 : -1)?.focus();
  }

  const keys = {
    j: () => (dialog.open ? step(1) : moveFocus(1)),
    k: () => (dialog.open ? step(-1) : moveFocus(-1)),
    ArrowRight: () => (dialog.open ? step(1) : section.contains(document.activeElement) && state.page < nPages() && turn("next")),
    ArrowLeft: () => (dialog.open ? step(-1) : section.contains(document.activeElement) && state.page > 1 && turn("previous")),
    "/": () => dialog.open || byId("search").focus(),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });

  let timer = 0;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => choose("q", event.target.value.trim()), SEARCH_PAUSE_MS);
  });
  byId("sort").addEventListener("change", (event) => choose("sort", event.target.value));
  byId("page-number").addEventListener("change", (event) => goTo(Number.parseInt(event.target.value, 10) || 1));
  byId("reset").addEventListener("click", reset);
  byId("detail-close").addEventListener("click", () => dialog.close());
  byId("detail-previous").addEventListener("click", () => step(-1));
  byId("detail-next").addEventListener("click", () => step(1));
  for (const button of section.querySelectorAll("[data-page]")) button.addEventListener("click", () => turn(button.dataset.page));
  byId("cards").addEventListener("click", (event) => {
    const open = event.target.closest(".open");
    if (open) openAnswer(Number(open.dataset.answer));
  });
  window.addEventListener("hashchange", () => readHash() && section.scrollIntoView());

  section.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  byId("filter-box").open = window.matchMedia("(min-width: 40rem)").matches;

  for (const facet of facets) state[facet.key] = "";
  makeFilters();
  section.classList.add("ready");

  // What scrolls sideways can be scrolled by keyboard, what does not is no stop for the Tab key.
  const boxes = document.querySelectorAll(".scroll, .chart");
  const watcher = new ResizeObserver(() => {
    for (const box of boxes) {
      const scrolls = box.scrollWidth > box.clientWidth;
      box.tabIndex = scrolls ? 0 : -1;
      if (scrolls) box.setAttribute("aria-label", "Scrolls sideways");
      box.setAttribute("role", "group");
    }
  });
  watcher.observe(document.body);

  if (readHash()) section.scrollIntoView();
  else update();
})();
