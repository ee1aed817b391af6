// Curves over one quantity with a marker that follows it, drawn as SVG. It knows nothing of what is measured.

const SVG = "http://www.w3.org/2000/svg"
const MARGINS = { left: 44, right: 12, top: 22, bottom: 40 }
const GOOD_STEPS = [1, 2, 2.5, 5, 10]

// chart: {x: [...], lines: [{colour, dash, width, values: [[value, low, high], ...]}], unit (of the values), label (of x),
// span: [from, to] to shade or null, top: highest value shown or null, bottom: lowest or null}
// Returns {mark(x)}.
function drawCurves(svg, chart, [width, height]) {
  const { x, lines } = chart
  const all = lines.flatMap((line) => line.values.flat())
  const high = Math.min(chart.top ?? Infinity, Math.max(...all))
  const low = Math.max(chart.bottom ?? -Infinity, Math.min(...all))
  const ticksY = ticks(low, high, 5)
  const [bottom, top] = [Math.min(low, ticksY[0]), Math.max(high, ticksY.at(-1))]
  const plotW = width - MARGINS.left - MARGINS.right
  const plotH = height - MARGINS.top - MARGINS.bottom
  const across = (value) => MARGINS.left + ((value - x[0]) / (x.at(-1) - x[0])) * plotW
  const down = (value) => MARGINS.top + (1 - (value - bottom) / (top - bottom)) * plotH

  svg.setAttribute("viewBox", `0 0 ${width} ${height}`)
  svg.style.height = `${height}px`
  const parts = []
  const clip = `plot-${Math.round(plotW)}-${Math.round(plotH)}`
  parts.push(element("clipPath", { id: clip }, [element("rect", { x: MARGINS.left, y: MARGINS.top, width: plotW, height: plotH })]))
  if (chart.span) {
    const [from, to] = chart.span.map((value) => across(Math.min(x.at(-1), Math.max(x[0], value))))
    const narrow = to - from < 3
    parts.push(element("rect", { class: "span", x: narrow ? from - 1.5 : from, y: MARGINS.top, width: narrow ? 3 : to - from, height: plotH }))
  }
  for (const tick of ticksY) {
    parts.push(element("line", { class: "grid", x1: MARGINS.left, x2: width - MARGINS.right, y1: down(tick), y2: down(tick) }))
    parts.push(text(plain(tick), { x: MARGINS.left - 6, y: down(tick) + 4, "text-anchor": "end" }))
  }
  for (const tick of ticks(x[0], x.at(-1), 6)) {
    parts.push(text(plain(tick), { x: across(tick), y: height - MARGINS.bottom + 16, "text-anchor": "middle" }))
  }
  parts.push(text(chart.unit, { x: MARGINS.left, y: MARGINS.top - 8 }))
  parts.push(text(chart.label, { x: MARGINS.left + plotW / 2, y: height - 6, "text-anchor": "middle" }))
  const drawnLines = lines.map((line) => {
    const points = (end) => line.values.map((value, i) => `${across(x[i]).toFixed(1)},${down(value[end]).toFixed(1)}`)
    return element("g", {}, [
      element("polygon", { points: [...points(1), ...points(2).reverse()].join(" "), fill: line.colour, opacity: 0.15 }),
      element("polyline", {
        points: points(0).join(" "),
        fill: "none",
        stroke: line.colour,
        "stroke-width": line.width,
        "stroke-dasharray": line.dash ?? "",
      }),
    ])
  })
  parts.push(element("g", { "clip-path": `url(#${clip})` }, drawnLines))
  const marker = element("line", { class: "marker", y1: MARGINS.top, y2: MARGINS.top + plotH })
  const dots = lines.map((line) => element("circle", { r: 3.5, fill: line.colour, class: "dot" }))
  parts.push(marker, element("g", { "clip-path": `url(#${clip})` }, dots))
  svg.replaceChildren(...parts)
  return {
    mark(value) {
      const at = across(Math.min(x.at(-1), Math.max(x[0], value)))
      marker.setAttribute("x1", at)
      marker.setAttribute("x2", at)
      lines.forEach((line, i) => {
        dots[i].setAttribute("cx", at)
        dots[i].setAttribute("cy", down(between(x, line.values, value)[0]))
      })
    },
  }
}

// [value, low, high] at a place between measured ones, along straight lines; just above 0, where there may be a jump, what
// was measured at the first place above it.
function between(x, values, place) {
  const after = x.findIndex((known) => known >= place - 1e-9)
  if (after <= 0) return values.at(after)
  if (x[after - 1] === 0 && place > 1e-9) return values[after]
  const share = (place - x[after - 1]) / (x[after] - x[after - 1])
  return values[after].map((value, k) => values[after - 1][k] + share * (value - values[after - 1][k]))
}

// About `count` round numbers from `low` to `high`.
function ticks(low, high, count) {
  const rough = (high - low || 1) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = GOOD_STEPS.find((factor) => factor * power >= rough) * power
  const found = []
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step)
  return found.length > 1 ? found : [low, high]
}

function plain(number) {
  return String(Number(number.toPrecision(6)))
}

function element(name, attributes, children = []) {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.append(...children)
  return made
}

function text(content, attributes) {
  const made = element("text", attributes)
  made.textContent = content
  return made
}
