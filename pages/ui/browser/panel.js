// What stands below the planes of the bench: the products of a step, the matrix, or what the overlap map says.
// Needs planes.js and wiring.js. `scene` is what bench.js builds.

const MATRIX = { largest: 18, high: 380 } // pixels: a cell, and the whole

function cellName(plane, place) {
  const { rows, columns, top, left } = plane.frame
  const channel = Math.floor(place / (rows * columns))
  const row = Math.floor((place % (rows * columns)) / columns) + top
  const column = (place % columns) + left
  const [channels, height, width] = plane.shape
  if (row < 0 || column < 0 || row >= height || column >= width) return "outside"
  return `${plane.letter}[${channels > 1 ? `${channel}, ` : ""}${row}, ${column}]`
}

function html(tag, className, text = "") {
  const element = document.createElement(tag)
  element.className = className
  element.textContent = text
  return element
}

function drawProducts(panel, scene, numbers, at) {
  const step = scene.timeline[at - 1]
  if (!step) {
    panel.replaceChildren(
      html("h4", "", "Nothing has happened yet"),
      html("p", "note", "Press Play, or go on step by step. Type into a cell, and everything follows."),
    )
    return
  }
  const pass = scene.passes[step.pass]
  const [reads, writes] = [scene.planes[step.pass], scene.planes[step.pass + 1]]
  const [from, to] = [scene.from[step.pass], scene.to[step.pass]]
  const values = scene.full[step.pass]
  const own = Array.from({ length: step.end - step.first }, (_, i) => step.first + i)
  const value = (t) => (pass.from[t] < 0 ? 0 : values[pass.from[t]])
  const owner = pass.gathers ? cellName(writes, to[step.first]) : cellName(reads, from[step.first])
  const isMax = pass.rule === "max" && pass.gathers

  // Products stand as their cells do: rows and columns of the window that is read, or of the stamp.
  const [moving, cells] = pass.gathers ? [reads, from] : [writes, to]
  const row = (t) => Math.floor((cells[t] % (moving.frame.rows * moving.frame.columns)) / moving.frame.columns)
  const column = (t) => cells[t] % moving.frame.columns
  const sorted = (list) => [...new Set(list)].sort((a, b) => a - b)
  const [rowsUsed, columnsUsed] = [sorted(own.map(row)), sorted(own.map(column))]
  const grid = html("div", "products")
  grid.style.setProperty("--columns", columnsUsed.length)
  for (const t of own) {
    const factors = [writeNumber(value(t))]
    if (pass.tap) factors.push(writeNumber(numbers.w[pass.tap[t]]))
    if (!isMax && pass.weight[t] !== 1) factors.push(writeNumber(pass.weight[t]))
    const result = isMax ? value(t) : product(pass, t, values, numbers.w)
    const box = html("span", "", factors.length > 1 ? factors.join(" × ") : "")
    box.append(html("b", "", writeNumber(result)))
    box.style.gridRow = rowsUsed.indexOf(row(t)) + 1
    box.style.gridColumn = columnsUsed.indexOf(column(t)) + 1
    const padding = pass.from[t] < 0
    const cropped = pass.to[t] < 0
    box.classList.toggle("nothing", padding || cropped || (isMax && pass.weight[t] === 0))
    box.classList.toggle("winner", isMax && pass.weight[t] === 1)
    box.title = `${padding ? "padding" : cellName(reads, from[t])} → ${cropped ? "cropped" : cellName(writes, to[t])}`
    grid.append(box)
  }

  const title = html("h4", "")
  const sum = html("p", "sum")
  if (pass.gathers) {
    title.textContent = `Step ${at}: ${owner} ${isMax ? "takes the largest" : own.length > 1 ? "adds up" : "copies"}`
    const total = scene.shown[step.pass + 1][to[step.first]]
    sum.append(`${owner} = `, html("b", "", writeNumber(total)))
  } else {
    const given = own.filter((t) => pass.weight[t] !== 0)
    const only = given.length === 1 ? cellName(writes, to[given[0]]) : ""
    const where = {
      "": `is stamped onto ${given.length} cells`,
      outside: "falls on a cell that is cut off",
    }[only] ?? (own.length > 1 ? `goes to the winner, ${only}; the others get nothing` : `is put into ${only}`)
    title.textContent = `Step ${at}: ${owner} = ${writeNumber(value(step.first))} ${where}`
    const again = given.filter((t) => pass.to[t] >= 0 && scene.landed[step.pass + 1][to[t]] > 1).length
    const lost = given.filter((t) => pass.to[t] < 0).length
    sum.append(
      again
        ? `It is added to what is there already in ${again} ${again === 1 ? "cell" : "cells"}: the stamps overlap.`
        : lost === given.length
          ? ""
          : "Nothing was there before: no overlap in this step.",
      lost ? ` ${lost} ${lost === 1 ? "product falls" : "products fall"} on cells that padding cuts off.` : "",
    )
  }
  panel.replaceChildren(title, grid, sum)
}

