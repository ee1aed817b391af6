// The engine: runs an exported autoencoder in the browser, one image at a time.
//
// A model is a flat list of layers with the shapes of what comes in and goes out, and its weights by name. Each
// operation is prepared once (buffers are allocated then) and afterwards only computes, so that a small decoder takes
// about a millisecond and nothing is left for the garbage collector. Arrays a step returns are reused by its next
// call: copy what must last. The engine knows nothing of pages, pointers or pictures on a screen.

// name -> (layer, tensor, switches) => (input: Float32Array) => output: Float32Array; `tensor(role)` is {shape, data} or
// null. `switches` is where a pooling notes the places of its largest values for the unpooling that belongs to it.
const OPERATIONS = {
  flatten: sameValues,
  unflatten: sameValues,
  linear,
  conv2d,
  conv_transpose2d: convTranspose2d,
  max_pool2d: maxPool2d,
  nearest_conv2d: nearestConv2d,
  upsample_bilinear: upsampleBilinear,
  bed_of_nails: bedOfNails,
  max_unpool2d: maxUnpool2d,
  pixel_shuffle: pixelShuffle,
  first_half: firstHalf,
  codewords,
  crop,
  relu: elementwise((v) => (v > 0 ? v : 0)),
  silu: elementwise((v) => v / (1 + Math.exp(-v))),
  tanh: elementwise(Math.tanh),
  sigmoid: elementwise((v) => 1 / (1 + Math.exp(-v))),
}

// packed: what `browser_model` in pages/ui/engine.py makes.
// Returns {imageShape, latentDim, encode(pixels) -> code, decode(code) -> pixels, reconstruct(pixels) -> pixels}; pixels
// are C, H, W in [0, 1]. Where there is max-unpooling, `reconstruct` hands the encoder's switches on; a code alone has none.
function loadModel(packed) {
  const tensors = Object.fromEntries(
    Object.entries(packed.weights).map(([name, { shape, data }]) => [name, { shape, data: decodeFloats(data) }]),
  )
  const switches = [] // of the encoder's poolings, the last one on top
  const switchesOf = (layer) => {
    if (layer.op === "max_pool2d") switches.push({ known: false, places: new Int32Array(size(layer.out)) })
    return layer.op === "max_pool2d" ? switches.at(-1) : layer.op === "max_unpool2d" ? switches.pop() : null
  }
  const pairs = []
  const half = (part, from, to) => {
    const layers = packed.layers.filter((layer) => layer.part === part)
    const steps = layers.map((layer) => {
      const pair = switchesOf(layer)
      if (pair) pairs.push(pair)
      return prepare(layer, tensors, pair)
    })
    let shape = from
    for (const layer of layers) {
      if (String(layer.in) !== String(shape)) throw new Error(`${layer.op} expects ${layer.in}, but gets ${shape}`)
      shape = layer.out
    }
    if (String(shape) !== String(to)) throw new Error(`the ${part} gives ${shape}, not ${to}`)
    return (input) => steps.reduce((values, step) => step(values), input)
  }
  const encode = half("encoder", packed.image_shape, [packed.latent_dim])
  const decode = half("decoder", [packed.latent_dim], packed.image_shape)
  const knowing = (known, code) => {
    for (const pair of pairs) pair.known = known
    return decode(code)
  }
  return {
    imageShape: packed.image_shape,
    latentDim: packed.latent_dim,
    encode,
    decode: (code) => knowing(false, code),
    reconstruct: (pixels) => knowing(true, encode(pixels)),
  }
}

function prepare(layer, tensors, switches = null) {
  const operation = OPERATIONS[layer.op]
  if (!operation) throw new Error(`there is no operation "${layer.op}" here, only ${Object.keys(OPERATIONS).join(", ")}`)
  return operation(layer, (role) => {
    const name = layer.weights[role]
    if (name === undefined) return null
    if (!tensors[name]) throw new Error(`${layer.op} needs the weights "${name}", which are not in the file`)
    return tensors[name]
  }, switches)
}

