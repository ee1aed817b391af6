// The toy of the home page: the diagram of an autoencoder that runs. Everything happens here, nothing is sent to the
// server. It knows the page's HTML (toy.html) and what `toy` in pages/ui/toy.py sends.

const toys = new WeakMap() // parentElement -> what runs there, because this script runs again when the theme changes

export default function ({ parentElement, data: [data] }) {
  const known = toys.get(parentElement)
  if (known?.version === data.version) return
  toys.set(parentElement, { version: data.version })
  const root = parentElement.querySelector(".toy")
  try {
    startToy(root, data)
  } catch (error) {
    root.textContent = `This model cannot run in the browser: ${error.message}. Make it again with "make weights".`
  }
}

const MEMORY = 50 // how many strokes can be undone

const HINTS = {
  start: "Draw on the digit, or pull an amber bar up or down: the pictures follow.",
  blank: "Draw a digit in the grey frame, large and in the middle, like the examples.",
  drawn: "A digit it can draw again; anything else is bent towards the digits it has learnt from.",
  code: "The thin marks show the encoder's code. The decoder draws whatever the bars now say.",
  between: "The bars stand at the mean of two codes. Switch the model: which one still draws a digit?",
  letter: "It has never seen a letter. What comes out is what a code for digits can say of it.",
}

function startToy(root, data) {
  const find = (selector) => root.querySelector(selector)
  const models = data.models.map((packed) => ({ packed, ...loadModel(packed) }))
  const shape = models[0].imageShape
  const examples = unpackExamples(data.examples, shape)
  for (const model of models) model.range = codeRange(model, examples)

  const pixels = new Float32Array(size(shape)) // the target
  let model = models[0]
  let code = new Float32Array(model.latentDim) // what the decoder gets
  let encoded = code.slice() // what the encoder gave
  let drawBars = null
  let pointed = null // the bar under attention
  let said = null // which hint stands below the diagram
  let example = null // index of the example on show, or null once it was drawn upon
  const past = []

  // ---- from the target to the code, from the code to the reconstruction ----
  const encode = () => {
    encoded = model.encode(pixels).slice()
    code = encoded.slice()
  }
  const show = () => {
    const reconstruction = model.decode(code)
    const mse = meanSquaredError(reconstruction, pixels)
    paint(find(".target canvas"), pixels, shape)
    paint(find(".reconstruction canvas"), reconstruction, shape)
    drawBars(code, encoded, model.range)
    find(".mse").value = mse.toPrecision(3)
    find(".psnr output").value = mse > 0 ? (-10 * Math.log10(mse)).toPrecision(3) : "∞"
    find(".reset").disabled = code.every((value, i) => value === encoded[i])
    find(".undo").disabled = past.length === 0
    find(".blank").hidden = pixels.some((value) => value > 0)
    find(".examples").childNodes.forEach((button, i) => button.setAttribute("aria-pressed", i === example))
    tellCode()
  }
  const tellCode = () => {
    find(".code output").value =
      pointed === null ? `${code.length} numbers` : `number ${pointed + 1}: ${code[pointed].toPrecision(3)}`
  }
  const tell = (name) => {
    if (said !== name) find(".hint").textContent = HINTS[name]
    said = name
  }

  // ---- what a visitor can do ----
  const remember = () => {
    past.push({ pixels: pixels.slice(), example })
    if (past.length > MEMORY) past.shift()
  }
  const setTarget = (values, index = null) => {
    pixels.set(values)
    example = index
    encode()
    show()
  }
  const pick = (index) => {
    remember()
    setTarget(examples[index], index)
    tell("start")
  }
  const drawLine = (...line) => {
    stroke(pixels, shape, data.pen_width, ...line)
    setTarget(pixels)
    tell("drawn")
  }
  attachPen(find(".target canvas"), find(".pen"), { start: remember, line: drawLine })
  find(".clear").onclick = () => {
    remember()
    setTarget(new Float32Array(pixels.length))
    tell("blank")
  }
  find(".undo").onclick = () => {
    const before = past.pop()
    setTarget(before.pixels, before.example)
    tell("start")
  }
  find(".reset").onclick = () => {
    code = encoded.slice()
    show()
    tell("start")
  }
  const setCode = (index, value) => {
    code[index] = value
    show()
    tell("code")
  }
  const useModel = (chosen) => {
    model = chosen
    drawBars = makeBars(find(".bars"), model.latentDim, {
      change: setCode,
      restore: (index) => setCode(index, encoded[index]),
      point: (index) => {
        pointed = index
        tellCode()
      },
    })
    const values = size(shape)
    find(".encoder small").textContent = `${values} → ${model.latentDim}`
    find(".decoder small").textContent = `${model.latentDim} → ${values}`
    find(".models").childNodes.forEach((button, i) => button.setAttribute("aria-pressed", models[i] === model))
    encode()
  }

  // ---- the two suggestions ----
  const pair = [3, 8].map((index) => index % examples.length)
  const mix = () => {
    const second = model.encode(examples[pair[1]])
    code = encoded.map((value, i) => (value + second[i]) / 2)
  }
  find(".between").onclick = () => {
    pick(pair[0])
    mix()
    show()
    tell("between")
  }
  find(".letter").onclick = () => {
    remember()
    pixels.fill(0)
    const [, height, width] = shape
    for (const [x0, y0, x1, y1] of LETTER) {
      stroke(pixels, shape, data.pen_width, x0 * width, y0 * height, x1 * width, y1 * height)
    }
    setTarget(pixels)
    tell("letter")
  }

  // ---- buttons that depend on the data ----
  find(".models").replaceChildren(
    ...models.map((candidate) => {
      const button = pressButton(candidate.packed.label)
      button.onclick = () => {
        useModel(candidate)
        if (said === "between") mix() // to compare what the two models draw half-way
        show()
      }
      return button
    }),
  )
  find(".models").hidden = models.length < 2
  find(".examples").replaceChildren(
    ...pictureButtons(examples, shape, (i) => `Example ${i + 1} of ${examples.length}`, pick),
  )
  find(".between").hidden = examples.length < 2
  find(".target canvas").setAttribute(
    "aria-label",
    `Target, ${shape[2]} by ${shape[1]} pixels. Draw with the pointer; or move the pen with the arrow keys and put it down or lift it with space.`,
  )
  root.style.setProperty("--columns", shape[2])
  root.style.setProperty("--rows", shape[1])

  useModel(models[0])
  setTarget(examples[data.first] ?? pixels, examples.length ? data.first : null)
  tell(examples.length ? "start" : "blank")
}

// The letter A, as lines in a unit square.
const LETTER = [
  [0.28, 0.8, 0.5, 0.2],
  [0.5, 0.2, 0.72, 0.8],
  [0.37, 0.58, 0.63, 0.58],
]

// As far as the codes of the examples reach, and a little further.
function codeRange(model, examples) {
  let most = 0
  for (const pixels of examples) for (const value of model.encode(pixels)) most = Math.max(most, Math.abs(value))
  return most > 0 ? 1.25 * most : 3
}
