// Planes of numbers as grids of cells, some of which can be typed into. Needs signed.js for colours.
// It knows nothing of what the numbers are or how they come about.

const FULL_COLOUR = 72 // of the 127 steps a signed scale has on either side: text stays readable on it

// As people write it: whole numbers as they are, others with three significant digits.
function writeNumber(value) {
  const whole = Math.round(value)
  const text = Math.abs(value - whole) < 1e-9 ? String(whole || 0) : String(Number(value.toPrecision(3)))
  return text.replace("-", "−")
}

// The same in at most six letters, for a cell.
function writeShort(value) {
  const text = writeNumber(value)
  return text.length <= 6 ? text : value.toExponential(1).replace(".0", "").replace("e+", "e").replaceAll("-", "−")
}

function readNumber(text) {
  const plain = text.trim().replace("−", "-").replace(",", ".")
  return plain === "" ? NaN : Number(plain)
}

// The part of the endless grid around a plane that holds the plane, its padding and all the cells given.
function frameAround([, height, width], [down, along], ...lists) {
  let [top, left, bottom, right] = [-down, -along, height - 1 + down, width - 1 + along]
  for (const cells of lists) {
    for (let i = 0; i < cells.length; i += 3) {
      top = Math.min(top, cells[i + 1])
      bottom = Math.max(bottom, cells[i + 1])
      left = Math.min(left, cells[i + 2])
      right = Math.max(right, cells[i + 2])
    }
  }
  return { top, left, rows: bottom - top + 1, columns: right - left + 1 }
}

// spec: {name, letter, title, shape: [C, H, W], frame, result: whether it is computed, edit: (index, value) => void for
// one that can be typed into, pick: (index in the frame) => void for one that can be clicked, most: largest number}
function makePlane(spec) {
  const { shape, frame } = spec
  const [channels, height, width] = shape
  const make = (tag, className) => {
    const element = document.createElement(tag)
    element.className = className
    return element
  }
  const figure = make("figure", `plane ${spec.name}${spec.result ? " result" : ""}`)
  const caption = make("figcaption", "")
  caption.innerHTML = "<b></b><span></span>"
  caption.firstChild.textContent = spec.letter
  caption.lastChild.textContent = ` ${spec.title}, ${height}×${width}`
  caption.title = `${spec.letter} ${spec.title}, ${channels > 1 ? `${channels} planes of ` : ""}${height}×${width}`
  const across = Math.ceil(Math.sqrt(channels))
  const grids = make("div", "grids")
  grids.style.setProperty("--across", across)
  const cells = []
  const parts = Array.from({ length: channels }, (_, channel) => {
    const grid = make("div", "grid")
    grid.style.setProperty("--columns", frame.columns)
    for (let row = frame.top; row < frame.top + frame.rows; row++) {
      for (let column = frame.left; column < frame.left + frame.columns; column++) {
        const inside = row >= 0 && row < height && column >= 0 && column < width
        const cell = make(spec.edit && inside ? "input" : "span", inside ? "cell" : "cell outside")
        if (spec.edit && inside) {
          const index = (channel * height + row) * width + column
          makeEditable(cell, spec, index, cells)
          cell.setAttribute("aria-label", nameCell(spec, channel, row, column))
        } else if (spec.pick && inside) {
          const index = cells.length
          cell.onclick = () => spec.pick(index)
        }
        cells.push(cell)
        grid.append(cell)
      }
    }
    grids.append(grid)
    return grid
  })
  const marker = make("div", "window")
  marker.hidden = true
  grids.append(marker)
  figure.append(caption, grids)
  return {
    ...spec,
    figure,
    cells,
    parts,
    marker,
    wide: across * frame.columns,
    high: Math.ceil(channels / across) * frame.rows,
    gaps: [(across - 1) * 8, (Math.ceil(channels / across) - 1) * 8],
    at: (channel, row, column) =>
      (channel * frame.rows + row - frame.top) * frame.columns + column - frame.left,
  }
}

function nameCell(spec, channel, row, column) {
  return `${spec.letter} ${spec.shape[0] > 1 ? `plane ${channel} ` : ""}row ${row} column ${column}`
}

// Enter and the arrow keys go from cell to cell; what is no number is marked and comes to nothing.
function makeEditable(cell, spec, index, cells) {
  cell.type = "text"
  cell.inputMode = "decimal"
  cell.autocomplete = "off"
  cell.spellcheck = false
  const valid = (value) => Number.isFinite(value) && Math.abs(value) <= spec.most
  cell.onfocus = () => {
    spec.begin()
    cell.value = String(cell.number).replace("-", "−")
    cell.select()
  }
  cell.oninput = () => {
    const value = readNumber(cell.value)
    cell.classList.toggle("wrong", !valid(value))
    if (valid(value)) spec.edit(index, value)
  }
  cell.onblur = () => {
    const value = readNumber(cell.value)
    if (!valid(value)) spec.refuse(cell.value)
    cell.classList.remove("wrong")
    cell.value = writeShort(cell.number)
  }
  cell.onkeydown = (event) => {
    const all = cell.selectionStart === 0 && cell.selectionEnd === cell.value.length
    const [start, end] = [cell.selectionEnd === 0, cell.selectionStart === cell.value.length]
    const { columns } = spec.frame
    const steps = {
      Enter: columns,
      ArrowDown: columns,
      ArrowUp: -columns,
      ArrowLeft: (all || start) && -1,
      ArrowRight: (all || end) && 1,
    }
    if (!steps[event.key]) return
    event.preventDefault()
    const next = cells[cells.indexOf(cell) + steps[event.key]]
    if (next?.matches("input")) next.focus()
    else if (event.key === "Enter") cell.blur()
  }
}

