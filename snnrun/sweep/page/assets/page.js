// The page's own script: plots from the data in the page, the table of jobs, copying. Text from the data reaches the
// page only through textContent, or through ECharts as text on an SVG.
(() => {
  "use strict";

  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const byId = (id) => document.getElementById(id);
  let printing = false;

  // Okabe and Ito (2008), darkened on light paper and lifted on dark so that every line stands out. After six colours
  // the dashes change.
  const CYCLE = {
    light: ["#0072B2", "#C14F00", "#00805D", "#B3558B", "#9A6A00", "#2E8BC0"],
    dark: ["#4AA3E0", "#F2792B", "#14B88A", "#D892BA", "#E6B422", "#8CCBF2"],
  };
  const DASHES = ["solid", "dashed", "dotted"];
  const SYMBOLS = ["circle", "rect", "triangle", "diamond"];
  const CIVIDIS = ["#00224e", "#2a3f6d", "#575c6d", "#7d7c78", "#a69d75", "#d3c164", "#fee838"];

  const theme = () => {
    const isDark = dark.matches && !printing;
    return isDark
      ? { ink: "#e9ecef", quiet: "#a2abb5", line: "#2d333a", strong: "#57616c", paper: "#14171a", raised: "#1c2025",
          cycle: CYCLE.dark, worse: [66, 78, 90], better: [125, 200, 250], accent: "#63b3ea" }
      : { ink: "#16191d", quiet: "#56606b", line: "#e6e9ed", strong: "#aab3bd", paper: "#ffffff", raised: "#ffffff",
          cycle: CYCLE.light, worse: [200, 208, 216], better: [0, 84, 140], accent: "#0067a3" };
  };
  const colour = (i) => theme().cycle[i % theme().cycle.length];
  const dash = (i) => DASHES[Math.floor(i / CYCLE.light.length) % DASHES.length];

  const plain = (value) => {
    const size = Math.abs(value);
    if (size >= 1000) return Math.round(value).toLocaleString("en");
    return value === 0 ? "0" : size < 0.001 ? value.toExponential(1) : String(+value.toPrecision(4));
  };
  const percent = (value) => `${+(100 * value).toFixed(2)} %`;
  const percents = (value) => `${(100 * value).toFixed(2)} %`; // all of the same length, for figures side by side
  const formatOf = (isPercent) => (isPercent ? percent : plain);

  // ----------------------------------------------------------------- charts

  const charts = [];

  function chart(id, option, height) {
    const element = byId(id);
    if (!element) return null;
    const entry = { element, option, handle: null, clicked: null };
    entry.draw = () => {
      if (height) element.style.height = `${height(element.clientWidth)}px`;
      if (entry.handle) entry.handle.dispose();
      entry.handle = echarts.init(element, null, { renderer: "svg" });
      entry.handle.setOption({ ...base(), ...option(element.clientWidth) });
      entry.width = element.clientWidth;
    };
    entry.draw();
    charts.push(entry);
    return entry;
  }

  function base() {
    const t = theme();
    return {
      animation: false,
      textStyle: { color: t.ink, fontFamily: "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" },
      aria: { enabled: true },
      tooltip: tip(),
    };
  }

  function tip(more) {
    const t = theme();
    return { confine: true, appendTo: undefined, backgroundColor: t.raised, borderColor: t.strong, padding: [6, 10],
      textStyle: { color: t.ink, fontSize: 13 }, extraCssText: "box-shadow:none", ...more };
  }

  // A tooltip as elements, so that no text in it is taken for HTML.
  function tipOf(title, rows) {
    const box = document.createElement("div");
    box.className = "tip";
    const head = document.createElement("b");
    head.textContent = title;
    const list = document.createElement("dl");
    for (const [name, value] of rows) {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      list.append(dt, dd);
    }
    box.append(head, list);
    return box;
  }

  function axis(more) {
    const t = theme();
    const { axisLabel, ...rest } = more;
    return {
      type: "value", scale: true, nameLocation: "middle", nameTextStyle: { color: t.quiet, fontSize: 13 },
      axisLine: { show: true, lineStyle: { color: t.strong } }, axisTick: { show: false },
      splitLine: { lineStyle: { color: t.line } },
      axisLabel: { color: t.quiet, fontSize: 12, hideOverlap: true, ...axisLabel }, ...rest,
    };
  }

  const spans = (values, factor) => {
    const known = values.filter((v) => v !== null && v !== undefined);
    return known.length > 0 && Math.min(...known) > 0 && Math.max(...known) > factor * Math.min(...known);
  };

  // A row of buttons of which one is pressed.
  function oneOf(id, names, chosen, pressed) {
    const place = byId(id);
    if (!place) return;
    const buttons = names.map(([key, title]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      button.setAttribute("aria-pressed", String(key === chosen));
      button.addEventListener("click", () => {
        buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        pressed(key);
      });
      return button;
    });
    place.replaceChildren(...(names.length > 1 ? buttons : []));
    place.hidden = names.length < 2;
  }

  // ----------------------------------------------------------------- curves

  function swatch(i) {
    const NS = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(NS, "svg");
    svg.setAttribute("width", "22");
    svg.setAttribute("height", "8");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS(NS, "line");
    for (const [key, value] of Object.entries({ x1: 1, x2: 21, y1: 4, y2: 4, stroke: colour(i), "stroke-width": 2.5,
      "stroke-dasharray": { solid: "none", dashed: "6 3", dotted: "2 2" }[dash(i)] })) line.setAttribute(key, value);
    svg.append(line);
    return svg;
  }

  // kinds: [key, title, percent, series], a series being {name, index, epoch, mean, sd, n}.
  function curves(kinds, shownAtFirst) {
    if (!kinds.length) {
      const section = byId("section-curves");
      if (section) section.hidden = true;
      return;
    }
    let kind = kinds[0];
    const off = new Set();
    kinds.forEach(([, , , series]) => series.forEach((s) => { if (s.index >= shownAtFirst) off.add(s.name); }));
    const option = (width) => {
      const [, title, isPercent, all] = kind;
      const t = theme();
      const series = all.filter((s) => !off.has(s.name));
      const values = series.flatMap((s) => s.mean);
      const log = !isPercent && spans(values, 100);
      const format = formatOf(isPercent);
      const drawn = [];
      for (const s of series) {
        if (s.sd) {
          const low = s.mean.map((m, i) => (log ? Math.max(m - s.sd[i], m / 20) : m - s.sd[i]));
          const high = s.mean.map((m, i) => m + s.sd[i]);
          drawn.push({
            type: "custom", name: s.name, silent: true, z: 1, tooltip: { show: false }, clip: true,
            // One item, so that the band is one shape; its extent keeps the axis wide enough.
            data: s.epoch.map((e, i) => [e, low[i], high[i]]), encode: { x: 0, y: [1, 2] },
            renderItem: (params, api) => {
              if (params.dataIndex !== 0) return null;
              const up = s.epoch.map((e, i) => api.coord([e, high[i]]));
              const down = s.epoch.map((e, i) => api.coord([e, low[i]])).reverse();
              return { type: "polygon", shape: { points: [...up, ...down] },
                style: { fill: colour(s.index), opacity: 0.11 } };
            },
          });
        }
        drawn.push({
          type: "line", name: s.name, data: s.epoch.map((e, i) => [e, s.mean[i]]), showSymbol: s.epoch.length < 3,
          symbolSize: 6, z: 2, emphasis: { disabled: true }, connectNulls: false,
          lineStyle: { width: 2, color: colour(s.index), type: dash(s.index) }, itemStyle: { color: colour(s.index) },
        });
      }
      return {
        grid: { left: width < 500 ? 52 : 64, right: 16, top: 12, bottom: 44 },
        xAxis: axis({ name: "epoch", nameGap: 28, min: "dataMin", max: "dataMax", minInterval: 1, scale: true,
          splitLine: { show: false } }),
        yAxis: axis({ type: log ? "log" : "value", name: width < 500 ? "" : title, nameGap: 50,
          axisLabel: { formatter: format } }),
        series: drawn,
        tooltip: tip({
          trigger: "axis", axisPointer: { lineStyle: { color: t.strong } },
          formatter: (points) => tipOf(`epoch ${points[0].axisValue}`, points
            .filter((p) => p.seriesType === "line" && p.value[1] !== null && p.value[1] !== undefined)
            .sort((a, b) => b.value[1] - a.value[1]).slice(0, 12)
            .map((p) => {
              const s = series.find((one) => one.name === p.seriesName);
              const at = s.epoch.indexOf(p.value[0]);
              return [p.seriesName, format(p.value[1]) + (s.sd ? ` ± ${isPercent ? (100 * s.sd[at]).toFixed(2) : plain(s.sd[at])}` : "")];
            })),
        }),
        aria: { enabled: true, label: { description: `${title} by epoch of ${series.length} of ${all.length} curves: ` +
          series.slice(0, 10).map((s) => `${s.name} ends at ${format(s.mean[s.mean.length - 1])}`).join("; ") } },
      };
    };
    const entry = chart("chart-curves", option);
    const legend = () => {
      byId("legend").replaceChildren(...kind[3].map((s) => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-pressed", String(!off.has(s.name)));
        button.append(swatch(s.index), document.createTextNode(s.name));
        button.addEventListener("click", () => {
          if (!off.delete(s.name)) off.add(s.name);
          button.setAttribute("aria-pressed", String(!off.has(s.name)));
          entry.draw();
        });
        return button;
      }));
    };
    oneOf("curve-kinds", kinds.map(([key, title]) => [key, title]), kind[0], (key) => {
      kind = kinds.find(([name]) => name === key);
      legend();
      entry.draw();
    });
    legend();
    redrawn.push(legend);
  }

  const redrawn = [];

  // ------------------------------------------------------------------ sweep

  const TITLES = {
    validation_accuracy: ["validation accuracy", true], validation_r2: ["validation R²", false],
    validation_loss: ["validation loss", false], train_loss: ["training loss", false],
    train_accuracy: ["training accuracy", true], train_r2: ["training R²", false],
  };

  function sweep() {
    const all = data.configurations;
    const format = formatOf(data.measure.percent);
    const kinds = Object.entries(TITLES)
      .map(([key, [title, isPercent]]) => [key, title, isPercent, all
        .map((c, index) => ({ name: c.label, index, ...c.curves[key] })).filter((s) => s.epoch)])
      .filter(([, , , series]) => series.length);
    curves(kinds, 6);
    cost(all, format);
    heat(format);
    parallel(format);
    jobs();
  }

  function cost(all, format) {
    const known = Object.entries(data.costs).filter(([key]) =>
      all.some((c) => c.mean !== null && c.costs[key] !== null));
    if (!known.length) {
      byId("section-cost").hidden = true;
      return;
    }
    const varies = ([key]) => new Set(all.map((c) => c.costs[key]).filter((v) => v !== null)).size > 1;
    let [key, title] = known.find(([name]) => name === "spikes" && varies([name])) || known.find(varies) || known[0];
    const option = (width) => {
      const t = theme();
      const means = all.map((c, i) => ({ c, i })).filter(({ c }) => c.mean !== null && c.costs[key] !== null);
      const log = spans(means.map(({ c }) => c.costs[key]), 20);
      const figures = data.jobs.map((j) => j.value);
      const steep = data.measure.name === "loss" && spans(figures, 20);
      const few = means.length <= 12 && width >= 500;
      // A label stands to the right of its dot, or to the left where another dot is in its way.
      const extent = (list) => Math.max(...list) - Math.min(...list) || 1;
      const [wide, high] = [extent(means.map(({ c }) => c.costs[key])), extent(means.map(({ c }) => c.mean))];
      const crowded = ({ c }) => means.some(({ c: o }) => o !== c && o.costs[key] >= c.costs[key] &&
        o.costs[key] - c.costs[key] < 0.5 * wide && Math.abs(o.mean - c.mean) < 0.08 * high);
      return {
        grid: { left: width < 500 ? 52 : 64, right: few ? 40 : 16, top: 20, bottom: 46 },
        xAxis: axis({ type: log ? "log" : "value", name: title, nameGap: 30, axisLabel: { formatter: plain },
          boundaryGap: log ? undefined : ["6%", "6%"] }),
        yAxis: axis({ type: steep ? "log" : "value", name: width < 500 ? "" : data.measure.title, nameGap: 50,
          boundaryGap: steep ? undefined : ["6%", "6%"],
          axisLabel: { formatter: format } }),
        series: [
          {
            type: "scatter", name: "jobs", z: 1,
            data: data.jobs.filter((j) => j.value !== null && j.costs[key] !== null).map((j) => ({
              value: [j.costs[key], j.value], symbolSize: 6, symbol: SYMBOLS[j.of % SYMBOLS.length],
              itemStyle: { color: colour(j.of), opacity: 0.4 }, job: j,
            })),
          },
          {
            type: "custom", name: "deviation", silent: true, z: 2, tooltip: { show: false },
            encode: { x: 0, y: [1, 2] },
            data: means.filter(({ c }) => c.sd !== null).map(({ c, i }) => [
              c.costs[key], steep ? Math.max(c.mean - c.sd, c.mean / 20) : c.mean - c.sd, c.mean + c.sd, i]),
            renderItem: (params, api) => {
              const [x, y1] = api.coord([api.value(0), api.value(1)]);
              const [, y2] = api.coord([api.value(0), api.value(2)]);
              return { type: "line", shape: { x1: x, x2: x, y1, y2 },
                style: { stroke: colour(api.value(3)), lineWidth: 2, opacity: 0.7 } };
            },
          },
          {
            type: "scatter", name: "configurations", z: 3,
            data: means.map(({ c, i }) => ({
              value: [c.costs[key], c.mean], symbolSize: 13, symbol: SYMBOLS[i % SYMBOLS.length],
              itemStyle: { color: colour(i), borderColor: t.paper, borderWidth: 1.5 }, config: c,
              label: { show: few, formatter: () => c.label, position: crowded({ c }) ? "left" : "right", distance: 8, color: t.quiet, fontSize: 12 },
            })),
            labelLayout: { hideOverlap: true, moveOverlap: "shiftY" },
          },
        ],
        tooltip: tip({ trigger: "item", formatter: ({ data: point }) => {
          const c = point.config || all[point.job.of];
          const rows = [[title, plain(point.value[0])], [data.measure.title, format(point.value[1])]];
          if (point.job) rows.push(["job", point.job.number], ["seed", point.job.seed ?? ""]);
          else rows.push(["seeds", c.n]);
          return tipOf(c.label, rows);
        } }),
        aria: { enabled: true, label: { description: `${data.measure.title} against ${title}: ` + means.slice(0, 12)
          .map(({ c }) => `${c.label} ${format(c.mean)} at ${plain(c.costs[key])}`).join("; ") } },
      };
    };
    const entry = chart("chart-cost", option);
    oneOf("cost-kinds", known, key, (name) => {
      [key, title] = known.find(([other]) => other === name);
      entry.draw();
    });
  }

  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text) || "(default)";

  function heat(format) {
    const every = Object.keys(data.keys);
    const keys = every.filter((key) => data.keys[key].length <= 30); // a search has nearly as many values as jobs
    if (!byId("chart-heat")) return;
    if (keys.length < 2 || !data.jobs.some((j) => j.value !== null)) {
      byId("heat").hidden = true;
      return;
    }
    let [rows, columns] = keys;
    const option = (width) => {
      const [ys, xs] = [data.keys[rows], data.keys[columns]];
      const [yi, xi] = [every.indexOf(rows), every.indexOf(columns)];
      const sums = new Map();
      for (const j of data.jobs) {
        if (j.value === null) continue;
        const values = data.configurations[j.of].values;
        const at = `${xs.indexOf(values[xi])},${ys.indexOf(values[yi])}`;
        sums.set(at, [...(sums.get(at) || []), j.value]);
      }
      const cells = [...sums].map(([at, list]) =>
        [...at.split(",").map(Number), list.reduce((a, b) => a + b, 0) / list.length, list.length]);
      const figures = cells.map((c) => c[2]);
      const [low, high] = [Math.min(...figures), Math.max(...figures)];
      const scale = data.measure.higher ? CIVIDIS : [...CIVIDIS].reverse();
      const bright = (v) => (high > low ? ((v - low) / (high - low)) > 0.5 : true) === data.measure.higher;
      const t = theme();
      const left = Math.min(180, Math.max(...ys.map((y) => short(y, 22).length)) * 7.5 + 24);
      return {
        grid: { left: left + 22, right: 12, top: 12, bottom: 96 },
        xAxis: axis({ type: "category", data: xs, name: columns, nameGap: 30, splitLine: { show: false },
          axisLabel: { formatter: (x) => short(x, 18), interval: 0, hideOverlap: xs.length > 12 } }),
        yAxis: axis({ type: "category", data: ys, name: rows, nameGap: left, inverse: true, splitLine: { show: false },
          axisLabel: { formatter: (y) => short(y, 22), interval: 0 } }),
        visualMap: { min: low, max: high > low ? high : low + 1e-9, calculable: false, orient: "horizontal", left: "center", bottom: 4,
          itemWidth: 12, itemHeight: 140, inRange: { color: scale }, dimension: 2, formatter: format,
          text: [high > -Infinity ? format(high) : "", low < Infinity ? format(low) : ""], textStyle: { color: t.quiet } },
        series: [{
          type: "heatmap", data: cells.map((c) => ({ value: c, label: { color: bright(c[2]) ? "#000" : "#fff" } })),
          label: { show: width / Math.max(xs.length, 1) > 52, formatter: ({ value }) => (data.measure.percent ? percents : plain)(value[2]), fontSize: 13 },
          itemStyle: { borderColor: t.paper, borderWidth: 2 }, emphasis: { disabled: true },
        }],
        tooltip: tip({ trigger: "item", formatter: ({ value }) => tipOf(
          `${rows}=${ys[value[1]]} ${columns}=${xs[value[0]]}`, [[data.measure.title, format(value[2])], ["jobs", value[3]]]) }),
        aria: { enabled: true, label: { description: `${data.measure.title} by ${rows} and ${columns}: ` + cells.slice(0, 30)
          .map((c) => `${ys[c[1]]}, ${xs[c[0]]}: ${format(c[2])}`).join("; ") } },
      };
    };
    const entry = chart("chart-heat", option, () => Math.min(640, 150 + 54 * data.keys[rows].length));
    const fill = (id, chosen, changed) => {
      byId(id).replaceChildren(...keys.map((k) => new Option(k, k, k === chosen, k === chosen)));
      byId(id).addEventListener("change", (event) => { changed(event.target.value); });
    };
    const change = (row, column) => {
      if (row === column) [row, column] = row === rows ? [columns === column ? rows : columns, column] : [row, rows];
      [rows, columns] = [row, column];
      byId("heat-rows").value = rows;
      byId("heat-columns").value = columns;
      entry.draw();
    };
    fill("heat-rows", rows, (row) => change(row, row === columns ? rows : columns));
    fill("heat-columns", columns, (column) => change(column === rows ? columns : rows, column));
  }

  function parallel(format) {
    const keys = Object.keys(data.keys);
    const lines = data.jobs.filter((j) => j.value !== null);
    if (!keys.length || !byId("chart-parallel")) return;
    if (!lines.length) {
      byId("section-settings").hidden = true;
      return;
    }
    const many = (key) => data.keys[key].length > 12 && data.keys[key].every((v) => v !== "" && isFinite(v));
    const figures = lines.map((j) => j.value);
    const [low, high] = [Math.min(...figures), Math.max(...figures)];
    const withSpikes = lines.every((j) => j.costs.spikes !== null);
    const option = (width) => {
      const t = theme();
      const upright = width < 560;
      const label = { color: t.ink, fontSize: 12, backgroundColor: t.paper, padding: [1, 3], borderRadius: 2 };
      const look = { nameTextStyle: { color: t.ink, fontSize: 13 }, axisLine: { lineStyle: { color: t.strong } },
        axisTick: { show: false }, z: 10, nameTruncate: { maxWidth: upright ? 90 : 140 }, nameLocation: upright ? "start" : "end",
        areaSelectStyle: { width: 18, borderColor: t.accent, color: t.accent, opacity: 0.25 } };
      const axes = keys.map((key, dim) => (many(key)
        ? { dim, name: key, type: spans(data.keys[key].map(Number), 50) ? "log" : "value", scale: true, ...look,
            axisLabel: { ...label, formatter: plain } }
        : { dim, name: key, type: "category", data: data.keys[key], ...look,
            axisLabel: { ...label, formatter: (v) => short(v, upright ? 9 : 16), interval: 0 } }));
      if (withSpikes) axes.push({ dim: axes.length, name: "spikes", type: "value", scale: true, ...look,
        axisLabel: { ...label, formatter: plain } });
      axes.push({ dim: axes.length, name: data.measure.title, type: "value", scale: true, ...look,
        axisLabel: { ...label, formatter: format } });
      const good = (v) => (high === low ? 1 : data.measure.higher ? (v - low) / (high - low) : (high - v) / (high - low));
      const shade = (v) => `rgb(${t.worse.map((w, i) => Math.round(w + (t.better[i] - w) * good(v))).join(",")})`;
      return {
        parallel: upright
          ? { layout: "vertical", left: 104, right: 24, top: 16, bottom: 34 }
          : { left: 56, right: 96, top: 40, bottom: 20 },
        parallelAxis: axes,
        series: [{
          type: "parallel", inactiveOpacity: 0.04, activeOpacity: 1, smooth: false,
          lineStyle: { width: 2, opacity: 0.75 },
          data: [...lines].sort((a, b) => good(a.value) - good(b.value)).map((j) => {
            const values = data.configurations[j.of].values;
            return {
              value: [...keys.map((key, i) => (many(key) ? Number(values[i]) : values[i])),
                ...(withSpikes ? [j.costs.spikes] : []), j.value],
              lineStyle: { color: shade(j.value), width: good(j.value) > 0.8 ? 2.5 : 1.5 }, job: j,
            };
          }),
        }],
        tooltip: tip({ trigger: "item", formatter: ({ data: line }) => tipOf(data.configurations[line.job.of].label,
          [[data.measure.title, format(line.job.value)], ["job", line.job.number], ["seed", line.job.seed ?? ""]]) }),
        aria: { enabled: true, label: { description:
          `Parallel coordinates of ${lines.length} jobs over ${keys.join(", ")} and the ${data.measure.title}` } },
      };
    };
    chart("chart-parallel", option, (width) => (width < 560 ? 90 + 90 * (keys.length + 2) : 360));
  }

  function jobs() {
    const table = new DataTable("#jobs-table", {
      paging: false, autoWidth: false, order: [], layout: { topStart: "search", topEnd: null, bottomStart: "info", bottomEnd: null },
      language: { search: "Filter", info: "_TOTAL_ jobs", infoFiltered: "of _MAX_", infoEmpty: "no jobs", zeroRecords: "No job is like that." },
      columnDefs: [{ targets: "_all", orderSequence: ["asc", "desc"] }],
    });
    for (const select of document.querySelectorAll("#filters select")) {
      select.addEventListener("change", () => {
        table.column(Number(select.dataset.column)).search(select.value, { exact: select.value !== "" }).draw();
      });
    }
  }

  // -------------------------------------------------------------------- run

  function run() {
    const counted = (list) => list.map((_, i) => i + 1);
    const series = (names, of) => names.map(([name, values], index) => ({ name, index, epoch: of || counted(values), mean: values, sd: null }))
      .filter((s) => s.mean.some((v) => v !== null));
    const c = data.curves;
    const layers = (key) => series(data.layers.map((l) => [l.name, l[key]]), data.epochs);
    const kinds = [
      ["loss", "loss", false, series([["training", c.train_loss], ["validation", c.validation_loss]], data.epochs)],
      ["accuracy", "accuracy", true, series([["training", c.train_accuracy], ["validation", c.validation_accuracy]], data.epochs)],
      ["r2", "R²", false, series([["training", c.train_r2], ["validation", c.validation_r2]], data.epochs)],
      ["firing_rate", "firing rate", false, layers("firing_rate")],
      ["silent", "silent neurons", true, layers("silent")],
      ["saturated", "saturated neurons", true, layers("saturated")],
      ["learning_rate", "learning rate", false, series([["learning rate", c.learning_rate]], data.epochs)],
    ].filter(([, , , list]) => list.length);
    curves(kinds, 24);
    rasters();
  }

  function rasters() {
    if (!data.rasters.length || !byId("chart-raster")) return;
    const heights = data.rasters.map((r) => Math.max(46, Math.min(320, r.drawn * 3.2)));
    const tops = heights.map((_, i) => 26 + heights.slice(0, i).reduce((a, b) => a + b + 34, 0));
    const option = (width) => {
      const t = theme();
      const last = data.rasters.length - 1;
      return {
        grid: data.rasters.map((_, i) => ({ left: 44, right: 12, top: tops[i], height: heights[i] })),
        title: data.rasters.map((r, i) => ({
          text: `${r.layer}, ${r.drawn < r.neurons ? `${r.drawn} of ${r.neurons}` : r.neurons} neurons`,
          left: 40, top: tops[i] - 24, textStyle: { color: t.ink, fontSize: 13, fontWeight: 500 } })),
        xAxis: data.rasters.map((r, i) => axis({ gridIndex: i, min: 0, max: r.steps - 1, scale: false, minInterval: 1,
          name: i === last ? "time step" : "", nameGap: 26, splitLine: { show: false }, axisLabel: { show: i === last } })),
        yAxis: data.rasters.map((r, i) => axis({ gridIndex: i, min: -1, max: r.drawn, scale: false, splitLine: { show: false },
          splitNumber: 2, axisLabel: { formatter: (v) => (v < 0 || v >= r.drawn ? "" : String(v)) } })),
        series: data.rasters.map((r, i) => ({
          type: "scatter", xAxisIndex: i, yAxisIndex: i, data: r.spikes, symbol: "rect", silent: true,
          symbolSize: [Math.max(1.5, Math.min(3, (width - 60) / r.steps / 4)), Math.max(2, Math.min(9, heights[i] / r.drawn - 0.6))],
          itemStyle: { color: r.layer === "input" ? t.quiet : colour(i + 1), opacity: 1 },
        })),
        tooltip: { show: false },
        aria: { enabled: true, label: { description: "Spikes of one sample of the test set: " +
          data.rasters.map((r) => `${r.layer} ${r.spikes.length} spikes`).join(", ") } },
      };
    };
    const last = heights.length - 1;
    chart("chart-raster", option, () => tops[last] + heights[last] + 48);
  }

  // ------------------------------------------------------------- the page

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = byId(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source); // a page from disk may not be allowed to: the keyboard is
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
  const more = byId("more");
  if (more) {
    more.addEventListener("click", () => {
      document.querySelectorAll("#ranking tr[hidden]").forEach((row) => { row.hidden = false; });
      more.setAttribute("aria-expanded", "true");
      more.hidden = true;
    });
  }

  const redraw = () => {
    redrawn.forEach((again) => again());
    charts.forEach((entry) => entry.draw());
  };
  if (data.kind === "sweep") sweep();
  else run();
  dark.addEventListener("change", redraw);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => charts.forEach((entry) => {
      if (entry.element.clientWidth !== entry.width) entry.draw();
    }), 100);
  });
  const paper = (on) => {
    printing = on;
    charts.forEach((entry) => { entry.element.style.width = on ? "680px" : ""; });
    redraw();
  };
  addEventListener("beforeprint", () => paper(true));
  addEventListener("afterprint", () => paper(false));
  document.documentElement.dataset.ready = "true";
})();
