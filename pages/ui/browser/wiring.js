// Operations as lists of products, as `Stage` in aecore/ops/trace.py has them: the same list gives the result, both
// gradients, the overlaps and the matrix. Needs engine.js for `decodeBytes` and `size`. It knows nothing of how any of
// this is drawn.
//
// Cells are (channel, row, column); rows and columns outside a plane are padding when read, cropped when written.

// packed: what `pack_stage` in pages/ui/operations/bench.py makes.
function unpackStage(packed) {
  const cells = (text) => new Int8Array(decodeBytes(text).buffer)
  const stage = {
    ...packed,
    source: cells(packed.source),
    target: cells(packed.target),
    tap: packed.tap && flatCells(cells(packed.tap), packed.kernel),
    weight: packed.weight
      ? new Float64Array(decodeBytes(packed.weight).buffer)
      : new Float64Array(packed.count).fill(1),
  }
  stage.from = flatCells(stage.source, stage.in)
  stage.to = flatCells(stage.target, stage.out)
  stage.steps = stepsOf(stage)
  return stage
}

// Cells one after the other -> their places in an array of this shape, -1 for those outside.
function flatCells(cells, shape) {
  const flat = new Int32Array(cells.length / shape.length)
  for (let t = 0, i = 0; t < flat.length; t++) {
    for (let d = 0, inside = true; d < shape.length; d++, i++) {
      inside &&= cells[i] >= 0 && cells[i] < shape[d]
      flat[t] = inside ? flat[t] * shape[d] + cells[i] : -1
    }
  }
  return flat
}

// Products of a step follow each other: [first, end] of each step.
function stepsOf(stage) {
  const owner = stage.gathers ? stage.to : stage.from
  const steps = []
  for (let t = 0; t < stage.count; t++) {
    if (t === 0 || owner[t] !== owner[t - 1]) steps.push([t, t])
    steps[steps.length - 1][1] = t + 1
  }
  return steps
}

// The same products the other way round: from the gradient of the output to that of the input.
function reversed(stage) {
  return {
    ...stage,
    in: stage.out,
    out: stage.in,
    source: stage.target,
    target: stage.source,
    from: stage.to,
    to: stage.from,
    gathers: !stage.gathers,
  }
}

function product(stage, t, values, kernel) {
  const value = stage.from[t] < 0 ? 0 : values[stage.from[t]]
  return stage.weight[t] * value * (stage.tap ? kernel[stage.tap[t]] : 1)
}

function addUp(stage, values, kernel) {
  const result = new Float64Array(size(stage.out))
  for (let t = 0; t < stage.count; t++) {
    if (stage.to[t] >= 0) result[stage.to[t]] += product(stage, t, values, kernel)
  }
  return result
}

// Gradient of the kernel: `values` are the gradients that pass backward through a reversed stage, `met` what the kernel
// met going forward.
function gradientOfKernel(stage, values, met, length) {
  const gradient = new Float64Array(length)
  for (let t = 0; t < stage.count; t++) {
    if (stage.to[t] >= 0) gradient[stage.tap[t]] += stage.weight[t] * values[stage.from[t]] * met[stage.to[t]]
  }
  return gradient
}

// Values of all planes from the input to the output. Where the products depend on the values (max-pooling, and the
// unpooling after it), they are brought up to date.
function runForward(stages, x, kernel) {
  const planes = [x]
  stages.forEach((stage, i) => {
    if (stage.rule === "max") pickWinners(stage, planes[i])
    if (stage.rule === "place") followWinners(stage, stages[i - 1])
    planes.push(addUp(stage, planes[i], kernel))
  })
  return planes
}

// The first of the largest values of each step counts once, the others not at all.
function pickWinners(stage, values) {
  stage.winners = stage.steps.map(([first, end]) => {
    let winner = -1
    for (let t = first; t < end; t++) {
      if (stage.from[t] >= 0 && (winner < 0 || values[stage.from[t]] > values[stage.from[winner]])) winner = t
    }
    stage.weight.fill(0, first, end)
    stage.weight[winner] = 1
    return winner
  })
}

function followWinners(stage, pooling) {
  for (let t = 0; t < stage.count; t++) {
    const winner = pooling.winners[stage.from[t]]
    for (let d = 0; d < 3; d++) stage.target[3 * t + d] = pooling.source[3 * winner + d]
  }
  stage.to = flatCells(stage.target, stage.out)
}

// The overlap map of a chain of stages: the result for ones everywhere.
function overlapOf(stages) {
  let counts = new Float64Array(size(stages[0].in)).fill(1)
  const maps = [counts]
  for (const stage of stages) {
    const ones = stage.kernel && new Float64Array(size(stage.kernel)).fill(1)
    maps.push((counts = addUp(stage, counts, ones)))
  }
  return maps
}

// The matrix of a chain of stages, row by row: result = M x.
function matrixOf(stages, kernel) {
  let matrix = null
  const columns = size(stages[0].in)
  for (const stage of stages) {
    const rows = size(stage.out)
    const next = new Float64Array(rows * columns)
    for (let t = 0; t < stage.count; t++) {
      if (stage.to[t] < 0 || stage.from[t] < 0) continue
      const scale = stage.weight[t] * (stage.tap ? kernel[stage.tap[t]] : 1)
      const row = stage.to[t] * columns
      if (!matrix) next[row + stage.from[t]] += scale
      else for (let c = 0; c < columns; c++) next[row + c] += scale * matrix[stage.from[t] * columns + c]
    }
    matrix = next
  }
  return matrix
}
