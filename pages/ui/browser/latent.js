// The latent plane: what the decoder makes of the point under the pointer, computed here for whatever model the page has
// put there. Pins, paths, drawn samples, the grid behind the map and the replay of a training all follow from that. It
// knows the component's HTML (latent.html) and what `plane` in pages/ui/latent/plane.py sends.

const planes = new WeakMap() // parentElement -> take(data, ask), because this script runs again with new data

export default function ({ parentElement, data: [data], setTriggerValue }) {
  if (!planes.has(parentElement)) planes.set(parentElement, startLatent(parentElement.querySelector(".latent")))
  planes.get(parentElement)(data, (question) => setTriggerValue("asked", question))
}

const LETTERS = "ABCDEFGH"
const PATIENCE = 4000 // milliseconds until a question is asked again
const ATTEMPTS = 4
const QUIET = 250 // milliseconds of rest before the server is asked, or a grid is decoded anew
const NEAR = 10 // pixels at which the pointer is on a point
const GRAB = 14 // pixels at which it is on a pin
const STILL = 4 // pixels a press may move and still be a press
const STEP = 1 / 80 // of the map, for an arrow key
const MOST_SELECTED = 120
const PRIOR_SAMPLES = 24
const BIG = 224 // pixels the decoded picture may take

function startLatent(root) {
  const find = (selector) => root.querySelector(selector)
  const holder = find(".map")
  let data = null
  let ask = () => {}
  let map = null
  let model = null
  let modelDigest = null
  let pictures = null // of the points: bytes, one after the other
  let past = null // the moment of the training that is on show, see latent_replay.js; null for the model itself
  let codes = null // (N, Z) flat
  let deviations = null // of the posteriors, (N, Z) flat, or null
  let points = null // (N, 2) flat, in the view on show
  let plane = null // of the view on show; null where there is no way back from the map to codes
  let base = null // the code that other units have where two are on the map
  let view = "" // "units", or the name of a projection
  let units = [0, 1]
  let pointer = [0, 0] // in the plane
  let inside = false // whether the pointer is over the map
  let hovered = -1 // the point the pointer is on
  let pins = [] // {code, at, point}
  let pair = [0, 1] // the pins the path joins
  let samples = [] // codes drawn from the prior
  let held = null // what is being dragged
  let selected = []
  let mode = "explore"
  let frame = 0
  let rest = 0
  let gridRest = 0
  let gridRun = 0
  let pinsAsked = "" // id of the latest question about pins
  let gifAsked = "" // and of the GIF that is still to come
  const open = new Map() // kind -> the question that is not answered yet
  let theme = "light"
  const alive = new AbortController() // ends what listens to the whole page
  const spent = []

  // ---- from the server ----
  const take = (newData, newAsk) => {
    ask = newAsk
    const before = data
    data = newData
    theme = isDark(root) ? "dark" : "light"
    root.style.colorScheme = theme
    const other = before?.revision !== data.revision
    if (other) {
      held = null
      open.clear()
      codes = null
      pins = []
      samples = []
      selected = []
      past = null
      replay.take(null, data.shape)
      hovered = -1
      base = data.latent_dim > 2 ? decodeFloats(data.codes.data).slice(0, data.latent_dim) : Float32Array.from(data.mean)
      units = data.latent_dim > 2 ? data.order.slice(0, 2) : [0, data.latent_dim - 1]
      view = data.latent_dim < 3 ? "units" : data.start.view
      pointer = [...data.start.pointer]
      layOut()
      listViews()
    }
    codes = decodeFloats(data.codes.data)
    deviations = data.deviations && decodeFloats(data.deviations.data)
    if (before?.pictures !== data.pictures) {
      pictures = null
      whenKept(data.pictures, () => data.pictures === newData.pictures && root.isConnected, (packed) => {
        pictures = decodeBytes(packed.data)
        showSelected()
        soon()
      })
    }
    if (modelDigest !== data.digest) {
      modelDigest = data.digest
      if (other) model = null
      if (data.digest) {
        whenKept(data.digest, () => modelDigest === newData.digest && root.isConnected, (packed) => {
          model = loadModel(packed)
          if (other && data.latent_dim === 2 && data.start.pins.length) {
            settle()
            pins = data.start.pins.map((at) => pinAt(at))
            pinsChanged()
          }
          everything()
        })
      }
    }
    if (data.replay && before?.replay !== data.replay) {
      whenKept(data.replay, () => data.replay === newData.replay && root.isConnected, (packed) => {
        past = null
        replay.take(unpackReplay(packed), data.shape)
      })
    }
    if (before?.nearest !== data.nearest) showPins()
    answered("pins", data.nearest?.id)
    answered("gif", data.gif?.id)
    if (data.start.view === view) open.delete("view")
    if (data.gif && data.gif.id === gifAsked) {
      gifAsked = ""
      saveFile(data.gif)
    }
    askView()
    if (map) redraw(other)
    else begin()
  }
  // Every question has a name of its own: an answer may be that of an earlier visit to this page.
  const question = (what) => {
    const said = { ...what, id: `${Date.now()}-${Math.random()}`, revision: data.revision }
    open.set(said.kind, said)
    send(said, ATTEMPTS)
    return said.id
  }
  // Again after a while: a question can be lost where a run of the page is broken off by the next.
  const send = (said, attempts) => {
    if (open.get(said.kind) !== said || !root.isConnected) return
    ask(said)
    if (attempts > 1) setTimeout(() => send(said, attempts - 1), PATIENCE)
  }
  const answered = (kind, id) => open.get(kind)?.id === id && open.delete(kind)
  const begin = () => {
    const library = () => {
      if (!globalThis.labPlotly) return false
      globalThis.removeEventListener("lab-plotly", library)
      globalThis.labPlotly.then(
        (Plotly) => {
          map ??= startMap(holder, Plotly, { moved, selected: select })
          redraw(true)
        },
        (error) => tell(`The map cannot be drawn: ${error.message}. Reload the page.`),
      )
      return true
    }
    if (!library()) globalThis.addEventListener("lab-plotly", library)
  }
  const tell = (words) => {
    find(".told").textContent = words
  }

  // ---- how it is laid out ----
  const layOut = () => {
    const [, height, width] = data.shape
    const zoom = Math.max(1, Math.floor(BIG / Math.max(width, height)))
    for (const [name, value] of Object.entries({ columns: width, rows: height, zoom, small: Math.max(1, Math.round(zoom / 4)) })) {
      root.style.setProperty(`--${name}`, value)
    }
    root.style.setProperty("--height", data.compact ? "400px" : "520px")
    for (const part of [".views", ".units", ".pins", ".closest", ".modes", ".zooms"]) {
      for (const element of root.querySelectorAll(part)) element.hidden = data.compact
    }
    find(".views").hidden = data.compact || data.latent_dim < 3
    find(".prior").hidden = !data.prior
    find(".unitrows").hidden = data.compact || data.latent_dim < 3
    const [, quantiles] = find(".backdrop select").options
    quantiles.hidden = quantiles.disabled = !data.prior
    if (!data.prior && find(".backdrop select").value === "quantiles") find(".backdrop select").value = "behind"
    setMode("explore")
  }
  const listViews = () => {
    const list = [["units", "two units"], ...Object.entries(data.views).map(([name, { title }]) => [name, title])]
    find(".view").replaceChildren(...list.map(([value, title]) => new Option(title, value, false, value === view)))
    for (const [selector, which] of [[".across", 0], [".up", 1]]) {
      find(selector).replaceChildren(...data.order.map((unit) => new Option(unitName(data, unit), unit, false, unit === units[which])))
    }
    unitRows.draw(data, base)
  }

  // ---- the map ----
  const count = () => data.codes.shape[0]
  const codeOf = (i) => codes.slice(i * data.latent_dim, (i + 1) * data.latent_dim)
  const settle = () => {
    const flat = data.latent_dim === 1
    const projection = data.views[view]
    for (const label of root.querySelectorAll(".tools .units")) label.hidden = data.compact || view !== "units" || data.latent_dim < 3
    if (past) {
      points = past.codes[past.at]
      plane = planeOfUnits(base, 0, 1)
    } else if (view === "units" || !projection) {
      plane = planeOfUnits(base, ...units)
      if (flat) plane.up.fill(0)
      points = new Float32Array(2 * count())
      for (let i = 0; i < count(); i++) {
        points[2 * i] = codes[i * data.latent_dim + units[0]]
        points[2 * i + 1] = flat ? ((i * 0.618034) % 1) * 2 - 1 : codes[i * data.latent_dim + units[1]]
      }
    } else if (projection.plane) {
      const unpack = (values) => Float32Array.from(values)
      plane = { origin: unpack(projection.plane.origin), across: unpack(projection.plane.across), up: unpack(projection.plane.up) }
      points = new Float32Array(2 * count())
      for (let i = 0; i < count(); i++) points.set(projected(plane, codeOf(i)), 2 * i)
    } else {
      plane = null
      points = projection.points ? decodeFloats(projection.points.data) : new Float32Array(0)
    }
  }
  const axisNames = () => {
    if (data.latent_dim === 1) return ["the one unit", "spread out, without meaning"]
    if (view === "units" || past) return units.map((unit) => `unit ${unit + 1}`)
    return data.views[view]?.axes ?? ["", ""]
  }
  const box = () => {
    if (past) return past.boxes[past.at]
    if (data.box && view === "units" && data.latent_dim === 2) return data.box
    const low = [Infinity, Infinity]
    const high = [-Infinity, -Infinity]
    for (let i = 0; i < points.length; i++) {
      low[i % 2] = Math.min(low[i % 2], points[i])
      high[i % 2] = Math.max(high[i % 2], points[i])
    }
    if (!points.length) return [[-1, -1], [1, 1]]
    const pad = low.map((value, i) => 0.05 * (high[i] - value || 1))
    return [low.map((value, i) => value - pad[i]), high.map((value, i) => value + pad[i])]
  }
  const redraw = (other) => {
    if (!map || !codes) return
    settle()
    const style = getComputedStyle(root)
    const colour = (name) => style.getPropertyValue(name).trim()
    map
      .draw({
        points,
        labels: data.labels,
        names: data.names,
        classes: data.classes[theme],
        ink: colour("--ink"),
        line: colour("--line"),
        page: colour("--page"),
        axes: axisNames(),
        box: box(),
        equal: view === "units" && data.latent_dim > 1,
        legend: holder.clientWidth > 500,
        revision: `${data.revision}/${view}/${units}/${theme}`,
      })
      .then(() => {
        if (other) everything()
        else {
          gridSoon()
          soon()
        }
      })
    hint()
  }
  const hint = () => {
    const { state, title, trouble } = data.views[view] ?? {}
    const words = {
      explore: plane
        ? "Move over the map: the decoder draws that point at once. Press to pin it; drag a pin to move it, or onto another pin for a path between them."
        : "This view cannot be turned back into codes: the decoder draws the code of the nearest point. Press to pin it.",
      pan: "Drag the map; the wheel or two fingers zoom. The decoder goes on drawing.",
      lasso: "Draw around points to see their pictures below.",
    }
    const working = view !== "units" && !points?.length ? `${title} is being worked out in a process of its own …` : ""
    find(".hint").textContent =
      (state === "failed" ? trouble : working) || (data.compact ? data.caption : `${data.caption} ${words[mode]}`)
  }
  const everything = () => {
    if (!map?.ready()) return
    showPins()
    unitRows.paint(model)
    gridSoon()
    soon()
  }
  const moved = () => {
    gridSoon()
    soon()
  }

  // ---- under the pointer ----
  const soon = () => {
    if (!frame) frame = requestAnimationFrame(show)
  }
  const wanted = () => (plane ? onPlane(plane, pointer) : hovered >= 0 ? codeOf(hovered) : null)
  const show = () => {
    cancelAnimationFrame(frame)
    frame = 0
    if (!map?.ready() || !points) return
    const [nearest] = nearestPoint(points, pointer)
    const [px, py] = map.toPixels(pointer)
    const [qx, qy] = nearest < 0 ? [Infinity, Infinity] : map.toPixels([points[2 * nearest], points[2 * nearest + 1]])
    const far = Math.hypot(qx - px, qy - py)
    hovered = far < NEAR || !plane ? nearest : -1
    decodeHere()
    showNearest(nearest)
    showThumb(far < NEAR && !held && inside ? nearest : -1, px, py)
    showOver()
  }
  const decodeHere = () => {
    const canvas = find(".decoded canvas")
    const [x, y] = pointer
    if (past) {
      const { side, grids, boxes, steps, at: moment } = past
      const [low, high] = boxes[moment]
      const cell = (value, k) => Math.min(side - 1, Math.max(0, Math.floor(((value - low[k]) / (high[k] - low[k])) * side)))
      const length = size(data.shape)
      const at = (side - 1 - cell(y, 1)) * side + cell(x, 0)
      paint(canvas, grids[moment].subarray(at * length, (at + 1) * length), data.shape, 255)
      find(".decoded").classList.remove("waiting")
      find(".place").value = `after ${steps[moment].toLocaleString("en")} steps, nearest of ${side} × ${side} places`
      return
    }
    const code = wanted()
    find(".decoded").classList.toggle("waiting", !model || !code)
    if (!model || !code) {
      if (!model) find(".place").value = data.waiting ?? "fetching the model …"
      return
    }
    const begun = performance.now()
    const pixels = model.decode(code)
    spent.push(performance.now() - begun)
    if (spent.length > 60) spent.shift()
    paint(canvas, pixels, data.shape)
    canvas.dataset.code = JSON.stringify([...code])
    const told = data.latent_dim <= 2 ? [...code].map((value) => value.toFixed(2)).join(", ") : `${x.toFixed(2)}, ${y.toFixed(2)}`
    find(".place").value = `at (${told})`
    find(".speed").textContent = `${(spent.reduce((a, b) => a + b, 0) / spent.length).toFixed(1)} ms to decode, here in your browser`
  }
  const pictureOf = (i) => {
    const length = size(data.shape)
    return pictures?.subarray(i * length, (i + 1) * length)
  }
  const canvasOf = (pixels, full) => {
    const canvas = document.createElement("canvas")
    paint(canvas, pixels, data.shape, full)
    return canvas
  }
  const showNearest = (nearest) => {
    if (data.compact || nearest < 0 || !pictures) return
    paint(find(".closest canvas"), pictureOf(nearest), data.shape, 255)
    find(".closest output").value = data.names[data.labels[nearest]]
  }
  const showThumb = (point, px, py) => {
    const thumb = find(".thumb")
    thumb.hidden = point < 0 || !pictures
    if (thumb.hidden) return
    paint(thumb.querySelector("canvas"), pictureOf(point), data.shape, 255)
    thumb.querySelector("span").textContent = data.names[data.labels[point]]
    const right = px > holder.clientWidth / 2
    thumb.style.left = right ? "" : `${px + 14}px`
    thumb.style.right = right ? `${holder.clientWidth - px + 14}px` : ""
    thumb.style.top = `${Math.min(py, holder.clientHeight - thumb.offsetHeight - 4)}px`
  }

  // ---- on top of the map ----
  const placeOf = (code) => {
    if (!plane) return null
    if (view === "units" || past) return [code[units[0]], data.latent_dim === 1 ? 0 : code[units[1]]]
    return projected(plane, code)
  }
  const pinPlace = (pin) => (plane ? placeOf(pin.code) : pin.at)
  const showOver = () => {
    const parts = []
    for (const pin of [hovered, ...pins.map((pin) => pin.point)].filter((point, i, all) => point >= 0 && all.indexOf(point) === i)) parts.push(...ellipses(pin))
    for (const code of samples) {
      const at = placeOf(code)
      if (at) parts.push(shape("circle", { class: "drawn", cx: map.toPixels(at)[0], cy: map.toPixels(at)[1], r: 5 }))
    }
    const [a, b] = pair.map((i) => pins[i])
    if (a && b && plane) {
      const line = evenly(0, 1, 41).map((share) => map.toPixels(placeOf(wayBetween(a.code, b.code, share, how()))).join(","))
      parts.push(shape("polyline", { class: "line", points: line.join(" ") }))
    }
    if (held?.onto !== undefined && held.onto >= 0) {
      const [from, to] = [held.pin, held.onto].map((i) => map.toPixels(i === held.pin ? held.from : pinPlace(pins[i])))
      parts.push(shape("line", { class: "line drawing", x1: from[0], y1: from[1], x2: to[0], y2: to[1] }))
    }
    const [x, y] = map.toPixels(pointer)
    parts.push(shape("circle", { class: "here", cx: x, cy: y, r: 7 }))
    pins.forEach((pin, i) => {
      const [px, py] = map.toPixels(pinPlace(pin))
      const group = shape("g", { class: "pin" })
      group.append(shape("circle", { cx: px, cy: py, r: 11 }), shape("text", { x: px, y: py }, LETTERS[i]))
      parts.push(group)
    })
    map.over(...parts)
  }
  // One and two standard deviations of the posterior of a point.
  const ellipses = (point) => {
    if (!deviations || view !== "units" || past || data.latent_dim < 2) return []
    const z = data.latent_dim
    const centre = [points[2 * point], points[2 * point + 1]]
    const edge = units.map((unit, k) => centre[k] + deviations[point * z + unit])
    const [[cx, cy], [ex, ey]] = [map.toPixels(centre), map.toPixels(edge)]
    return [2, 1].map((times) => shape("ellipse", { class: "ellipse", cx, cy, rx: times * Math.abs(ex - cx), ry: times * Math.abs(ey - cy) }))
  }

  // ---- pins and the path ----
  const pinAt = (at, point = -1) => {
    if (!plane && point < 0) return null
    const code = point >= 0 && (!plane || !past) ? codeOf(point) : onPlane(plane, at)
    return { code, at: point >= 0 ? [points[2 * point], points[2 * point + 1]] : [...at], point }
  }
  const addPin = (at, point) => {
    if (data.compact || !model || past) return
    if (pins.length === LETTERS.length) return tell(`${LETTERS.length} pins are as many as fit. Remove one first.`)
    const pin = pinAt(at, point)
    if (!pin) return
    pins.push(pin)
    if (pins.length > 1) pair = [pins.length - 2, pins.length - 1]
    if (data.latent_dim > 2) {
      base = pin.code.slice()
      unitRows.draw(data, base)
      unitRows.paint(model)
    }
    pinsChanged()
  }
  const pinsChanged = () => {
    showPins()
    soon()
    clearTimeout(rest)
    rest = setTimeout(() => {
      writeLink()
      pinsAsked = question({ kind: "pins", codes: pins.map((pin) => [...pin.code]) })
    }, QUIET)
  }
  const writeLink = () => {
    if (data.latent_dim !== 2) return
    const link = new URL(location.href)
    const told = pins.map((pin) => [...pin.code].map((value) => Number(value.toFixed(3))).join(",")).join(";")
    if (told) link.searchParams.set("pins", told)
    else link.searchParams.delete("pins")
    history.replaceState(history.state, "", link)
  }
  const showPins = () => {
    if (data.compact) return
    tell(pins.length ? "" : "Press on the map, or Enter with the keyboard, to pin a point.")
    find(".clear").disabled = pins.length === 0 && samples.length === 0
    const known = data.nearest?.id === pinsAsked ? data.nearest : null
    const rows = pins.map((pin, i) => {
      const item = document.createElement("li")
      const pair = document.createElement("div")
      pair.className = "pair"
      if (model) pair.append(canvasOf(model.decode(pin.code)))
      const words = document.createElement("span")
      words.textContent = LETTERS[i] + (pin.point >= 0 ? ` · code of a ${data.names[data.labels[pin.point]]}` : "")
      const learned = known?.found[i]
      if (learned) {
        const canvas = canvasOf(decodeBytes(learned.picture), 255)
        canvas.className = "learned"
        canvas.title = "The training picture nearest to what was decoded"
        pair.append(canvas)
      }
      const far = document.createElement("span")
      far.className = "number"
      far.textContent = learned ? `nearest training picture: MSE ${learned.mse.toPrecision(2)}` : "…"
      const remove = pressButton("Remove")
      remove.onclick = () => {
        pins.splice(i, 1)
        pinsChanged()
      }
      item.append(words, pair, far, remove)
      return item
    })
    find(".pinned").replaceChildren(...rows, ...samples.map((code) => sampleItem(code)))
    showPath()
  }
  const sampleItem = (code) => {
    const item = document.createElement("li")
    const words = document.createElement("span")
    words.textContent = "from the prior"
    if (model) item.append(canvasOf(model.decode(code)))
    item.append(words)
    return item
  }
  const how = () => find(".how").value
  const steps = () => Math.min(24, Math.max(3, Math.round(Number(find(".steps").value)) || 9))
  const pathCodes = () => evenly(0, 1, steps()).map((share) => wayBetween(pins[pair[0]].code, pins[pair[1]].code, share, how()))
  const showPath = () => {
    pair = pair.map((i, k) => (i < pins.length ? i : Math.max(0, pins.length - 2 + k)))
    if (pins.length > 1 && pair[0] === pair[1]) pair = [pins.length - 2, pins.length - 1]
    const there = pins.length > 1 && model
    find(".path").hidden = !there
    if (!there) return
    for (const [selector, which] of [[".from", 0], [".to", 1]]) {
      find(selector).replaceChildren(...pins.map((_, i) => new Option(LETTERS[i], i, false, i === pair[which])))
    }
    find(".path .title").textContent = `Path from ${LETTERS[pair[0]]} to ${LETTERS[pair[1]]}`
    find(".path .strip").replaceChildren(...pathCodes().map((code) => canvasOf(model.decode(code))))
    const sum = find(".sum")
    sum.hidden = pins.length < 3
    if (sum.hidden) return
    const [a, b, c] = pins.map((pin) => pin.code)
    const words = document.createElement("span")
    words.textContent = "A − B + C ="
    sum.replaceChildren(words, canvasOf(model.decode(a.map((value, i) => value - b[i] + c[i]))))
  }

  // ---- selected ----
  const select = (indices) => {
    selected = indices
    showSelected()
  }
  const showSelected = () => {
    find(".chosen").hidden = selected.length === 0 || data.compact
    if (find(".chosen").hidden || !pictures) return
    const counts = new Map()
    for (const i of selected) counts.set(data.labels[i], (counts.get(data.labels[i]) ?? 0) + 1)
    const told = [...counts].sort((a, b) => b[1] - a[1]).map(([label, many]) => `${many} × ${data.names[label]}`)
    const few = selected.length > MOST_SELECTED ? `, the first ${MOST_SELECTED} shown` : ""
    find(".chosen .title").textContent = `${selected.length} selected: ${told.join(", ")}${few}`
    find(".gallery").replaceChildren(...selected.slice(0, MOST_SELECTED).map((i) => canvasOf(pictureOf(i), 255)))
  }

  // ---- the grid behind the map ----
  const gridSoon = () => {
    clearTimeout(gridRest)
    gridRest = setTimeout(grid, QUIET)
  }
  const cellsOnASide = () => Number(find(".resolution input").value)
  const grid = () => {
    const run = ++gridRun
    const where = find(".backdrop select").value
    find(".resolution").hidden = !where
    const apart = where === "quantiles" && !past
    find(".quantiles").hidden = !apart
    if (!map?.ready()) return
    if (apart) map.backdrop(null)
    if (!where || (!plane && !past) || data.latent_dim === 1) return map.backdrop(null)
    const [channels, height, width] = data.shape
    const sheet = document.createElement("canvas")
    const drawAt = (pixels, row, column, full) => {
      cell.width = 0
      paint(cell, pixels, [channels, height, width], full)
      sheet.getContext("2d").drawImage(cell, column * width, row * height)
    }
    const cell = document.createElement("canvas")
    if (past) {
      const { side, grids, boxes, at: moment } = past
      const [low, high] = boxes[moment]
      sheet.width = side * width
      sheet.height = side * height
      const length = size(data.shape)
      for (let i = 0; i < side * side; i++) drawAt(grids[moment].subarray(i * length, (i + 1) * length), Math.floor(i / side), i % side, 255)
      return map.backdrop(sheet.toDataURL(), [0, 1].map((k) => [low[k], high[k]]))
    }
    if (!model) return
    const [decoder, ground] = [model, plane] // another map's may take their place between two slices
    const side = cellsOnASide()
    const ranges = map.ranges()
    sheet.width = side * width
    sheet.height = side * height
    const middle = ([low, high], i) => (apart ? normalQuantile((i + 0.5) / side) : low + ((i + 0.5) / side) * (high - low))
    const one = (i) => {
      const [row, column] = [Math.floor(i / side), i % side]
      const at = [middle(ranges[0], column), middle(ranges[1], side - 1 - row)]
      drawAt(decoder.decode(onPlane(ground, at)), row, column)
    }
    const done = () => {
      if (!apart) return map.backdrop(sheet.toDataURL(), ranges)
      const shown = find(".quantiles canvas")
      Object.assign(shown, { width: sheet.width, height: sheet.height })
      shown.getContext("2d").drawImage(sheet, 0, 0)
    }
    inSlices(side * side, one, () => run === gridRun && model === decoder && root.isConnected, done)
  }

  // ---- one unit at a time ----
  const baseChanged = () => {
    settle()
    if (plane) pointer = placeOf(base)
    if (plane && view !== "units") {
      const [x, y] = pointer
      plane = { ...plane, origin: base.map((value, i) => value - x * plane.across[i] - y * plane.up[i]) }
    }
    unitRows.paint(model)
    gridSoon()
    soon()
  }
  const unitRows = startUnits(find(".unitrows"), baseChanged)

  // ---- the replay of a training ----
  const replay = startReplay(find(".replay"), () => {
    past = replay.shown()
    redraw(false)
    clearTimeout(gridRest)
    grid()
  })

  // ---- what people do ----
  const setMode = (name) => {
    mode = name
    for (const button of root.querySelectorAll(".modes button")) button.setAttribute("aria-pressed", button.dataset.mode === name)
    holder.classList.toggle("exploring", name === "explore")
    map?.mode(name)
    if (data && points) hint()
  }
  const pinUnder = (event) => {
    const frame = holder.getBoundingClientRect()
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top]
    const far = pins.map((pin) => {
      const [px, py] = map.toPixels(pinPlace(pin))
      return Math.hypot(px - x, py - y)
    })
    const nearest = far.indexOf(Math.min(...far))
    return nearest >= 0 && far[nearest] < GRAB ? nearest : -1
  }
  const others = (pin, at) => {
    const [x, y] = map.toPixels(at)
    return pins.findIndex((other, i) => {
      const [px, py] = map.toPixels(pinPlace(other))
      return i !== pin && Math.hypot(px - x, py - y) < GRAB
    })
  }
  const follow = (event) => {
    const at = map?.toPlane(event)
    if (!at) return
    pointer = at
    if (held && held.pin >= 0 && Math.hypot(event.clientX - held.x, event.clientY - held.y) > STILL) {
      held.moved = true
      held.onto = others(held.pin, at)
      if (held.onto < 0 && plane) {
        Object.assign(pins[held.pin], pinAt(at))
        showPath()
      }
    }
    soon()
  }
  holder.addEventListener(
    "pointerdown",
    (event) => {
      if (!map?.toPlane(event) || event.button > 0) return
      holder.focus({ preventScroll: true })
      const pin = pinUnder(event)
      held = { pin, x: event.clientX, y: event.clientY, moved: false, onto: -1, from: pin >= 0 ? pinPlace(pins[pin]) : null, code: pins[pin]?.code }
      if (pin >= 0) {
        event.stopPropagation() // the map is not to be dragged with it
        event.preventDefault()
      }
      follow(event)
    },
    true,
  )
  holder.addEventListener("mousedown", (event) => held?.pin >= 0 && event.stopPropagation(), true)
  const up = (event) => {
    if (!held) return
    const { pin, x, y, moved: dragged, onto, code } = held
    held = null
    if (pin >= 0 && dragged) {
      if (onto >= 0) {
        pins[pin] = { ...pins[pin], code }
        pair = [pin, onto]
      }
      pinsChanged()
    } else if (pin < 0 && mode === "explore" && Math.hypot(event.clientX - x, event.clientY - y) <= STILL) {
      const at = map.toPlane(event)
      if (at) {
        pointer = at
        show()
        addPin(at, hovered)
      }
    }
    soon()
  }
  holder.addEventListener("pointermove", (event) => {
    inside = true
    follow(event)
  })
  holder.addEventListener("pointerleave", () => {
    inside = false
    soon()
  })
  // on the whole page: Plotly puts a sheet over it while something is dragged
  const { signal } = alive
  globalThis.addEventListener("pointerup", (event) => (root.isConnected ? up(event) : alive.abort()), { signal })
  globalThis.addEventListener("pointercancel", () => (held = null), { signal })
  holder.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }
    if (ways[event.key] && map?.ready()) {
      const far = event.shiftKey ? 5 * STEP : STEP
      const ranges = map.ranges()
      pointer = pointer.map((value, k) => Math.min(ranges[k][1], Math.max(ranges[k][0], value + ways[event.key][k] * far * (ranges[k][1] - ranges[k][0]))))
      soon()
    } else if (event.key === "Enter") map?.ready() && addPin(pointer, hovered)
    else if (event.key === "+" || event.key === "-") map?.zoom(event.key === "+")
    else if ((event.key === "Backspace" || event.key === "Delete") && pins.length) {
      pins.pop()
      pinsChanged()
    } else return
    event.preventDefault()
  })
  for (const button of root.querySelectorAll(".modes button")) button.onclick = () => setMode(button.dataset.mode)
  find(".closer").onclick = () => map?.zoom(true)
  find(".farther").onclick = () => map?.zoom(false)
  find(".whole").onclick = () => map?.whole()
  find(".backdrop select").onchange = grid
  find(".resolution input").oninput = () => {
    find(".resolution output").value = `${cellsOnASide()} × ${cellsOnASide()}`
    gridSoon()
  }
  const askView = () => {
    const known = data.views[view]
    if (known && !known.plane && !known.state) question({ kind: "view", name: view }) // nobody has asked for it
  }
  find(".view").onchange = () => {
    view = find(".view").value
    question({ kind: "view", name: view }) // told in any case: a map that is built anew begins with it
    pointer = [0, 0]
    redraw(true)
  }
  for (const [selector, which] of [[".across", 0], [".up", 1]]) {
    find(selector).onchange = () => {
      const unit = Number(find(selector).value)
      if (units[1 - which] === unit) units[1 - which] = units[which] // they change places
      units[which] = unit
      listViews()
      redraw(true)
    }
  }
  find(".prior").onclick = () => {
    samples = Array.from({ length: PRIOR_SAMPLES }, () => Float32Array.from({ length: data.latent_dim }, () => gaussian()))
    everything()
  }
  find(".clear").onclick = () => {
    pins = []
    samples = []
    pinsChanged()
  }
  find(".drop").onclick = () => {
    map.unselect()
    select([])
  }
  for (const [selector, which] of [[".from", 0], [".to", 1]]) {
    find(selector).onchange = () => {
      const pin = Number(find(selector).value)
      if (pair[1 - which] === pin) pair[1 - which] = pair[which]
      pair[which] = pin
      showPath()
      soon()
    }
  }
  find(".steps").onchange = showPath
  find(".how").onchange = () => {
    showPath()
    soon()
  }
  find(".gif").onclick = () => {
    gifAsked = question({ kind: "gif", codes: pathCodes().map((code) => [...code]) })
  }
  return take
}

function saveFile({ data, name }) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([decodeBytes(data)], { type: "image/gif" }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
}
