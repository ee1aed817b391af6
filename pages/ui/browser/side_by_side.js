// The target and its rivals in columns, with one lens on the same place of all of them. Everything happens here,
// nothing is sent to the server. It knows the component's HTML (side_by_side.html) and what `side_by_side` in
// pages/ui/side_by_side.py sends.

const tables = new WeakMap() // parentElement -> take(data), because this script runs again with new data

export default function ({ parentElement, data: [data] }) {
  if (!tables.has(parentElement)) tables.set(parentElement, startTable(parentElement.querySelector(".side")))
  tables.get(parentElement)(data)
}

const LARGEST = 224 // pixels a picture may take on the screen, where its own pixels are smaller than that
const SMALL = 32 // pixels one of all the pictures should at least take
const NARROW = 110 // pixels: in narrower columns the heads are written smaller
const GAP = 4
const MINI_GAP = 1
const FRAME = 2
const LABELS = 112 // width of the column of row labels, where there is one
const LENS = { smallest: 4, usual: 8, largest: 16 } // pixels of the picture
// in cycles per pixel; +1/2 is the same as −1/2
const FREQUENCIES = [[-1 / 2, "½"], [-1 / 4, "¼"], [0, "0"], [1 / 4, "¼"]]
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

// Returns take(data), to be called with everything the server sends.
function startTable(root) {
  const find = (selector) => root.querySelector(selector)
  const slider = find(".tools input")
  let data = null
  let pictures = [] // by column, then by picture: bytes (C, H, W)
  let spectra = [] // by column: bytes (H, W) or null
  let colours = null
  let chosen = 0
  let lens = null // {x, y, side}: its middle and its size in pixels of the picture
  let plan = null
  let layout = ""
  let parts = null // the elements by column, as `build` makes them

  // ---- from the server ----
  const take = (newData) => {
    const resized = data?.height !== newData.height || data?.width !== newData.width
    data = newData
    const most = Math.min(LENS.largest, data.height, data.width)
    if (resized) lens = { x: data.width / 2, y: data.height / 2, side: Math.min(LENS.usual, most) }
    if (chosen >= data.names.length) chosen = 0
    slider.min = Math.min(LENS.smallest, most)
    slider.max = most
    slider.value = lens.side

    const length = size([data.channels, data.height, data.width])
    pictures = data.columns.map((column) => {
      const bytes = decodeBytes(column.data)
      return data.names.map((_, i) => bytes.subarray(i * length, (i + 1) * length))
    })
    spectra = data.columns.map((column) => column.spectrum && decodeBytes(column.spectrum))

    const theme = isDark(root) ? "dark" : "light"
    const { diverging, sequential } = data.palette[theme]
    colours = { diverging: divergingColours(diverging), sequential: colourScale(sequential, 256) }
    root.style.colorScheme = theme // of the browser's own slider
    data.columns.forEach((column, i) => root.style.setProperty(`--column-${i}`, column.colour[theme]))
    root.setAttribute("aria-label", data.alt)
    show()
  }

  const show = () => {
    const width = find(".matrix").clientWidth
    if (!data || !width) return
    plan = planMatrix(width, data)
    const shown = [plan, data.names, data.height, data.width, spectra.map((spectrum) => spectrum !== null)]
    if (JSON.stringify(shown) !== layout) {
      layout = JSON.stringify(shown)
      parts = build(find(".matrix"), plan, data)
      listen()
    }
    const shape = [data.channels, data.height, data.width]
    parts.columns.forEach((column, c) => {
      const { label, note } = data.columns[c]
      column.label.textContent = label
      column.note.textContent = note
      for (const [element, what] of column.named) element.setAttribute("aria-label", `${what}: ${label}`)
      column.minis.forEach((canvas, i) => paint(canvas, pictures[c][i], shape, 255))
      if (spectra[c]) paintColours(column.spectrum, spectra[c], [data.height, data.width], colours.sequential)
    })
    drawScale(parts.differenceScale, [`−${data.limit}`, `+${data.limit}`], colours.diverging)
    const least = `10⁻${SUPERSCRIPT[data.decades]}`
    if (parts.spectrumScale) drawScale(parts.spectrumScale, [least, "1"], colours.sequential)
    showChosen()
  }

  // ---- the chosen picture ----
  const showChosen = () => {
    parts.chosen.textContent = data.names[chosen]
    parts.columns.forEach((column, c) => {
      column.minis.forEach((canvas, i) => {
        canvas.classList.toggle("chosen", i === chosen)
        if (c === 0) canvas.setAttribute("aria-selected", i === chosen)
      })
      paint(column.large, pictures[c][chosen], [data.channels, data.height, data.width], 255)
      if (!column.difference) return
      const steps = differenceSteps(pictures[c][chosen], pictures[0][chosen], data)
      paintColours(column.difference, steps, [data.height, data.width], colours.diverging)
    })
    parts.list.setAttribute("aria-activedescendant", parts.columns[0].minis[chosen].id)
    showLens()
  }
  const choose = (index) => {
    chosen = Math.max(0, Math.min(data.names.length - 1, index))
    showChosen()
  }

  // ---- the lens ----
  // Its left upper pixel: where its middle asks for, or as near as the picture lets it.
  const corner = () => {
    const place = (middle, length) => Math.max(0, Math.min(length - lens.side, Math.round(middle - lens.side / 2)))
    return [place(lens.x, data.width), place(lens.y, data.height)]
  }
  const showLens = () => {
    const { side } = lens
    const [x, y] = corner()
    const enlarged = Math.max(1, Math.floor((plan.zoom * data.width) / side))
    const places = `columns\u00a0${x + 1}–${x + side}, rows\u00a0${y + 1}–${y + side}`
    find(".tools output").textContent = `${side} px`
    parts.places.textContent = places
    parts.columns.forEach((column, c) => {
      column.lens.style.left = `${x * plan.zoom}px`
      column.lens.style.top = `${y * plan.zoom}px`
      column.lens.style.width = column.lens.style.height = `${side * plan.zoom}px`
      column.stage.setAttribute("aria-valuemax", (data.width - side + 1) * (data.height - side + 1) - 1)
      column.stage.setAttribute("aria-valuenow", y * (data.width - side + 1) + x)
      column.stage.setAttribute("aria-valuetext", places)
      column.view.style.width = column.view.style.height = `${side * enlarged}px`
      paint(column.view, cut(pictures[c][chosen], data, x, y, side), [data.channels, side, side], 255)
    })
  }
  const moveLens = (x, y) => {
    lens = { ...lens, x, y }
    showLens()
  }
  slider.oninput = () => {
    lens = { ...lens, side: Number(slider.value) }
    showLens()
  }

  // ---- pointer and keys on what `build` has made ----
  const listen = () => {
    for (const column of parts.columns) {
      column.minis.forEach((canvas, i) => {
        canvas.onclick = () => {
          parts.list.focus({ preventScroll: true }) // the arrow keys go on from here, whichever column was clicked
          choose(i)
        }
      })
      const { stage, large } = column
      const follow = (event) => {
        const box = large.getBoundingClientRect()
        moveLens(
          ((event.clientX - box.left) / box.width) * data.width,
          ((event.clientY - box.top) / box.height) * data.height,
        )
      }
      stage.onpointerdown = (event) => {
        if (event.button !== 0) return
        stage.setPointerCapture(event.pointerId)
        follow(event)
      }
      stage.onpointermove = (event) => {
        if (stage.hasPointerCapture(event.pointerId)) follow(event)
      }
      stage.onkeydown = (event) => {
        const step = STEPS[event.key]
        if (!step || event.ctrlKey || event.metaKey || event.altKey) return
        event.preventDefault()
        const far = event.shiftKey ? lens.side : 1
        const [x, y] = corner()
        const stay = (middle, length) => Math.max(lens.side / 2, Math.min(length - lens.side / 2, middle))
        moveLens(
          stay(x + lens.side / 2 + far * step[0], data.width),
          stay(y + lens.side / 2 + far * step[1], data.height),
        )
      }
    }
    parts.list.onkeydown = (event) => {
      const to = {
        ArrowLeft: chosen - 1,
        ArrowRight: chosen + 1,
        ArrowUp: chosen - plan.across < 0 ? chosen : chosen - plan.across,
        ArrowDown: chosen + plan.across >= data.names.length ? chosen : chosen + plan.across,
        Home: 0,
        End: data.names.length - 1,
      }[event.key]
      if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      choose(to)
    }
  }

  new ResizeObserver(show).observe(root)
  return take
}

