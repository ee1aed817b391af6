// The map: Plotly's scatter of codes, and on top of it what moves with the pointer. Knows planes and pixels, not models.

const MARGIN = { l: 46, r: 10, t: 10, b: 40 }
const LEGEND = 30 // pixels above the map
const ZOOM = 1.25
const SVG_NAMESPACE = "http://www.w3.org/2000/svg"

// Starts a map in `holder` (.map of latent.html). `on` is told of {moved(), selected(indices)}.
// Returns {draw, move, mode, zoom, whole, backdrop, toPlane, toPixels, ranges, over}.
function startMap(holder, Plotly, on) {
  const plot = holder.querySelector(".plot")
  const svg = holder.querySelector(".over")
  adoptStyles(holder.getRootNode())
  let shown = null // {points, labels, names, classes, ink, line, axes, box, revision}
  let zoomed = "" // the revision somebody has zoomed in; its ranges stay while the rest is drawn anew
  let dragmode = false
  let image = null
  let listening = false
  let drawn = Promise.resolve()

  const traces = () => {
    const rows = shown.names.map(() => ({ x: [], y: [], customdata: [] }))
    for (let i = 0; i < shown.points.length / 2; i++) {
      const row = rows[shown.labels[i]]
      row.x.push(shown.points[2 * i])
      row.y.push(shown.points[2 * i + 1])
      row.customdata.push(i)
    }
    return rows.map((row, label) => ({
      ...row,
      type: "scatter",
      mode: "markers",
      name: shown.names[label],
      hoverinfo: "skip",
      marker: { size: 7, color: shown.classes[label % shown.classes.length], line: { width: 1, color: shown.page } },
      visible: row.x.length > 0 ? true : "legendonly",
      showlegend: shown.legend && row.x.length > 0,
    }))
  }
  const layout = () => {
    const axis = (title, [low, high]) => ({
      title: { text: title, standoff: 6 },
      range: [low, high],
      gridcolor: shown.line,
      zerolinecolor: shown.line,
      linecolor: shown.line,
      tickfont: { size: 11 },
    })
    const [low, high] = shown.box
    const [across, up] = zoomed === shown.revision ? ranges() : [0, 1].map((k) => [low[k], high[k]])
    return {
      margin: { ...MARGIN, t: MARGIN.t + (shown.legend ? LEGEND : 0) },
      dragmode,
      selectionrevision: shown.revision,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: shown.ink, size: 12 },
      legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0, itemsizing: "constant" },
      xaxis: axis(shown.axes[0], across),
      yaxis: { ...axis(shown.axes[1], up), ...(shown.equal ? { scaleanchor: "x" } : {}) },
      images: image ? [image] : [],
      newselection: { line: { color: shown.ink } },
    }
  }
  const react = () => {
    drawn = drawn.then(async () => {
      await Plotly.react(plot, traces(), layout(), { displayModeBar: false, scrollZoom: true, doubleClick: false, responsive: true })
      if (listening) return on.moved()
      listening = true
      plot.on("plotly_relayouting", on.moved)
      plot.on("plotly_relayout", (changes) => {
        if (!Object.keys(changes).some((name) => name.startsWith("xaxis.range"))) return // another picture behind it
        zoomed = shown.revision
        on.moved()
      })
      plot.on("plotly_selected", (event) => on.selected((event?.points ?? []).map((point) => point.customdata)))
      plot.on("plotly_deselect", () => on.selected([]))
      on.moved()
    })
    return drawn
  }
  const axes = () => [plot._fullLayout?.xaxis, plot._fullLayout?.yaxis]
  const ranges = () => axes().map((axis) => [...axis.range])
  const zoomBy = (factor) => {
    const about = ([low, high]) => [0.5, -0.5].map((half) => (low + high) / 2 - half * (high - low) * factor)
    const [x, y] = ranges()
    Plotly.relayout(plot, { "xaxis.range": about(x), "yaxis.range": about(y) })
  }
  return {
    draw: (what) => {
      shown = what
      return react()
    },
    ready: () => Boolean(plot._fullLayout?.xaxis),
    mode: (name) => {
      dragmode = name === "explore" ? false : name
      if (shown) Plotly.relayout(plot, { dragmode })
    },
    zoom: (closer) => zoomBy(closer ? 1 / ZOOM : ZOOM),
    whole: () => {
      zoomed = ""
      return react()
    },
    // Pictures behind the points: an image over [[x low, x high], [y low, y high]], or null.
    backdrop: (source, [[left, right], [bottom, top]] = [[0, 0], [0, 0]]) => {
      image = source && {
        source, layer: "below", sizing: "stretch", opacity: 0.5, xref: "x", yref: "y", x: left, y: top,
        sizex: right - left, sizey: top - bottom,
      }
      return Plotly.relayout(plot, { images: image ? [image] : [] })
    },
    unselect: () => Plotly.restyle(plot, { selectedpoints: [null] }).then(() => Plotly.relayout(plot, { selections: [] })),
    // The place in the plane under a pointer event, or null outside the axes.
    toPlane: (event) => {
      const [x, y] = axes()
      if (!x) return null
      const frame = plot.getBoundingClientRect()
      const [px, py] = [event.clientX - frame.left - x._offset, event.clientY - frame.top - y._offset]
      return px < 0 || py < 0 || px > x._length || py > y._length ? null : [x.p2d(px), y.p2d(py)]
    },
    // Pixels in the map of a place in the plane.
    toPixels: ([px, py]) => {
      const [x, y] = axes()
      return [x._offset + x.d2p(px), y._offset + y.d2p(py)]
    },
    ranges,
    over: (...parts) => svg.replaceChildren(...parts),
  }
}

// Plotly puts its style sheet into the document, where it does not reach inside a component.
function adoptStyles(inside) {
  const sheet = document.getElementById("plotly.js-style-global")?.sheet
  if (!(inside instanceof ShadowRoot) || !sheet || inside.querySelector("style.plotly")) return
  const style = document.createElement("style")
  style.className = "plotly"
  style.textContent = Array.from(sheet.cssRules, (rule) => rule.cssText).join("\n")
  inside.append(style)
}

function shape(name, attributes, words = "") {
  const made = document.createElementNS(SVG_NAMESPACE, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.textContent = words
  return made
}
