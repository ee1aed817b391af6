// Corruptions, as aecore/noise.py computes them, from the same draws. It knows nothing of models or pictures.
//
// name -> (pixels (C, H, W), [C, H, W], strength, draws by name) => corrupted pixels, not cut off.

const CORRUPTIONS = {
  gaussian: (x, shape, strength, { normal }) => x.map((value, i) => value + strength * normal[i]),
  uniform: (x, shape, strength, { uniform }) => x.map((value, i) => value + strength * (2 * uniform[i] - 1)),
  speckle: (x, shape, strength, { normal }) => x.map((value, i) => value + strength * value * normal[i]),
  poisson: (x, shape, strength, { uniform }) =>
    x.map((value, i) => countPhotons(Math.max(0, value) / strength ** 2, uniform[i]) * strength ** 2),
  salt_and_pepper: (x, shape, strength, { hit, salt }) =>
    byPixel(x, shape, (value, at) => (hit[at] < strength ? (salt[at] < 0.5 ? 1 : 0) : value)),
  masking: (x, shape, strength, { hit }) => byPixel(x, shape, (value, at) => (hit[at] < strength ? 0 : value)),
  occlusion: occlude,
  gaussian_blur: blur,
}

// draws: {field: {shape, data}} as `draws` in pages/ui/denoising/bench.py sends them.
function unpackDraws(packed) {
  return Object.fromEntries(Object.entries(packed).map(([name, { data }]) => [name, decodeFloats(data)]))
}

function corruptPixels(pixels, shape, corruption, strength, draws, clip) {
  const noisy = CORRUPTIONS[corruption](pixels, shape, strength, draws)
  return clip ? noisy.map(cutOff) : noisy
}

function cutOff(value) {
  return Math.min(1, Math.max(0, value))
}

// change(value, index of the pixel, whatever its channel)
function byPixel(x, [, height, width], change) {
  return x.map((value, i) => change(value, i % (height * width)))
}

// Sequential search of the Poisson distribution function for u.
function countPhotons(rate, u) {
  let photons = 0
  let share = Math.exp(-rate)
  for (let left = u - share; left > 0; left -= share) share *= rate / ++photons
  return photons
}

function occlude(x, shape, strength, draws) {
  const [, height, width] = shape
  const side = Math.floor(strength * Math.min(height, width) + 0.5)
  const top = Math.floor(draws.top[0] * (height - side + 1))
  const left = Math.floor(draws.left[0] * (width - side + 1))
  const inside = (place, from) => place >= from && place < from + side
  return byPixel(x, shape, (value, at) => (inside(Math.floor(at / width), top) && inside(at % width, left) ? 0 : value))
}

function blur(x, [channels, height, width], strength) {
  const reach = Math.floor(4 * strength + 0.5)
  const weights = []
  for (let k = -reach; k <= reach; k++) weights.push(Math.exp(-(k * k) / (2 * Math.max(strength, 1e-3) ** 2)))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  const along = (values, count, step, at, line) => {
    let mean = 0
    for (let k = -reach; k <= reach; k++) {
      mean += (weights[k + reach] / sum) * values[line + step * Math.min(count - 1, Math.max(0, at + k))]
    }
    return mean
  }
  const rows = x.map((_, i) => along(x, width, 1, i % width, i - (i % width)))
  const plane = height * width
  return rows.map((_, i) => {
    const row = Math.floor((i % plane) / width)
    return along(rows, height, width, row, i - row * width)
  })
}