const SUPERSCRIPT = [..."⁰¹²³⁴⁵⁶⁷⁸⁹"]

// Whole-number zooms of the large pictures and of the small ones, how many of these stand in a line, and whether the
// labels of the rows have room at the left without making pictures smaller.
function planMatrix(width, data) {
  const columns = data.columns.length
  const cell = Math.floor((width - (columns - 1) * GAP) / columns) - 2 * FRAME
  const largest = Math.floor(LARGEST / Math.max(data.width, data.height))
  const zoom = Math.max(1, Math.min(largest, Math.floor(cell / data.width)))
  const column = zoom * data.width + 2 * FRAME
  const needed = columns * column + (columns - 1) * GAP
  const across = (small) => Math.floor((column + MINI_GAP) / (small * data.width + MINI_GAP))
  const high = (small) => Math.ceil(data.names.length / across(small)) * (small * data.height + MINI_GAP)
  let small = Math.min(zoom, Math.max(2, Math.floor(SMALL / data.width)))
  while (small > 1 && high(small) > zoom * data.height) small--
  return {
    columns,
    zoom,
    column,
    small,
    across: Math.min(data.names.length, across(small)),
    labelled: needed + LABELS + GAP <= width,
    overflowing: needed > width,
  }
}

// The matrix's elements, without pictures. A column has {label, note, minis, stage, large, lens, view, difference,
// spectrum, named}: elements to be written and painted on, `difference` and `spectrum` null where there is none.
function build(matrix, plan, data) {
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag)
    element.className = className
    element.append(...children)
    return element
  }
  const canvas = (zoom) => {
    const element = make("canvas", "")
    element.style.width = `${zoom * data.width}px`
    element.style.height = `${zoom * data.height}px`
    return element
  }
  const indices = Array.from({ length: plan.columns }, (_, c) => c)
  const columns = indices.map(() => ({ difference: null, spectrum: null, named: [] }))
  const rows = []
  const addRow = (label, makeCell) => {
    if (label || plan.labelled) rows.push(make("div", "label", ...(label ?? [])))
    for (const column of columns) {
      const cell = makeCell(column, columns.indexOf(column))
      cell.style.setProperty("--frame", `var(--column-${columns.indexOf(column)})`)
      rows.push(cell)
    }
  }
  const picture = (what, column, ...children) => {
    const frame = make("div", "frame", ...children)
    frame.setAttribute("role", "img")
    column.named.push([frame, what])
    return frame
  }
  const none = () => make("div", "none", "–")
  const scale = () => make("span", "scale number", make("span", ""), make("canvas", ""), make("span", ""))

  addRow(null, (column) => {
    column.label = make("b", "")
    column.note = make("span", "number")
    return make("div", "head", column.label, column.note)
  })

  addRow([make("b", "", "All pictures"), make("span", "", "click one")], (column, c) => {
    column.minis = data.names.map((name, i) => {
      const mini = canvas(plan.small)
      mini.title = name
      if (c > 0) return mini
      mini.id = `picture-${i}`
      mini.setAttribute("role", "option")
      mini.setAttribute("aria-label", name)
      return mini
    })
    const grid = make("div", "minis", ...column.minis)
    grid.style.gridTemplateColumns = `repeat(${plan.across}, ${plan.small * data.width}px)`
    grid.setAttribute("role", c === 0 ? "listbox" : "img")
    if (c === 0) grid.tabIndex = 0
    column.named.push([grid, "All pictures"])
    return grid
  })

  const chosen = make("span", "")
  addRow([make("b", "", "Picture: ", chosen), make("span", "", "drag the lens")], (column, c) => {
    column.large = canvas(plan.zoom)
    column.lens = make("div", "lens")
    column.stage = make("div", "frame stage", column.large, column.lens)
    column.stage.tabIndex = c === 0 ? 0 : -1 // one stop for the tab key; the others take the focus when clicked
    column.stage.setAttribute("role", "slider")
    column.stage.setAttribute("aria-roledescription", "lens")
    column.stage.setAttribute("aria-valuemin", 0)
    column.named.push([column.stage, "Lens, moved by the arrow keys"])
    return column.stage
  })

  const places = make("span", "number")
  addRow([make("b", "", "Under the lens"), places], (column) => {
    column.view = make("canvas", "")
    const frame = picture("Under the lens", column, column.view)
    frame.classList.add("view")
    frame.style.height = `${plan.zoom * data.width}px` // whatever the size of the lens
    return frame
  })

  const differenceScale = scale()
  addRow([make("b", "", "Difference"), differenceScale, make("span", "", "to the target")], (column, c) => {
    if (c === 0) return none()
    column.difference = canvas(plan.zoom)
    return picture("Difference to the target", column, column.difference)
  })

  let spectrumScale = null
  if (data.columns.some(({ spectrum }) => spectrum !== null)) {
    spectrumScale = scale()
    const words = ["of the difference (target: of the pictures)", "centre: slow changes; edge: every second pixel"]
    addRow([make("b", "", "Spectrum"), spectrumScale, ...words.map((text) => make("span", "", text))], (column, c) => {
      if (data.columns[c].spectrum === null) return none()
      column.spectrum = canvas(plan.zoom)
      const frame = picture("Spectrum", column, column.spectrum, ...frequencyMarks(make, plan.zoom, data))
      frame.classList.add("spectrum")
      return frame
    })
  }

  for (const name of ["labelled", "overflowing"]) matrix.classList.toggle(name, plan[name])
  matrix.classList.toggle("narrow", plan.column < NARROW)
  matrix.style.gridTemplateColumns = `${plan.labelled ? `${LABELS}px ` : ""}repeat(${plan.columns}, ${plan.column}px)`
  matrix.replaceChildren(...rows)
  const list = columns[0].minis[0].parentElement
  return { columns, list, chosen, places, differenceScale, spectrumScale }
}