function decodeBytes(base64) {
  const text = atob(base64)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

function decodeFloats(base64) {
  return new Float32Array(decodeBytes(base64).buffer)
}

function size(shape) {
  return shape.reduce((product, side) => product * side, 1)
}

function sameValues() {
  return (input) => input // the order in memory does not change, only its reading
}

function elementwise(f) {
  return (layer) => {
    const output = new Float32Array(size(layer.out))
    return (input) => {
      for (let i = 0; i < output.length; i++) output[i] = f(input[i])
      return output
    }
  }
}

// weight (out, in)
function linear(layer, tensor) {
  const weight = tensor("weight").data
  const bias = tensor("bias")?.data
  const inputs = size(layer.in)
  const output = new Float32Array(size(layer.out))
  return (input) => {
    for (let o = 0, w = 0; o < output.length; o++) {
      let sum = bias ? bias[o] : 0
      for (let i = 0; i < inputs; i++, w++) sum += weight[w] * input[i]
      output[o] = sum
    }
    return output
  }
}

// For every offset k of a kernel the positions p in [0, count) for which p * stride - padding + k lies in [0, limit),
// as flat pairs first, end. Looping over these alone does away with tests for the border inside the loops.
function spans(kernel, count, stride, padding, limit) {
  const pairs = new Int32Array(2 * kernel)
  for (let k = 0; k < kernel; k++) {
    pairs[2 * k] = Math.max(0, Math.ceil((padding - k) / stride))
    pairs[2 * k + 1] = Math.min(count, Math.floor((limit - 1 + padding - k) / stride) + 1)
  }
  return pairs
}

// weight (out, in, k, k). Every kernel value adds a shifted, scaled copy of an input plane to an output plane.
function conv2d(layer, tensor) {
  const { shape, data: weight } = tensor("weight")
  const bias = tensor("bias")?.data
  const { stride, padding } = layer.args
  const [inputs, inH, inW] = layer.in
  const [outputs, outH, outW] = layer.out
  const [, , kernelH, kernelW] = shape
  const output = new Float32Array(size(layer.out))
  const rows = spans(kernelH, outH, stride, padding, inH)
  const columns = spans(kernelW, outW, stride, padding, inW)
  return (input) => {
    let w = 0
    for (let o = 0; o < outputs; o++) {
      const outPlane = o * outH * outW
      output.fill(bias ? bias[o] : 0, outPlane, outPlane + outH * outW)
      for (let i = 0; i < inputs; i++) {
        const inPlane = i * inH * inW
        for (let ky = 0; ky < kernelH; ky++) {
          const top = rows[2 * ky]
          const bottom = rows[2 * ky + 1]
          for (let kx = 0; kx < kernelW; kx++, w++) {
            const left = columns[2 * kx]
            const right = columns[2 * kx + 1]
            const scale = weight[w]
            for (let y = top; y < bottom; y++) {
              const to = outPlane + y * outW
              const from = inPlane + (y * stride - padding + ky) * inW - padding + kx
              for (let x = left; x < right; x++) output[to + x] += scale * input[from + x * stride]
            }
          }
        }
      }
    }
    return output
  }
}

// weight (in, out, k, k). The same shifts the other way round: every input value stamps a scaled kernel.
function convTranspose2d(layer, tensor) {
  const { shape, data: weight } = tensor("weight")
  const bias = tensor("bias")?.data
  const { stride, padding } = layer.args // output_padding is already in the shape of the output
  const [inputs, inH, inW] = layer.in
  const [outputs, outH, outW] = layer.out
  const [, , kernelH, kernelW] = shape
  const output = new Float32Array(size(layer.out))
  const rows = spans(kernelH, inH, stride, padding, outH)
  const columns = spans(kernelW, inW, stride, padding, outW)
  return (input) => {
    for (let o = 0; o < outputs; o++) output.fill(bias ? bias[o] : 0, o * outH * outW, (o + 1) * outH * outW)
    let w = 0
    for (let i = 0; i < inputs; i++) {
      const inPlane = i * inH * inW
      for (let o = 0; o < outputs; o++) {
        const outPlane = o * outH * outW
        for (let ky = 0; ky < kernelH; ky++) {
          const top = rows[2 * ky]
          const bottom = rows[2 * ky + 1]
          for (let kx = 0; kx < kernelW; kx++, w++) {
            const left = columns[2 * kx]
            const right = columns[2 * kx + 1]
            const scale = weight[w]
            for (let y = top; y < bottom; y++) {
              const from = inPlane + y * inW
              const to = outPlane + (y * stride - padding + ky) * outW - padding + kx
              for (let x = left; x < right; x++) output[to + x * stride] += scale * input[from + x]
            }
          }
        }
      }
    }
    return output
  }
}

// Without padding. In ceil mode the last windows hang over the edge and take what is there. The switches are places in a
// plane of exactly twice the pooled size, as unpooling wants them.
function maxPool2d(layer, tensor, switches) {
  const { kernel, stride } = layer.args
  const [channels, inH, inW] = layer.in
  const [, outH, outW] = layer.out
  const output = new Float32Array(size(layer.out))
  return (input) => {
    for (let c = 0, o = 0; c < channels; c++) {
      for (let y = 0; y < outH; y++) {
        const bottom = Math.min(y * stride + kernel, inH)
        for (let x = 0; x < outW; x++, o++) {
          const right = Math.min(x * stride + kernel, inW)
          let most = -Infinity
          let place = 0
          for (let iy = y * stride; iy < bottom; iy++) {
            for (let ix = x * stride, i = (c * inH + iy) * inW + ix; ix < right; ix++, i++) {
              if (input[i] > most) {
                most = input[i]
                place = (c * 2 * outH + iy) * 2 * outW + ix
              }
            }
          }
          output[o] = most
          if (switches) switches.places[o] = place
        }
      }
    }
    return output
  }
}

// weight (out, in, 3, 3). Every pixel doubled, then convolved: the taps that meet the same pixel are added up once,
// which leaves a transposed convolution with a 4x4 kernel (see aecore/models/nearest_conv.py).
function nearestConv2d(layer, tensor) {
  const { shape, data } = tensor("weight")
  const [outputs, inputs] = shape
  const folded = new Float32Array(inputs * outputs * 16)
  for (let o = 0, w = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let ky = 2; ky >= 0; ky--) {
        for (let kx = 2; kx >= 0; kx--, w++) {
          for (const [y, x] of [[ky, kx], [ky, kx + 1], [ky + 1, kx], [ky + 1, kx + 1]]) {
            folded[((i * outputs + o) * 4 + y) * 4 + x] += data[w]
          }
        }
      }
    }
  }
  const weights = { shape: [inputs, outputs, 4, 4], data: folded }
  const transposed = { ...layer, args: { stride: 2, padding: 1 } }
  return convTranspose2d(transposed, (role) => (role === "weight" ? weights : tensor(role)))
}

