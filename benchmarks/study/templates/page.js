"use strict";
(() => {
  const study = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const prefix = `gmad-votes:${study.study}:`;
  const lastSession = `${prefix}last-session`;
  // A session is one person: {id, observer, at, savedAt, votes: {trial: {right, second, seconds}}}.
  let session = null;
  let order = [];
  let shownAt = 0;

  // FNV-1a of a text, and mulberry32: small, fixed generators, the same in every browser.
  const hash = (text) => {
    let h = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193);
    return h >>> 0;
  };
  const generator = (seed) => () => {
    seed = (seed + 0x6d2b79f5) >>> 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  // The seed and the observer's name settle the order of the pairs and the side of each image.
  const arrange = (observer) => {
    const random = generator(hash(`${study.seed}|${study.study}|${observer}`));
    const places = study.trials.map((_, trial) => ({ trial, swapped: random() < 0.5 }));
    for (let i = places.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [places[i], places[j]] = [places[j], places[i]];
    }
    return places;
  };

  // Votes are kept twice: in the browser's storage, which outlives the tab, and in the tab's history
  // entry, which outlives a reload even where the storage is off, full or lost.
  const keep = () => {
    session.savedAt = Date.now();
    const copies = [
      () => {
        localStorage.setItem(prefix + session.id, JSON.stringify(session));
        localStorage.setItem(lastSession, session.id);
      },
      () => history.replaceState({ study: study.study, session }, ""),
    ];
    const kept = copies.map((copy) => {
      try {
        copy();
        return true;
      } catch {
        return false; // Storage off or full, or too many changes of the history.
      }
    });
    byId("lost").hidden = kept[0];
  };
  const stored = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // Storage is off; `keep` shows a warning.
    }
  };
  const sessions = () => {
    let keys = [];
    try {
      keys = Object.keys(localStorage);
    } catch {
      return []; // Storage is off.
    }
    const own = keys.filter((key) => key.startsWith(prefix) && key !== lastSession);
    return own.map((key) => JSON.parse(stored(key)));
  };
  // The session of this tab, the later of its two copies; in a new tab the last one of all.
  const lastKept = () => {
    const state = history.state?.study === study.study ? history.state.session : null;
    const text = stored(prefix + (state ? state.id : stored(lastSession)));
    const copies = [text ? JSON.parse(text) : null, state].filter((copy) => copy);
    return copies.sort((a, b) => b.savedAt - a.savedAt)[0] ?? null;
  };

  const show = (id) => {
    for (const section of ["start", "same", "trial", "end"]) byId(section).hidden = section !== id;
  };

  const resume = (kept) => {
    session = kept;
    order = arrange(session.observer);
    keep();
    display();
  };
  const newId = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(4));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const begin = (observer) => resume({ id: newId(), observer, at: 0, savedAt: 0, votes: {} });

  // Votes are kept under this name: they may be this person's or those of a namesake.
  const askWho = (observer, kept) => {
    byId("same-name").textContent = observer;
    const buttons = kept.map((one) => {
      const button = document.createElement("button");
      const begun = new Date(one.savedAt).toLocaleString();
      const done = Object.keys(one.votes).length;
      button.type = "button";
      button.textContent = `These are mine: ${done} of ${study.trials.length} votes, last at ${begun}`;
      button.addEventListener("click", () => resume(one));
      return button;
    });
    byId("same-sessions").replaceChildren(...buttons);
    byId("same-other").onclick = () => begin(observer);
    show("same");
    byId("same-other").focus();
  };

  const display = () => {
    const total = order.length;
    const done = Object.keys(session.votes).length;
    byId("progress").textContent = `${session.observer}: ${done} of ${total} pairs voted`;
    if (session.at >= total) {
      show("end");
      return;
    }
    const { trial, swapped } = order[session.at];
    const images = study.trials[trial].images;
    byId("left").src = study.pictures[images[swapped ? 1 : 0]];
    byId("right").src = study.pictures[images[swapped ? 0 : 1]];
    byId("back").disabled = session.at === 0;
    const vote = session.votes[trial];
    for (const button of byId("grades").children) {
      const chosen = vote !== undefined && Number(button.value) === vote.right;
      button.classList.toggle("chosen", chosen);
      button.setAttribute("aria-pressed", String(chosen));
    }
    show("trial");
    shownAt = performance.now();
  };

  // `right` is the preference for the right image, `second` that for the trial's second image.
  const cast = (right) => {
    const { trial, swapped } = order[session.at];
    const seconds = Number(((performance.now() - shownAt) / 1000).toFixed(2));
    session.votes[trial] = { right, second: swapped ? -right || 0 : right, seconds };
    session.at += 1;
    keep();
    display();
  };

  const back = () => {
    if (session && session.at > 0) {
      session.at -= 1;
      keep();
      display();
    }
  };

  const quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;

  const table = () => {
    const rows = [study.columns];
    order.forEach(({ trial, swapped }, place) => {
      const vote = session.votes[trial];
      if (vote === undefined) return;
      const { images, cells } = study.trials[trial];
      for (const cell of cells) {
        const row = {
          ...cell,
          study: study.study,
          observer: session.observer,
          session: session.id,
          trial: place + 1,
          best: study.images[images[cell.best]],
          worst: study.images[images[1 - cell.best]],
          best_side: (cell.best === 1) === swapped ? "left" : "right",
          preference: cell.best === 1 ? vote.second : -vote.second || 0,
          seconds: vote.seconds,
        };
        rows.push(study.columns.map((name) => row[name]));
      }
    });
    return rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  };

  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    const name = session.observer.replace(/[^A-Za-z0-9._-]+/g, "_");
    link.download = `votes-${study.study}-${name}-${session.id}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  study.grades.forEach(([value, text], i) => {
    const button = document.createElement("button");
    const key = document.createElement("kbd");
    key.textContent = String(i + 1);
    button.type = "button";
    button.value = String(value);
    button.append(key, text);
    button.addEventListener("click", () => cast(value));
    byId("grades").append(button);
  });
  byId("who").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("observer").value.trim();
    const kept = sessions().filter((one) => one.observer === name);
    if (kept.length) askWho(name, kept);
    else if (name) begin(name);
  });
  byId("back").addEventListener("click", back);
  byId("review").addEventListener("click", back);
  byId("another").addEventListener("click", () => {
    session = null;
    history.replaceState(null, "");
    try {
      localStorage.removeItem(lastSession); // A reload starts with the question for a name.
    } catch {
      // Storage is off.
    }
    byId("observer").value = "";
    byId("progress").textContent = "";
    show("start");
    byId("observer").focus();
  });
  for (const button of document.querySelectorAll(".save")) button.addEventListener("click", save);

  const arrows = { ArrowLeft: -100, ArrowDown: 0, ArrowRight: 100 };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if (byId("trial").hidden) return;
    const grade = study.grades[Number(event.key) - 1];
    if (event.key === "Backspace") back();
    else if (grade) cast(grade[0]);
    else if (event.key in arrows) cast(arrows[event.key] / (event.shiftKey ? 2 : 1) || 0);
    else return;
    event.preventDefault();
  });

  const last = lastKept();
  if (last) resume(last);
  else show("start");
})();
