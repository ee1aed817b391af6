// The VAE's bench: a code drawn by hand, as arithmetic, and pictures drawn from the prior. The model runs here; what its
// encoder says of the test pictures is sent. It knows the component's HTML (vae.html) and what `bench` in
// pages/ui/vae/bench.py sends.

const vaes = new WeakMap() // parentElement -> take(data), because this script runs again with new data

export default function ({ parentElement, data: [data] }) {
  if (!vaes.has(parentElement)) vaes.set(parentElement, startVae(parentElement.querySelector(".vae")))
  vaes.get(parentElement)(data)
}

const FARTHEST = 4 // standard deviations a slider goes to
const GAP = 8 // pixels between two pictures
const FRAME = 3
const TALLEST = 132 // pixels a picture may take
const WIDEST_GRID = 440 // pixels

function startVae(root) {
  const find = (selector) => root.querySelector(selector)
  const random = randomNumbers(7)
  const normal = () => gaussian(random)
  const grid = find(".grid")
  let data = null
  let model = null
  let shape = null
  let examples = []
  let means = null // (N, Z), flat
  let logVariances = null
  let example = 3
  let epsilon = [] // of each unit
  let unit = 0 // the one whose arithmetic is written out
  let rows = new Map() // unit -> what is to change in its row
  let draws = [] // codes from N(0, I), one for each picture of the grid
  let temperature = 1
  let frame = 0
  let painting = 0

  const take = (newData) => {
    const before = data
    data = newData
    root.style.colorScheme = isDark(root) ? "dark" : "light"
    const units = data.order.length
    if (before?.digest === data.digest) return
    shape = data.shape
    means = decodeFloats(data.means.data)
    logVariances = decodeFloats(data.log_variances.data)
    if (epsilon.length !== units) {
      drawNoise()
      drawPrior()
    }
    if (before?.examples.data !== data.examples.data) {
      examples = unpackExamples(data.examples, shape)
      example = Math.min(example, examples.length - 1)
      listExamples()
    }
    // another model orders its units otherwise
    unit = data.order[0]
    listUnits()
    root.classList.add("waiting")
    model = null
    whenKept(data.digest, () => data.digest === newData.digest && root.isConnected, (packed) => {
      model = loadModel(packed)
      root.classList.remove("waiting")
      show()
      paintGrid()
    })
    show()
  }

  // ---- what is drawn ----
  const drawNoise = () => {
    epsilon = data.order.map(() => rounded(Math.min(FARTHEST, Math.max(-FARTHEST, normal())), 2))
  }
  const drawPrior = () => {
    draws = Array.from({ length: data.samples }, () => Float32Array.from(data.order, normal))
  }

  // ---- one code ----
  const soon = () => {
    if (!frame) frame = requestAnimationFrame(show)
  }
  const posterior = (index) => {
    const at = example * data.order.length + index
    return { mean: means[at], logVariance: logVariances[at] }
  }
  const codeOf = (index) => {
    const { mean, logVariance } = posterior(index)
    return mean + Math.exp(logVariance / 2) * epsilon[index]
  }
  const klOf = (index) => {
    const { mean, logVariance } = posterior(index)
    return -0.5 * (1 + logVariance - mean ** 2 - Math.exp(logVariance))
  }
  const show = () => {
    cancelAnimationFrame(frame)
    frame = 0
    if (!data) return
    layOut()
    const code = Float32Array.from(epsilon, (_, index) => codeOf(index))
    find(".drawn canvas").dataset.code = Array.from(code).join(" ")
    paint(find(".clean canvas"), examples[example], shape)
    if (model) {
      paint(find(".mean canvas"), model.decode(Float32Array.from(epsilon, (_, index) => posterior(index).mean)), shape)
      paint(find(".drawn canvas"), model.decode(code), shape)
    }
    find(".examples").childNodes.forEach((button, i) => button.setAttribute("aria-pressed", i === example))
    for (const [index, row] of rows) {
      row.slider.value = epsilon[index]
      row.slider.setAttribute("aria-valuetext", signed(epsilon[index], 2))
      row.noise.value = signed(epsilon[index], 2)
      const { code: read, kl } = readable(index)
      row.code.textContent = signed(read, 3)
      row.kl.textContent = signed(kl, 3)
      row.radio.checked = index === unit
      row.line.classList.toggle("chosen", index === unit)
    }
    writeSums()
    if (find(".all").open) listAll()
  }

  // The numbers of one unit as they are read: each is rounded once, and they add up as they stand. What is decoded is exact.
  const readable = (index) => {
    const { mean, logVariance } = posterior(index)
    const [m, l, s2] = [mean, logVariance, Math.exp(logVariance)].map((value) => rounded(value, 3))
    const s = rounded(Math.exp(logVariance / 2), 4)
    const e = epsilon[index]
    const moved = rounded(s * e, 3)
    const square = rounded(m * m, 3)
    const inside = rounded(1 + l - square - s2, 3)
    return { m, l, s2, s, e, moved, square, inside, code: rounded(m + moved, 3), kl: rounded(-inside / 2, 3) }
  }
  const writeSums = () => {
    const { m, l, s2, s, e, moved, square, inside, code, kl } = readable(unit)
    fill(find(".sum"), [
      `Unit ${unit + 1}: `, ["code", "code"], " = ", ["encoder", "mean + exp(log s² / 2)"], " × ", ["epsilon", "ε"], " = ",
      ["encoder", `${signed(m, 3)} + exp(${signed(l, 3)} / 2)`], " × ", ["epsilon", inBrackets(e, 2)], " = ",
      ["encoder", `${signed(m, 3)} + ${s.toFixed(4)}`], " × ", ["epsilon", inBrackets(e, 2)], " = ",
      `${signed(m, 3)} ${plus(moved, 3)} = `, ["code", signed(code, 3)],
    ])
    fill(find(".charge"), [
      ["code", "KL"], " = −½ (1 + ", ["encoder", "log s² − mean² − s²"], ") = −½ (1 ",
      ["encoder", `${plus(l, 3)} ${plus(-square, 3)} ${plus(-s2, 3)}`], `) = −½ × ${inBrackets(inside, 3)} = `,
      ["code", `${signed(kl, 3)} nats`],
    ])
    const all = epsilon.map((_, index) => klOf(index))
    const total = all.reduce((sum, kl) => sum + kl, 0)
    find(".whole").textContent =
      `All ${all.length} units of this picture together: KL ${total.toFixed(2)} nats. ` +
      (all.length > rows.size ? `The ${all.length - rows.size} without a slider are drawn too.` : "")
  }
  const listAll = () => {
    find(".all tbody").replaceChildren(
      ...data.order.map((index) => {
        const { m, l, e, code, kl } = readable(index)
        const row = document.createElement("tr")
        row.classList.toggle("silent", !data.active[index])
        const numbers = [signed(m, 3), signed(l, 3), signed(e, 2), signed(code, 3), signed(kl, 3)]
        row.append(...[String(index + 1), ...numbers].map(cell))
        return row
      }),
    )
  }

  // ---- pictures from the prior, a slice of them between two frames ----
  const paintGrid = () => {
    if (!model) return
    const decoder = model // another run's may be on its way between two slices
    const [channels, height, width] = shape
    const across = Math.ceil(Math.sqrt(draws.length))
    const down = Math.ceil(draws.length / across)
    const [wide, high] = [across * (width + 1) - 1, down * (height + 1) - 1]
    if (grid.width !== wide || grid.height !== high) {
      grid.width = wide
      grid.height = high
    }
    const context = grid.getContext("2d")
    const scratch = document.createElement("canvas")
    const code = new Float32Array(data.order.length)
    const mine = ++painting
    const one = (i) => {
      draws[i].forEach((value, k) => (code[k] = temperature * value))
      paint(scratch, decoder.decode(code), [channels, height, width])
      context.drawImage(scratch, (i % across) * (width + 1), Math.floor(i / across) * (height + 1))
    }
    const done = () => (grid.dataset.drawn = Number(grid.dataset.drawn ?? 0) + 1)
    inSlices(draws.length, one, () => mine === painting && model === decoder && root.isConnected, done)
    find(".temperature + output").value = temperature.toFixed(2)
    grid.setAttribute("aria-label", `${draws.length} pictures decoded from codes drawn from the prior, times ${temperature.toFixed(2)}`)
    const silent = data.active.every((active) => !active)
    find(".told").textContent = silent
      ? "All alike: the decoder has learned to do without the code."
      : temperature === 1
        ? `${draws.length} codes, each unit drawn from N(0, 1), as the KL has asked the encoder to.`
        : temperature < 1
          ? "Nearer to 0 than the prior: more usual pictures, less variety."
          : "Further out than the prior: the decoder is asked about codes it has hardly seen."
  }

  // ---- what a visitor can do ----
  find(".again").onclick = () => {
    drawNoise()
    soon()
  }
  find(".zero").onclick = () => {
    epsilon = epsilon.map(() => 0)
    soon()
  }
  find(".fresh").onclick = () => {
    drawPrior()
    paintGrid()
  }
  find(".temperature").oninput = (event) => {
    temperature = Number(event.target.value)
    paintGrid()
  }
  find(".all").ontoggle = () => soon()

  // ---- parts that depend on the data ----
  const listExamples = () => {
    find(".examples").replaceChildren(
      ...pictureButtons(examples, shape, (i) => `Test picture ${i + 1}`, (i) => {
        example = i
        soon()
      }),
    )
  }
  const listUnits = () => {
    rows = new Map()
    const lines = data.order.slice(0, data.sliders).map((index) => {
      const line = document.createElement("tr")
      line.classList.toggle("silent", !data.active[index])
      const radio = input({ type: "radio", name: "unit" })
      const label = document.createElement("label")
      label.title = "Write its arithmetic out"
      label.append(radio, `${index + 1}`)
      const slider = input({ type: "range", min: -FARTHEST, max: FARTHEST, step: 0.01 })
      slider.setAttribute("aria-label", `Noise of unit ${index + 1}`)
      const noise = document.createElement("output")
      const both = document.createElement("div")
      both.className = "noise"
      both.append(slider, noise)
      const [code, kl] = [cell(""), cell("")]
      line.append(cell(label), cell(both), code, kl)
      const choose = () => {
        unit = index
        soon()
      }
      radio.onchange = choose
      slider.oninput = () => {
        epsilon[index] = Number(slider.value)
        choose()
      }
      rows.set(index, { line, radio, slider, noise, code, kl })
      return line
    })
    find(".units tbody").replaceChildren(...lines)
  }
  const layOut = () => {
    const [, height, width] = shape
    const room = find(".hand").clientWidth
    const zoom = Math.floor(((room - 2 * GAP) / 3 - 2 * FRAME) / width)
    root.style.setProperty("--zoom", Math.max(1, Math.min(zoom, Math.floor(TALLEST / height))))
    root.style.setProperty("--columns", width)
    root.style.setProperty("--rows", height)
    const across = Math.ceil(Math.sqrt(data.samples)) * (width + 1) - 1
    const widest = Math.min(WIDEST_GRID, root.clientWidth - 2 * FRAME)
    grid.style.width = `${Math.max(1, Math.floor(widest / across)) * across}px`
    root.style.setProperty("--side", grid.style.width)
  }
  new ResizeObserver(soon).observe(root)
  return take
}

function rounded(value, digits) {
  return Number(value.toFixed(digits)) + 0 // never -0
}

// With a true minus sign.
function signed(value, digits) {
  return rounded(value, digits).toFixed(digits).replace("-", "−")
}

// A number as it follows another in a sum.
function plus(value, digits) {
  const amount = rounded(value, digits)
  return `${amount < 0 ? "−" : "+"} ${Math.abs(amount).toFixed(digits)}`
}

function inBrackets(value, digits) {
  return value < 0 ? `(${signed(value, digits)})` : signed(value, digits)
}

// A line of words, some of them [class, words].
function fill(line, parts) {
  line.replaceChildren(
    ...parts.map((part) => {
      if (typeof part === "string") return part
      const made = document.createElement("span")
      made.className = part[0]
      made.textContent = part[1]
      return made
    }),
  )
}

function cell(content) {
  const made = document.createElement("td")
  made.append(content)
  return made
}

function input(attributes) {
  return Object.assign(document.createElement("input"), attributes)
}