// values: by frame cell; blank: (index) => whether the cell shows nothing yet; limit: the value of the full colour;
// colours: 255 for signed values, or any number from little to much; badge: (index) => short text in the corner or null
function drawPlane(plane, { values, blank = () => false, limit, colours, signed = true, badge = () => null }) {
  plane.cells.forEach((cell, i) => {
    const value = values[i]
    const empty = blank(i)
    const text = empty ? "" : writeShort(value)
    const mark = empty ? null : badge(i)
    const key = `${text}|${mark}|${empty || value / limit}`
    cell.number = value
    if (cell.drawn === key && cell.palette === colours) return
    cell.drawn = key
    cell.palette = colours
    if (cell.matches("input")) {
      if (!cell.matches(":focus")) cell.value = text
    } else cell.textContent = text
    if (text.length > 5) cell.title = writeNumber(value)
    else cell.removeAttribute("title")
    cell.classList.toggle("long", text.length === 4)
    cell.classList.toggle("longer", text.length > 4)
    if (mark === null) delete cell.dataset.count
    else cell.dataset.count = mark
    if (cell.matches(".outside")) return
    const share = limit > 0 && !empty ? Math.max(-1, Math.min(1, value / limit)) : 0
    const place = signed ? (colours.length - 1) / 2 + share * FULL_COLOUR : share * (colours.length - 1)
    const [red, green, blue] = colours[Math.round(place)]
    cell.style.background = empty || (!signed && !value) ? "" : `rgb(${red}, ${green}, ${blue})`
    cell.style.color = empty || (!signed && !value) ? "" : 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#1d2529" : "#fff"
  })
}

// Marks the cells of one step (places in the frame) and lays the window around them.
function markCells(plane, places) {
  for (const place of plane.hit ?? []) plane.cells[place].classList.remove("hit")
  plane.hit = places
  plane.parts.forEach((part) => part.classList.remove("idle"))
  plane.marker.hidden = !places.length
  if (!places.length) return
  for (const place of places) plane.cells[place].classList.add("hit")
  const { rows, columns } = plane.frame
  const channel = Math.floor(places[0] / (rows * columns))
  const own = places.filter((place) => Math.floor(place / (rows * columns)) === channel).map((place) => place % (rows * columns))
  const down = own.map((place) => Math.floor(place / columns))
  const along = own.map((place) => place % columns)
  const [top, bottom] = [Math.min(...down), Math.max(...down)]
  const [left, right] = [Math.min(...along), Math.max(...along)]
  const { offsetLeft, offsetTop } = plane.parts[channel]
  const { style } = plane.marker
  const cells = (count) => `calc(${count} * var(--cell))`
  style.width = cells(right - left + 1)
  style.height = cells(bottom - top + 1)
  style.transform = `translate(calc(${offsetLeft}px + ${left} * var(--cell)), calc(${offsetTop}px + ${top} * var(--cell)))`
}

function land(cells) {
  for (const cell of cells) cell.classList.remove("landed")
  void cells[0]?.offsetWidth // begins the animation anew
  for (const cell of cells) cell.classList.add("landed")
}

// The largest cell at which no plane is wider than the bench and all lines together are not too high. Rather than
// become too small to read, planes may be higher.
function fitCell(planes, width, { largest, readable, smallest, highest, sign, gap }) {
  const largestWith = (fits) => {
    for (let cell = largest; cell > smallest; cell--) if (fits(cell)) return cell
    return smallest
  }
  const wide = (plane, cell) => plane.wide * cell + plane.gaps[0]
  const byWidth = largestWith((cell) => planes.every((plane) => wide(plane, cell) <= width))
  const byHeight = largestWith((cell) => {
    let [line, lineHigh, high] = [0, 0, 0]
    for (const plane of planes) {
      const tall = plane.high * cell + plane.gaps[1] + 22
      const extended = line ? line + gap + sign + gap + wide(plane, cell) : wide(plane, cell)
      if (extended > width || plane.newLine) {
        high += lineHigh + gap
        ;[line, lineHigh] = [wide(plane, cell), tall]
      } else [line, lineHigh] = [extended, Math.max(lineHigh, tall)]
    }
    return high + lineHigh <= highest
  })
  return Math.min(byWidth, Math.max(byHeight, readable))
}
