// The bench of the Operations page: an operation runs step by step, forward or backward, on numbers one can type into.
// Everything happens here; the server is told only what was typed and chosen. It knows the page's HTML (bench.html) and
// what `bench` in pages/ui/operations/bench.py sends.

const benches = new WeakMap() // parentElement -> its bench, because this script runs again with new data

export default function ({ parentElement, data: [data], setTriggerValue }) {
  if (!benches.has(parentElement)) benches.set(parentElement, startBench(parentElement.querySelector(".bench")))
  benches.get(parentElement)(data, (change) => setTriggerValue("change", change))
}

const MEMORY = 100 // how many changes can be undone
const CELLS = { largest: 44, readable: 22, smallest: 6, highest: 400, sign: 18, gap: 10 } // pixels
const READABLE = 19 // pixels: in smaller cells only colours are shown
const ROOMY = 30 // pixels: in smaller cells there is no room for a count in the corner
const WHOLE_RUN = 14000 // milliseconds that playing may take at normal speed
const [FASTEST, SLOWEST] = [5, 750] // milliseconds of a step
const QUIET = 250 // milliseconds without typing before the server is told

// Returns take(data, send), to be called with everything the server sends.
function startBench(root) {
  const find = (selector) => root.querySelector(selector)
  const all = (selector) => [...root.querySelectorAll(selector)]
  let data = null
  let send = null
  let stages = []
  let numbers = {} // x, w, g: what can be typed into
  let look = { direction: "forward", view: "products" }
  let scene = null
  let at = 0 // how many steps are done
  let timer = null
  let colours = null
  let before = null // the numbers before the cell under the cursor was changed
  const past = []

  // ---- from the server ----
  const take = (newData, newSend) => {
    send = newSend
    const dark = isDark(root)
    const fresh = data?.origin !== newData.origin // else the server only repeats what it was told
    const kept = fresh && (unsure || waiting !== null) ? lostOnTheWay(newData) : {}
    unsure = false
    if (!fresh && colours.dark === dark) {
      data = newData
      return
    }
    if (fresh && data && sameShapes(newData)) remember()
    else if (fresh) past.length = 0
    find(".undo").disabled = !past.length
    hint(null)
    data = newData
    const palette = dark ? data.palette.dark : data.palette.light
    colours = {
      dark,
      signed: divergingColours(palette.diverging),
      counts: colourScale(palette.sequential, 64),
      anchors: palette.diverging,
    }
    if (fresh) {
      numbers = { x: Float64Array.from(data.x), w: data.w && Float64Array.from(data.w), g: Float64Array.from(data.g) }
      look = { direction: data.direction, view: data.view, ...kept.look }
      numbers = { ...numbers, ...kept.numbers }
      stages = data.stages.map(unpackStage)
      stop()
    }
    root.className = `bench ${data.half}`
    root.style.colorScheme = dark ? "dark" : "light" // of the browser's own slider and list
    build()
    seek(scene.timeline.length)
    if (kept.numbers || kept.look) {
      tell()
      tellNow()
    }
  }
  // A change and another setting may reach the server together, and the change may get lost: what the server still has
  // as it was before is kept as it is here. Nothing if all arrived.
  const lostOnTheWay = (newData) => {
    const same = (name) => numbers[name]?.length === newData[name]?.length && String(newData[name]) === String(data[name])
    const changed = (name) => data[name] && String(Array.from(numbers[name])) !== String(data[name])
    const names = ["x", "w", "g"].filter((name) => same(name) && changed(name))
    const looks = Object.keys(look).filter((name) => newData[name] === data[name] && look[name] !== data[name])
    const pick = (keys, from) => (keys.length ? Object.fromEntries(keys.map((key) => [key, from[key]])) : undefined)
    return { numbers: pick(names, numbers), look: pick(looks, look) }
  }
  const sameShapes = (other) => ["x", "w", "g"].every((name) => numbers[name]?.length === other[name]?.length)

  // ---- to the server ----
  let waiting = null
  let unsure = false // whether the server has been told something it has not answered yet
  const tell = () => {
    clearTimeout(waiting)
    waiting = setTimeout(tellNow, QUIET)
  }
  const tellNow = () => {
    if (waiting === null) return
    clearTimeout(waiting)
    waiting = null
    if (!root.isConnected) return
    unsure = true
    const list = (values) => values && Array.from(values)
    send({ origin: data.origin, x: list(numbers.x), w: list(numbers.w), g: list(numbers.g), ...look })
  }

  // ---- what can be typed ----
  const copy = () => ({ x: numbers.x.slice(), w: numbers.w?.slice(), g: numbers.g.slice() })
  const remember = (numbersBefore = copy()) => {
    past.push(numbersBefore)
    if (past.length > MEMORY) past.shift()
    find(".undo").disabled = false
  }
  const typed = (name) => (index, value) => {
    if (numbers[name][index] === value) return
    if (before) remember(before)
    before = null // one entry for all that is typed into a cell at a time
    numbers[name][index] = value
    hint(null)
    recompute()
    tell()
  }
  const hint = (text) => {
    find(".hint").hidden = !text
    find(".hint").textContent = text ?? ""
  }
  const refuse = (text) => {
    if (text.trim()) hint(`“${text}” is not a number from −${data.most} to ${data.most}, so the cell keeps its value.`)
  }
  find(".undo").onclick = () => {
    numbers = past.pop()
    find(".undo").disabled = !past.length
    before = null
    recompute()
    tell()
    tellNow()
  }
  root.onkeydown = (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key !== "z" || !past.length) return
    event.preventDefault()
    root.focus({ preventScroll: true }) // not a cell, whose text would stay, and not the page, which does not listen
    find(".undo").click()
  }
  find(".link").onclick = async () => {
    const button = find(".link")
    const before = location.href
    const told = waiting !== null
    tellNow()
    for (let tries = 0; told && location.href === before && tries < 20; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 100)) // the server writes the address
    }
    try {
      await navigator.clipboard.writeText(location.href)
      button.textContent = "Copied"
      setTimeout(() => (button.textContent = "Copy link"), 1500)
    } catch {
      hint(`Your browser does not let a page copy. The link: ${location.href}`)
    }
  }
  for (const name of ["direction", "view"]) {
    for (const button of all(`.${name} button`)) {
      button.onclick = () => {
        look = { ...look, [name]: button.dataset.value }
        if (name === "direction") {
          stop()
          build()
          seek(scene.timeline.length)
        } else draw()
        tell()
        tellNow()
      }
    }
  }

  // ---- the scene: planes, passes from plane to plane, and the timeline of their steps ----
  // Everything that follows from the numbers; the planes' elements stay.
  const compute = () => {
    const forward = runForward(stages, numbers.x, numbers.w)
    const backward = look.direction === "backward"
    const passes = backward ? stages.map(reversed).reverse() : stages
    const full = [backward ? numbers.g : numbers.x]
    for (const pass of passes) full.push(addUp(pass, full[full.length - 1], numbers.w))
    const kernelPass = passes.findIndex((pass) => pass.tap)
    const read = backward && kernelPass >= 0 ? forward[passes.length - 1 - kernelPass] : null // what the kernel met
    const overlaps = overlapOf(passes)
    const limits = {
      full: full.map(limitOf),
      overlaps: overlaps.map(limitOf),
      kernelGradient: read && limitOf(gradientOfKernel(passes[kernelPass], full[kernelPass], read, numbers.w.length)),
    }
    return { passes, full, overlaps, limits, kernelPass, read, backward, matrix: null }
  }

  // Where each product reads and writes, as places in the planes' frames.
  const locate = (passes, planes) => {
    const places = (plane, cells) =>
      Int32Array.from({ length: cells.length / 3 }, (_, t) => plane.at(cells[3 * t], cells[3 * t + 1], cells[3 * t + 2]))
    return {
      from: passes.map((pass, p) => places(planes[p], pass.source)),
      to: passes.map((pass, p) => places(planes[p + 1], pass.target)),
    }
  }

  const build = () => {
    const computed = compute()
    const { passes, backward, kernelPass } = computed
    const letters = backward ? data.letters.map((letter) => `d${letter}`).reverse() : data.letters
    const titles = backward ? data.letters.map((letter) => `gradient of ${letter}`).reverse() : data.titles
    const editable = (name) => ({ edit: typed(name), begin: () => (before = copy()), refuse, most: data.most })
    // the padding belongs to what is read going forward
    const paddingOf = (i) => (backward ? passes[i - 1] : passes[i])?.padding ?? [0, 0]
    const planes = [...passes.map((pass) => pass.in), passes[passes.length - 1].out].map((shape, i) =>
      makePlane({
        name: i === 0 ? "first" : i === passes.length ? "last" : "between",
        letter: letters[i],
        title: titles[i],
        shape,
        frame: frameAround(shape, paddingOf(i), passes[i]?.source ?? [], passes[i - 1]?.target ?? []),
        result: i > 0,
        ...(i === 0 ? editable(backward ? "g" : "x") : { pick: (place) => pickCell(i - 1, place) }),
      }),
    )
    const kernelPlane = (name, letter, title, extra) => {
      const [outer, inner, rows, columns] = data.kernel
      const shape = [outer * inner, rows, columns]
      return makePlane({ name, letter, title, shape, frame: frameAround(shape, [0, 0]), ...extra })
    }
    const kernel = data.kernel && kernelPlane("kernel", "w", "kernel", editable("w"))
    const row = []
    planes.forEach((plane, i) => {
      row.push(plane)
      if (i === kernelPass) row.push(kernel)
    })
    let met = null
    let kernelGradient = null
    if (backward && kernel) {
      const shape = stages[passes.length - 1 - kernelPass].in
      const own = kernelPass === passes.length - 1 // the kernel met the input itself, which can be typed into
      met = makePlane({
        name: "met",
        letter: data.letters[passes.length - 1 - kernelPass],
        title: own ? "input" : data.titles[passes.length - 1 - kernelPass],
        shape,
        frame: frameAround(shape, paddingOf(kernelPass + 1), passes[kernelPass].target),
        ...(own ? editable("x") : {}),
        newLine: true,
      })
      kernelGradient = kernelPlane("last kernelGradient", "dw", "gradient of w", { result: true })
      row.push(met, kernelGradient)
    }
    const sign = (plane, i) => {
      if (i === 0) return []
      const element = document.createElement("span")
      element.className = plane === met ? "break" : "sign"
      const times = plane === kernel || (plane === kernelGradient && `∗ ${letters[kernelPass]} →`)
      element.textContent = plane === met ? "" : times === true ? "∗" : times || "→"
      return [element]
    }
    find(".planes").replaceChildren(...row.flatMap((plane, i) => [...sign(plane, i), plane.figure]))
    scene = {
      ...computed,
      ...locate(passes, planes),
      planes,
      kernel,
      met,
      kernelGradient,
      row,
      timeline: passes.flatMap((pass, p) => pass.steps.map(([first, end]) => ({ pass: p, first, end }))),
    }
    find(".position").max = scene.timeline.length
    drawStill()
    fit()
  }

  // New numbers in the same planes.
  const recompute = () => {
    const computed = compute()
    Object.assign(scene, computed, locate(computed.passes, scene.planes))
    drawStill()
    seek(at)
  }

  const fit = () => {
    const width = find(".planes").clientWidth
    if (!width || !scene) return
    const cell = fitCell(scene.row, width, CELLS)
    scene.matrix = null // its size, too, follows the width
    root.style.setProperty("--cell", `${cell}px`)
    find(".planes").classList.toggle("small", cell < READABLE)
    find(".planes").classList.toggle("tight", cell < ROOMY)
    for (const plane of scene.row) plane.figure.classList.toggle("narrow", plane.wide * cell < 110)
    markStep(false)
  }
  new ResizeObserver(fit).observe(find(".planes"))

  // ---- time ----
  const inFrame = (plane, values) => {
    const framed = new Float64Array(plane.cells.length)
    const [channels, height, width] = plane.shape
    for (let c = 0, i = 0; c < channels; c++) {
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++, i++) framed[plane.at(c, y, x)] = values[i]
    }
    return framed
  }
  const rewind = () => {
    const empty = (plane) => new Float64Array(plane.cells.length)
    scene.shown = scene.planes.map((plane, p) => (p === 0 ? inFrame(plane, scene.full[0]) : empty(plane)))
    scene.written = scene.planes.map(empty) // by the operation's own weights: the overlap map as it grows
    scene.landed = scene.planes.map(empty) // how many products there were
    scene.collected = numbers.w && new Float64Array(numbers.w.length)
    scene.done = 0
  }
  const doStep = ({ pass, first, end }) => {
    const stage = scene.passes[pass]
    for (let t = first; t < end; t++) {
      const place = scene.to[pass][t]
      const source = stage.from[t]
      scene.shown[pass + 1][place] += product(stage, t, scene.full[pass], numbers.w)
      if (source >= 0) scene.written[pass + 1][place] += stage.weight[t] * scene.overlaps[pass][source]
      if (stage.weight[t] !== 0) scene.landed[pass + 1][place]++
      if (scene.read && stage.tap && stage.to[t] >= 0) {
        scene.collected[stage.tap[t]] += stage.weight[t] * scene.full[pass][source] * scene.read[stage.to[t]]
      }
    }
    scene.done++
  }
  const seek = (step, moving = false) => {
    const target = Math.max(0, Math.min(scene.timeline.length, step))
    if (!scene.shown || !moving || target < scene.done) rewind()
    while (scene.done < target) doStep(scene.timeline[scene.done])
    at = target
    draw()
    markStep(moving)
  }
  const stepTime = () => {
    const base = Math.min(SLOWEST, Math.max(FASTEST, WHOLE_RUN / scene.timeline.length))
    return base / Number(find(".speed").value)
  }
  const glide = (time) => root.style.setProperty("--glide", `${Math.min(260, 0.6 * time)}ms`)
  const stop = () => {
    cancelAnimationFrame(timer)
    timer = null
    glide(0)
    showButtons()
  }
  const play = () => {
    if (at >= scene.timeline.length) seek(0)
    let last = performance.now()
    const frame = (now) => {
      if (!root.isConnected) return stop()
      const due = Math.floor((now - last) / stepTime())
      if (due > 0) {
        last += due * stepTime()
        glide(stepTime())
        seek(at + due, true)
      }
      if (at >= scene.timeline.length) return stop()
      timer = requestAnimationFrame(frame)
    }
    timer = requestAnimationFrame(frame)
    showButtons()
  }
  const showButtons = () => {
    const playing = timer !== null
    find(".play span").textContent = playing ? "Pause" : "Play"
    find(".play path").setAttribute("d", playing ? "M4 3h3v10H4zM9 3h3v10H9z" : "M4 2.5 13 8l-9 5.5z")
  }
  find(".play").onclick = () => (timer === null ? play() : stop())
  const walk = (by) => () => {
    stop()
    glide(200)
    seek(at + by, by > 0)
  }
  find(".back").onclick = walk(-1)
  find(".on").onclick = walk(1)
  find(".position").oninput = (event) => {
    stop()
    seek(Number(event.target.value))
  }
  // To the step that made a cell of a computed plane: of the steps done, else of all.
  const pickCell = (pass, place) => {
    const hits = scene.timeline.flatMap((step, number) => {
      if (step.pass !== pass) return []
      for (let t = step.first; t < step.end; t++) {
        if (scene.to[pass][t] === place && scene.passes[pass].weight[t] !== 0) return [number + 1]
      }
      return []
    })
    if (!hits.length) return
    stop()
    const later = hits.find((step) => step > at) // a further click on a stamped cell goes to its next stamp
    seek(later && hits.includes(at) ? later : hits[0])
  }

  // ---- drawing ----
  const limitOf = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const finished = (pass) => scene.timeline.findLastIndex((step) => step.pass === pass) < at
  const draw = () => {
    const overlap = look.view === "overlap"
    scene.planes.forEach((plane, p) => {
      const counting = overlap && p > 0
      const unwritten = (i) => !scene.landed[p][i] && !plane.cells[i].matches(".outside")
      drawPlane(plane, {
        values: counting ? scene.written[p] : scene.shown[p],
        blank: (i) => p > 0 && unwritten(i) && !finished(p - 1),
        limit: counting ? scene.limits.overlaps[p] : scene.limits.full[p],
        colours: counting ? colours.counts : colours.signed,
        signed: !counting,
        badge: (i) =>
          !counting && p > 0 && !scene.passes[p - 1].gathers && scene.landed[p][i] > 1 ? `${scene.landed[p][i]}×` : null,
      })
    })
    if (scene.kernelGradient) {
      drawPlane(scene.kernelGradient, {
        values: scene.collected,
        limit: scene.limits.kernelGradient,
        colours: colours.signed,
      })
    }
    find(".position").value = at
    find(".step").value = `${at} of ${scene.timeline.length}`
    for (const name of ["direction", "view"]) {
      for (const button of all(`.${name} button`)) button.setAttribute("aria-pressed", button.dataset.value === look[name])
    }
    find(".back").disabled = at === 0
    find(".on").disabled = at === scene.timeline.length
    drawPanel()
  }
  // What no step changes: the planes that are only read, and the words for those who do not see.
  const drawStill = () => {
    const signed = { colours: colours.signed }
    if (scene.kernel) drawPlane(scene.kernel, { values: numbers.w, limit: limitOf(numbers.w), ...signed })
    if (scene.met) drawPlane(scene.met, { values: inFrame(scene.met, scene.read), limit: limitOf(scene.read), ...signed })
    scene.planes.forEach((plane, p) => {
      plane.figure.setAttribute("role", "group")
      plane.figure.setAttribute("aria-label", spoken(plane, scene.full[p]))
    })
  }
  const spoken = (plane, values) => {
    const [, height, width] = plane.shape
    const rows = Array.from({ length: values.length / width }, (_, r) =>
      Array.from(values.subarray(r * width, (r + 1) * width), writeNumber).join(" "),
    )
    return `${plane.letter} ${plane.title}, ${height} by ${width}: ${rows.join("; ")}`
  }
  const markStep = (moving) => {
    const step = scene.timeline[at - 1]
    for (const plane of scene.row) markCells(plane, [])
    if (!step) return
    const places = (list) => [...new Set(list.subarray(step.first, step.end))]
    markCells(scene.planes[step.pass], places(scene.from[step.pass]))
    markCells(scene.planes[step.pass + 1], places(scene.to[step.pass]))
    const { tap } = scene.passes[step.pass]
    if (tap && scene.kernel.parts.length > 1) {
      const area = data.kernel[2] * data.kernel[3]
      const used = new Set(Array.from(tap.subarray(step.first, step.end), (place) => Math.floor(place / area)))
      scene.kernel.parts.forEach((part, i) => part.classList.toggle("idle", !used.has(i)))
    }
    if (scene.met && tap) markCells(scene.met, places(scene.to[step.pass]))
    if (moving) {
      const earlier = scene.passes[step.pass].gathers ? 0 : 1 // a stamp lights up where others were before
      const lit = places(scene.to[step.pass]).filter((place) => scene.landed[step.pass + 1][place] > earlier)
      land(lit.map((place) => scene.planes[step.pass + 1].cells[place]))
    }
  }
  const drawPanel = () => {
    const panel = find(".panel")
    if (look.view === "matrix") drawMatrix(panel, scene, numbers, colours, at)
    else if (look.view === "overlap") drawOverlap(panel, scene, data.periods[look.direction])
    else drawProducts(panel, scene, numbers, at)
  }

  return take
}