// Pixels on the screen from the edge of a spectrum to the middle of those that stand for a frequency.
function markPlace(frequency, length, zoom) {
  return Math.round((Math.floor(length / 2) + frequency * length + 0.5) * zoom - 0.5)
}

// Below a spectrum with the frequencies' names, and down its left edge.
function frequencyMarks(make, zoom, { height, width }) {
  return FREQUENCIES.flatMap(([frequency, name]) => {
    const [along, text, down] = [make("i", ""), make("small", "number", name), make("i", "down")]
    along.style.left = text.style.left = `${markPlace(frequency, width, zoom)}px`
    down.style.top = `${markPlace(frequency, height, zoom)}px`
    return [along, text, down]
  })
}

// ---- arithmetic on bytes ----

// The `side` x `side` pixels of a picture (C, H, W) whose left upper one is at x, y.
function cut(pixels, { channels, height, width }, x, y, side) {
  const part = new Uint8Array(channels * side * side)
  for (let c = 0; c < channels; c++) {
    for (let row = 0; row < side; row++) {
      const from = (c * height + y + row) * width + x
      part.set(pixels.subarray(from, from + side), (c * side + row) * side)
    }
  }
  return part
}

// The mean over the channels of picture - target as 0 to 254: 127 for 0, the ends for the scale's limits and beyond.
function differenceSteps(picture, target, { channels, height, width, limit }) {
  const plane = height * width
  return Uint8Array.from({ length: plane }, (_, i) => {
    let sum = 0
    for (let c = 0; c < channels; c++) sum += picture[c * plane + i] - target[c * plane + i]
    const share = sum / (255 * channels * limit)
    return 127 + Math.round(127 * Math.max(-1, Math.min(1, share)))
  })
}