function drawOverlap(panel, scene, { pattern, ratio, note }) {
  const last = scene.planes[scene.planes.length - 1]
  const title = html("h4", "", `How much is written to each cell of ${last.letter}`)
  const text = html("p", "sum", `${pattern}. Largest over smallest: `)
  text.append(html("b", "ratio", ratio))
  panel.replaceChildren(title, text, html("p", "note", note))
}

// The matrix is painted once for its numbers; a step only moves the window on it.
function drawMatrix(panel, scene, numbers, colours, at) {
  scene.matrix ??= paintMatrix(panel, scene, numbers, colours)
  const { parts, marker, cell, rows, columns } = scene.matrix
  if (panel.firstChild !== parts[0]) panel.replaceChildren(...parts)
  const step = scene.timeline[at - 1]
  marker.hidden = !step || scene.passes.length > 1
  if (marker.hidden) return
  // the cell a step belongs to is a row (it gathers) or a column (it hands out) of the matrix
  const pass = scene.passes[0]
  const place = cell * (pass.gathers ? pass.to[step.first] : pass.from[step.first])
  marker.style.width = `${pass.gathers ? columns * cell : cell}px`
  marker.style.height = `${pass.gathers ? cell : rows * cell}px`
  marker.style.transform = pass.gathers ? `translateY(${place}px)` : `translateX(${place}px)`
}

function paintMatrix(panel, scene, numbers, colours) {
  const { passes, planes } = scene
  const [first, last] = [planes[0], planes[planes.length - 1]]
  const columns = size(first.shape)
  const rows = size(last.shape)
  const matrix = matrixOf(passes, numbers.w)
  const limit = matrix.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const wide = panel.clientWidth - 28
  const cell = Math.max(1, Math.min(MATRIX.largest, Math.floor(Math.min(wide / columns, MATRIX.high / rows))))

  const canvas = html("canvas", "")
  const sharp = window.devicePixelRatio || 1
  canvas.width = columns * cell * sharp
  canvas.height = rows * cell * sharp
  canvas.style.width = `${columns * cell}px`
  canvas.style.height = `${rows * cell}px`
  canvas.setAttribute("role", "img")
  canvas.setAttribute("aria-label", `The matrix of the operation, ${rows} rows and ${columns} columns`)
  const context = canvas.getContext("2d")
  context.scale(sharp, sharp)
  const middle = (colours.signed.length - 1) / 2
  const gap = cell > 4 ? 1 : 0
  for (let i = 0; i < matrix.length; i++) {
    const share = limit ? matrix[i] / limit : 0
    const [red, green, blue] = colours.signed[Math.round(middle + share * middle)]
    context.fillStyle = `rgb(${red}, ${green}, ${blue})`
    context.fillRect((i % columns) * cell, Math.floor(i / columns) * cell, cell - gap, cell - gap)
  }

  const name = (plane, index) => {
    const [channels, height, width] = plane.shape
    const channel = channels > 1 ? `${Math.floor(index / (height * width))}, ` : ""
    return `${plane.letter}[${channel}${Math.floor(index / width) % height}, ${index % width}]`
  }
  const zeros = matrix.reduce((count, value) => count + (value === 0), 0)
  const usual =
    `Rows are the cells of ${last.letter}, columns those of ${first.letter}, both read line by line. ` +
    `${zeros.toLocaleString("en")} of ${matrix.length.toLocaleString("en")} entries are 0. Point at one.`
  const note = html("p", "note", usual)
  canvas.onpointermove = (event) => {
    const { left, top } = canvas.getBoundingClientRect()
    const [r, c] = [Math.floor((event.clientY - top) / cell), Math.floor((event.clientX - left) / cell)]
    if (r < 0 || c < 0 || r >= rows || c >= columns) return
    note.textContent = `${name(first, c)} counts ${writeNumber(matrix[r * columns + c])} times in ${name(last, r)}.`
  }
  canvas.onpointerleave = () => (note.textContent = usual)
  const title = html("h4", "", `${last.letter} = M ${first.letter}, with M of ${rows}×${columns} cells`)
  const scale = html("span", "scale number")
  const bar = html("i", "")
  bar.style.background = `linear-gradient(90deg, ${colours.anchors.join(", ")})`
  if (!limit) scale.hidden = true
  scale.append(`−${writeNumber(limit)}`, bar, `+${writeNumber(limit)}`)
  title.append(scale)
  const box = html("div", "matrix")
  const marker = html("div", "window")
  box.append(canvas, marker)
  return { parts: [title, box, note], marker, cell, rows, columns }
}
