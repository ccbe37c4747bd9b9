"use strict";
// Draws the charts whose figures the page holds as JSON, and keeps them in the colors and the width of the page.
(() => {
  const root = document.documentElement;
  const plots = new Map(); // by id: {element, content, hidden, drawn}
  const narrow = 560;

  // -- colors: figures name variables of the style sheet -----

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const toggle = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  const resolved = (value, style) => {
    if (typeof value === "string") {
      return value.startsWith("var(--") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((each) => resolved(each, style));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolved(each, style)]));
    }
    return value;
  };

  const recolor = () => {
    toggle.textContent = isDark() ? "Light colors" : "Dark colors";
    plots.forEach((plot) => plot.drawn && draw(plot));
  };

  // -- labels: next to their marks, where they cover nothing -----

  const measure = document.createElement("canvas").getContext("2d");
  const overlap = (a, b) =>
    Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
    Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
  const plain = (text) => {
    const reader = document.createElement("textarea");
    reader.innerHTML = text;
    return reader.value;
  };

  const namesFirst = (label) => [label.text, label.short];
  const onlyNumbers = (label) => [label.short];
  const labeled = (labels, layout, width, font, texts = namesFirst) => {
    if (!labels.length) return [];
    // The space of the axes is about this, whatever plotly.js needs for the numbers beside them.
    const area = { left: 0, right: width - 90, top: 0, bottom: layout.height - 90 };
    const place = (axis, value, length) => {
      const [from, to] = axis.range;
      return (((axis.type === "log" ? Math.log10(value) : value) - from) / (to - from)) * length;
    };
    const marks = labels.map((label) => ({
      label,
      x: place(layout.xaxis, label.x, area.right),
      y: area.bottom - place(layout.yaxis, label.y, area.bottom),
    }));
    const taken = marks.map(({ x, y }) => ({ left: x - 8, right: x + 8, top: y - 8, bottom: y + 8 }));
    measure.font = `13px ${font}`;
    for (const { label, x0, y0, y1 } of layout.shapes) {
      if (!label) continue;
      const wide = measure.measureText(plain(label.text)).width + 6;
      if (y0 === y1) {
        const y = area.bottom - place(layout.yaxis, y0, area.bottom);
        const left = label.textposition === "start" ? 0 : area.right - wide;
        taken.push({ left, right: left + wide, top: y - 20, bottom: y });
      } else {
        const left = place(layout.xaxis, x0, area.right);
        taken.push({ left, right: left + wide, top: 0, bottom: 20 });
      }
    }
    const directions = [
      [1, 0], [-1, 0], [1, -0.9], [1, 0.9], [-1, -0.9], [-1, 0.9], [0, -1], [0, 1],
    ];
    let numbered = false;
    const found = marks.map(({ label, x, y }) => {
      let best = null;
      for (const text of texts(label)) {
        const wide = measure.measureText(plain(text)).width + 6;
        // Lines to names would cross other names where there is little room.
        for (const away of text === label.text && width < narrow ? [16] : [16, 34, 54, 76]) {
          for (const [right, down] of directions) {
            const cx = x + right * (away === 16 ? 12 : 0.8 * away) + (right * wide) / 2;
            const cy = y + down * away;
            const box = { left: cx - wide / 2, right: cx + wide / 2, top: cy - 9, bottom: cy + 9 };
            const outside =
              Math.max(0, area.left - box.left) + Math.max(0, box.right - area.right) +
              Math.max(0, area.top - box.top) + Math.max(0, box.bottom - area.bottom);
            const covered = taken.reduce((sum, other) => sum + overlap(box, other), 0);
            const penalty = covered * 4 + outside * 60 + away;
            if (best === null || penalty < best.penalty) best = { penalty, text, cx, cy, box, right, down, away };
          }
        }
        if (best.penalty < 90) break; // the name has a place of its own
        if (text === label.text) best.penalty += 40; // its number may fit better
      }
      numbered ||= best.text === label.short;
      taken.push(best.box);
      const near = best.away === 16;
      return {
        x: layout.xaxis.type === "log" ? Math.log10(label.x) : label.x,
        y: label.y,
        text: best.text,
        showarrow: true,
        arrowhead: 0,
        arrowwidth: near ? 0.01 : 1,
        arrowcolor: near ? "rgba(0,0,0,0)" : "var(--muted)",
        standoff: 8,
        ax: best.cx - x - (near ? 0 : (best.right * (best.box.right - best.box.left)) / 2) ,
        ay: best.cy - y,
        xanchor: near ? "center" : best.right > 0 ? "left" : best.right < 0 ? "right" : "center",
        borderpad: 1,
      };
    });
    // Names and numbers side by side are read wrongly where they are close.
    return numbered && width < narrow && texts === namesFirst ? labeled(labels, layout, width, font, onlyNumbers) : found;
  };

  // As many numbers at a logarithmic axis as there is room for.
  const thinned = (axis, width, font) => {
    if (axis.type !== "log") return axis;
    measure.font = `13px ${font}`;
    const pixels = (width - 90) / (axis.range[1] - axis.range[0]);
    let free = -Infinity;
    const ticktext = axis.ticktext.map((text, at) => {
      const middle = Math.log10(axis.tickvals[at]) * pixels;
      const half = measure.measureText(text).width / 2 + 5;
      if (middle - half < free) return "";
      free = middle + half;
      return text;
    });
    return { ...axis, ticktext };
  };

  // -- drawing: when a chart comes near -----

  const draw = (plot) => {
    const { element, content, hidden } = plot;
    const width = plot.width || Math.floor(element.clientWidth);
    if (!width) return;
    plot.drawn = true;
    const style = getComputedStyle(root);
    const font = style.getPropertyValue("--sans");
    const layout = { ...content.layout, width, xaxis: thinned(content.layout.xaxis, width, font) };
    layout.dragmode = window.matchMedia("(pointer: coarse)").matches ? false : "zoom"; // a finger scrolls
    layout.annotations = [
      ...(layout.annotations || []),
      ...labeled(content.labels.filter((_, at) => !hidden.has(at)), layout, width, font),
    ];
    if (width < narrow) {
      layout.font = { ...layout.font, size: 12 };
      for (const axis of ["xaxis", "yaxis"]) {
        const title = layout[axis].title;
        layout[axis] = { ...layout[axis], title: { ...title, font: { ...title.font, size: 11.5 } } };
      }
    }
    const data = content.data.map((trace, at) => ({ ...trace, visible: !hidden.has(at) }));
    Plotly.react(element, resolved(data, style), resolved(layout, style), { displayModeBar: false });
  };

  const watcher = new IntersectionObserver(
    (seen) => seen.forEach(({ isIntersecting, target }) => {
      const plot = plots.get(target.id);
      if (isIntersecting && !plot.drawn) draw(plot);
    }),
    { rootMargin: "800px" }
  );
  const resized = new ResizeObserver((changes) =>
    changes.forEach(({ target }) => {
      const plot = plots.get(target.id);
      const width = Math.floor(target.clientWidth);
      if (plot.drawn && width && width !== plot.element._fullLayout.width) draw(plot);
    })
  );
  document.querySelectorAll("script[data-plot]").forEach((script) => {
    const element = document.getElementById(script.dataset.plot);
    plots.set(element.id, { element, content: JSON.parse(script.textContent), hidden: new Set(), drawn: false });
    watcher.observe(element);
    resized.observe(element);
  });

  // -- controls -----

  root.classList.add("drawn");
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    recolor();
  });
  dark.addEventListener("change", recolor);
  recolor();

  document.querySelectorAll("button.key").forEach((button) => {
    button.addEventListener("click", () => {
      const plot = plots.get(button.dataset.target);
      const shown = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!shown));
      button.dataset.traces.split(",").forEach((at) => plot.hidden[shown ? "add" : "delete"](Number(at)));
      draw(plot);
    });
  });

  document.querySelectorAll("select[data-views]").forEach((select) => {
    const show = () => [...select.options].forEach(({ value }) => {
      document.getElementById(value).hidden = value !== select.value;
    });
    select.closest("label").hidden = select.options.length < 2;
    select.addEventListener("change", show);
    show();
  });

  // -- on paper: everything drawn, in light colors and as wide as the page -----

  let before;
  window.addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    plots.forEach((plot) => {
      if (!plot.element.clientWidth) return;
      plot.width = Math.min(plot.element.clientWidth, 660);
      draw(plot);
    });
  });
  window.addEventListener("afterprint", () => {
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
    plots.forEach((plot) => { delete plot.width; });
    recolor();
  });
})();
