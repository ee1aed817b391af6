// Rows of pictures, aligned in columns: a target above its reconstruction above their difference, many times.
// It knows only what `image_strip` in pages/ui/strip.py sends. Canvases are made when the number of pictures, their size
// or the width of the page changes; new pictures of the same size are painted on those that are there.
// Where earlier moments are sent, they are shown on the way to the newest one.

const strips = new WeakMap() // parentElement -> {root, data, moment, layout}, because this script runs again with new data

const LARGEST = 72 // pixels a picture may take on the screen, where its own pixels are smaller than that
const SMALLEST = 40 // below this the columns are broken into several lines instead
const GAP = 4
const FRAME = 2
const LABELS = 104 // width of the column of row labels
const NARROW = 560 // below this width the labels stand above the rows

export default function ({ parentElement, data: [data] }) {
  let strip = strips.get(parentElement)
  if (!strip) {
    strip = { root: parentElement.querySelector(".strip"), layout: "" }
    strips.set(parentElement, strip)
    strip.observer = new ResizeObserver(() => strip.moment && show(strip))
    strip.observer.observe(strip.root)
  }
  strip.data = data
  strip.dark = isDark(strip.root)
  const newest = { rows: {}, captions: data.captions }
  play(strip, [...data.earlier, newest], data.seconds, (moment) => {
    strip.moment = moment
    show(strip)
  })
  return () => {
    stopPlaying(strip)
    strip.observer.disconnect()
  }
}

function show(strip) {
  const { root, data, moment } = strip
  const plan = planLayout(root.clientWidth, data)
  const rows = data.rows.map(({ label, role, limit }) => [label, role, limit !== null])
  const layout = JSON.stringify([plan, rows, data.count, data.height, data.width, data.captions && data.caption_label])
  if (layout !== strip.layout) {
    strip.layout = layout
    build(strip, plan)
  }
  root.setAttribute("aria-label", data.alt)
  data.rows.forEach((row, r) => {
    const packed = moment.rows[row.label] ?? row.data
    if (strip.painted[r] === packed && strip.paintedDark === strip.dark) return
    strip.painted[r] = packed
    const bytes = decodeBytes(packed)
    const shape = [row.channels, data.height, data.width]
    const length = size(shape)
    const colours = row.limit ? divergingColours(strip.dark ? data.diverging.dark : data.diverging.light) : null
    strip.canvases[r].forEach((canvas, i) => {
      const values = bytes.subarray(i * length, (i + 1) * length)
      if (colours) paintSigned(canvas, values, shape, colours)
      else paint(canvas, values, shape, 255)
    })
    for (const scale of strip.scales[r]) drawScale(scale, [`−${row.limit}`, `+${row.limit}`], colours)
  })
  strip.paintedDark = strip.dark
  strip.captions.forEach((caption, i) => (caption.textContent = moment.captions?.[i] ?? ""))
}

// How many columns fit in a line, and at which whole-number zoom.
function planLayout(width, data) {
  const labelled = width >= NARROW
  const room = width - (labelled ? LABELS : 0)
  for (let lines = 1; ; lines++) {
    const columns = Math.ceil(data.count / lines)
    const cell = Math.min(LARGEST, (room - (columns - 1) * GAP) / columns - 2 * FRAME)
    const zoom = Math.max(1, Math.floor(cell / data.width))
    const fits = zoom * data.width <= cell && (zoom * data.width >= SMALLEST || cell === LARGEST)
    if (fits || columns === 1) return { columns, lines, zoom, labelled }
  }
}

function build(strip, { columns, lines, zoom, labelled }) {
  const { root, data } = strip
  const { height, width } = data
  strip.canvases = data.rows.map(() => [])
  strip.scales = data.rows.map(() => [])
  strip.painted = [] // by row, what is on its canvases: the same is not painted twice
  strip.captions = []
  const make = (tag, className, text = "") => {
    const element = document.createElement(tag)
    element.className = className
    element.textContent = text
    return element
  }
  const label = (row, r) => {
    const box = make("div", `label ${row.role}`)
    box.append(make("span", "", row.label))
    if (row.limit) {
      const scale = make("div", "scale number")
      scale.append(make("span", ""), make("canvas", ""), make("span", ""))
      strip.scales[r].push(scale)
      box.append(scale)
    }
    return box
  }
  const parts = []
  if (!labelled) {
    const legend = make("div", "legend")
    legend.append(...data.rows.map(label))
    if (data.captions) legend.append(make("div", "label caption-label", data.caption_label))
    parts.push(legend)
  }
  for (let line = 0; line < lines; line++) {
    const first = line * columns
    const here = Math.min(columns, data.count - first)
    if (here <= 0) break
    const grid = make("div", "line")
    grid.style.gridTemplateColumns = `${labelled ? `${LABELS - GAP}px ` : ""}repeat(${columns}, ${zoom * width + 2 * FRAME}px)`
    data.rows.forEach((row, r) => {
      if (labelled) grid.append(label(row, r))
      for (let i = 0; i < here; i++) {
        const canvas = make("canvas", `cell ${row.role}`)
        canvas.style.width = `${zoom * width}px`
        canvas.style.height = `${zoom * height}px`
        if (i === 0) canvas.style.gridColumnStart = labelled ? 2 : 1
        strip.canvases[r].push(canvas)
        grid.append(canvas)
      }
    })
    if (data.captions) {
      if (labelled) grid.append(make("div", "label caption-label", data.caption_label))
      for (let i = 0; i < here; i++) {
        const caption = make("div", "caption number")
        if (i === 0) caption.style.gridColumnStart = labelled ? 2 : 1
        strip.captions.push(caption)
        grid.append(caption)
      }
    }
    parts.push(grid)
  }
  root.replaceChildren(...parts)
}

// ---- signed values: a byte from 1 to 255 stands for -limit to limit, 128 for 0 ----

function paintSigned(canvas, values, [, height, width], colours) {
  paintColours(canvas, values.map((value) => value - 1), [height, width], colours)
}
