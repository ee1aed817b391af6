// Pictures on canvases, pixel by pixel.

// Paint `pixels` (C, H, W; C is 1 or 3) on a canvas of W x H pixels, `full` being white; beyond that they are cut off.
function paint(canvas, pixels, [channels, height, width], full = 1) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width
    canvas.height = height
  }
  const context = canvas.getContext("2d")
  const image = context.createImageData(width, height)
  const plane = width * height
  const scale = 255 / full
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = scale * pixels[(channels === 1 ? 0 : c * plane) + i]
    image.data[4 * i + 3] = 255
  }
  context.putImageData(image, 0, 0)
}

// Paint places (H, W) in a list of colours.
function paintColours(canvas, places, [height, width], colours) {
  const pixels = new Uint8ClampedArray(3 * places.length)
  places.forEach((place, i) => {
    for (let c = 0; c < 3; c++) pixels[c * places.length + i] = colours[place][c]
  })
  paint(canvas, pixels, [3, height, width], 255)
}

// A scale {text, canvas, text}: its ends in words, and all colours between them.
function drawScale(scale, [low, high], colours) {
  const [first, canvas, last] = scale.children
  first.textContent = low
  last.textContent = high
  paintColours(canvas, Uint8Array.from(colours, (_, i) => i), [1, colours.length], colours)
}

// Mean squared difference of two pictures.
function meanSquaredError(a, b) {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2
  return sum / a.length
}

// packed: {shape: [N, C, H, W], data} as `images_to_json` in pages/ui/engine.py makes it, or null.
// Returns N pictures (C, H, W) in [0, 1].
function unpackExamples(packed, shape) {
  if (!packed) return []
  const bytes = decodeBytes(packed.data)
  const length = size(shape)
  return Array.from({ length: packed.shape[0] }, (_, i) =>
    Float32Array.from(bytes.subarray(i * length, (i + 1) * length), (value) => value / 255),
  )
}

// A button for each picture, with the picture on it; label(i) says what it is, press(i) is what it does.
function pictureButtons(pictures, shape, label, press) {
  return pictures.map((values, i) => {
    const button = pressButton()
    button.setAttribute("aria-label", label(i))
    const canvas = document.createElement("canvas")
    paint(canvas, values, shape)
    button.append(canvas)
    button.onclick = () => press(i)
    return button
  })
}

function pressButton(label = "") {
  const button = document.createElement("button")
  button.type = "button"
  button.textContent = label
  return button
}
