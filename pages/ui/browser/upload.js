// Picture files become pixels of the size a model takes, in the browser.

const LARGEST_FILE = 64e6 // bytes
const LARGEST_SIDE = 2048 // pixels of the first, coarse drawing of a large picture
const LEAST_CONTRAST = 0.02 // of the whole range
const LUMA = [0.299, 0.587, 0.114] // ITU-R BT.601

// Returns the middle of the picture as (C, H, W) in [0, 1]; throws an Error whose message is for people.
async function readPicture(file, [channels, height, width]) {
  if (file.size > LARGEST_FILE) {
    throw new Error(`“${file.name}” has ${Math.round(file.size / 1e6)} MB; up to ${LARGEST_FILE / 1e6} MB can be read.`)
  }
  let bitmap
  try {
    bitmap = await createImageBitmap(file)
  } catch {
    throw new Error(`“${file.name}” is no picture this browser can read. Take a PNG, JPEG, WebP or GIF file.`)
  }
  const scale = Math.min(bitmap.width / width, bitmap.height / height)
  const [cutW, cutH] = [scale * width, scale * height]
  // halved again and again, every pixel counts; shrunk at once, most would be left out
  let side = Math.min(LARGEST_SIDE, 2 ** Math.ceil(Math.log2(Math.max(1, scale * width))))
  let canvas = drawn(bitmap, [(bitmap.width - cutW) / 2, (bitmap.height - cutH) / 2, cutW, cutH], side, (side * height) / width)
  bitmap.close()
  for (; side / 2 >= width; side /= 2) canvas = drawn(canvas, [0, 0, canvas.width, canvas.height], side / 2, (side / 2) * (height / width))
  canvas = drawn(canvas, [0, 0, canvas.width, canvas.height], width, height)
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height)
  const plane = height * width
  const luma = (at) => (LUMA[0] * data[at] + LUMA[1] * data[at + 1] + LUMA[2] * data[at + 2]) / 255
  // beneath what is transparent lies what lets it be seen: black beneath light strokes, white beneath dark ones
  let [light, opaque] = [0, 0]
  for (let at = 0; at < 4 * plane; at += 4) {
    light += luma(at) * data[at + 3]
    opaque += data[at + 3]
  }
  const ground = light / opaque > 0.5 && opaque < 0.99 * 255 * plane ? 0 : 1
  const pixels = Float32Array.from({ length: channels * plane }, (_, i) => {
    const at = 4 * (i % plane)
    const value = channels > 1 ? data[at + Math.floor(i / plane)] / 255 : luma(at)
    return ground + (data[at + 3] / 255) * (value - ground)
  })
  if (Math.max(...pixels) - Math.min(...pixels) < LEAST_CONTRAST) {
    throw new Error(`At ${width}×${height} pixels nothing is left to see of “${file.name}”. Take one with more contrast.`)
  }
  return pixels
}

function drawn(picture, [left, top, cutW, cutH], width, height) {
  const canvas = document.createElement("canvas")
  canvas.width = Math.max(1, Math.round(width))
  canvas.height = Math.max(1, Math.round(height))
  const context = canvas.getContext("2d")
  context.imageSmoothingQuality = "high"
  context.drawImage(picture, left, top, cutW, cutH, 0, 0, canvas.width, canvas.height)
  return canvas
}

// Mean of the outermost pixels.
function borderMean(pixels, [channels, height, width]) {
  let [sum, count] = [0, 0]
  pixels.forEach((value, i) => {
    const [row, column] = [Math.floor(i / width) % height, i % width]
    if (row % (height - 1) === 0 || column % (width - 1) === 0) {
      sum += value
      count++
    }
  })
  return sum / count
}

// Light and dark exchanged.
function inverted(pixels) {
  return pixels.map((value) => 1 - value)
}

// The darkest value becomes 0, the lightest 1.
function stretched(pixels) {
  const [low, high] = [Math.min(...pixels), Math.max(...pixels)]
  return pixels.map((value) => (value - low) / (high - low))
}