// Lines between the pixels, whose corners are aligned: output pixel j lies at (j + 1/2) / factor - 1/2.
function upsampleBilinear(layer) {
  const [channels, inH, inW] = layer.in
  const [, outH, outW] = layer.out
  const between = (count, limit) =>
    Array.from({ length: count }, (_, j) => {
      const place = Math.max(0, (j + 0.5) / layer.args.factor - 0.5)
      const low = Math.min(Math.floor(place), limit - 1)
      return [low, Math.min(low + 1, limit - 1), place - low]
    })
  const rows = between(outH, inH)
  const columns = between(outW, inW)
  const output = new Float32Array(size(layer.out))
  return (input) => {
    for (let c = 0, o = 0; c < channels; c++) {
      for (const [top, bottom, down] of rows) {
        const above = (c * inH + top) * inW
        const below = (c * inH + bottom) * inW
        for (const [left, right, across] of columns) {
          const upper = input[above + left] + across * (input[above + right] - input[above + left])
          const lower = input[below + left] + across * (input[below + right] - input[below + left])
          output[o++] = upper + down * (lower - upper)
        }
      }
    }
    return output
  }
}

// Every value goes back to where its pooling found it; as on a bed of nails while that is not known.
function maxUnpool2d(layer, tensor, switches) {
  const nails = bedOfNails(layer)
  const output = new Float32Array(size(layer.out))
  return (input) => {
    if (!switches?.known) return nails(input)
    output.fill(0)
    for (let i = 0; i < switches.places.length; i++) output[switches.places[i]] = input[i]
    return output
  }
}

// Every value goes to the top left of a 2x2 block of zeros.
function bedOfNails(layer) {
  return scatter(layer, ([c, y, x]) => [c, 2 * y, 2 * x])
}

// The channels that belong together are laid out as blocks of factor x factor.
function pixelShuffle(layer) {
  const { factor } = layer.args
  const place = ([c, y, x]) => {
    const inBlock = c % (factor * factor)
    const row = y * factor + Math.floor(inBlock / factor)
    return [Math.floor(c / (factor * factor)), row, x * factor + (inBlock % factor)]
  }
  return scatter(layer, place)
}

// Every input value goes to one place of the output, zeros elsewhere; which place, is worked out once.
function scatter(layer, place) {
  const [channels, inH, inW] = layer.in
  const [, outH, outW] = layer.out
  const output = new Float32Array(size(layer.out))
  const to = new Int32Array(size(layer.in))
  for (let c = 0, i = 0; c < channels; c++) {
    for (let y = 0; y < inH; y++) {
      for (let x = 0; x < inW; x++, i++) {
        const [channel, row, column] = place([c, y, x])
        to[i] = (channel * outH + row) * outW + column
      }
    }
  }
  return (input) => {
    for (let i = 0; i < to.length; i++) output[to[i]] = input[i]
    return output
  }
}

// The top left part.
function crop(layer) {
  const [, inH, inW] = layer.in
  const [channels, outH, outW] = layer.out
  const output = new Float32Array(size(layer.out))
  return (input) => {
    for (let c = 0, o = 0; c < channels; c++) {
      for (let y = 0; y < outH; y++) {
        const from = (c * inH + y) * inW
        for (let x = 0; x < outW; x++, o++) output[o] = input[from + x]
      }
    }
    return output
  }
}

// Of means and log-variances, the means.
function firstHalf(layer) {
  const count = size(layer.out)
  return (input) => input.subarray(0, count)
}

// codebook (parts, words, size). Each part of the code is replaced by the nearest word of its own list.
function codewords(layer, tensor) {
  const { shape, data: codebook } = tensor("codebook")
  const [parts, words, length] = shape
  const output = new Float32Array(size(layer.out))
  return (input) => {
    for (let part = 0; part < parts; part++) {
      const from = part * length
      const count = Math.min(length, output.length - from) // the last part may be shorter
      let nearest = 0
      let least = Infinity
      for (let word = 0; word < words; word++) {
        const at = (part * words + word) * length
        let distance = 0
        for (let i = 0; i < count; i++) distance += (input[from + i] - codebook[at + i]) ** 2
        if (distance < least) {
          least = distance
          nearest = at
        }
      }
      for (let i = 0; i < count; i++) output[from + i] = codebook[nearest + i]
    }
    return output
  }
}
