// A training played again from its snapshots: a slider over them, and what became of a few test pictures.

const REPLAY_EVERY = 120 // milliseconds between two snapshots

// packed: what `replay_of` in pages/ui/latent/replay.py makes. Bytes are cut into those of each snapshot.
function unpackReplay(packed) {
  const moments = packed.steps.length
  const cut = (values) => {
    const length = values.length / moments
    return Array.from({ length: moments }, (_, i) => values.subarray(i * length, (i + 1) * length))
  }
  return {
    ...packed,
    codes: cut(decodeFloats(packed.codes.data)),
    grids: cut(decodeBytes(packed.grids.data)),
    reconstructions: cut(decodeBytes(packed.reconstructions.data)),
    targets: decodeBytes(packed.targets.data),
  }
}

// Starts the replay in `section` (.replay of latent.html). show() is told when another moment is to be drawn.
// Returns {take(replay or null, shape), shown() -> {steps, codes, boxes, grids, side, at} or null for the model itself}.
function startReplay(section, show) {
  const find = (selector) => section.querySelector(selector)
  let replay = null
  let shape = null
  let moment = null // which snapshot; null for the trained model
  let playing = 0

  const say = () => {
    section.hidden = !replay
    if (!replay) return
    const slider = find("input")
    slider.max = replay.steps.length
    slider.value = moment ?? replay.steps.length
    find("output").value =
      moment === null ? "now: the trained model" : `after ${replay.steps[moment].toLocaleString("en")} steps`
    find(".then").hidden = moment === null
    if (moment === null) return
    const length = size(shape)
    const row = (bytes) =>
      Array.from({ length: bytes.length / length }, (_, i) => {
        const canvas = document.createElement("canvas")
        paint(canvas, bytes.subarray(i * length, (i + 1) * length), shape, 255)
        return canvas
      })
    const line = document.createElement("div")
    line.style.flexBasis = "100%"
    find(".then .rows").replaceChildren(...row(replay.targets), line, ...row(replay.reconstructions[moment]))
  }
  const go = (i) => {
    moment = i >= replay.steps.length ? null : i
    say()
    show()
  }
  const stop = () => {
    clearTimeout(playing)
    playing = 0
    find(".play").textContent = "Replay"
  }
  find("input").oninput = () => {
    stop()
    go(Number(find("input").value))
  }
  find(".play").onclick = () => {
    if (playing) return stop()
    let i = moment ?? 0
    find(".play").textContent = "Stop"
    const next = () => {
      if (!section.isConnected) return
      go(i)
      if (i >= replay.steps.length) return stop()
      i += 1
      playing = setTimeout(next, REPLAY_EVERY)
    }
    next()
  }
  return {
    take: (newReplay, newShape) => {
      stop()
      replay = newReplay
      shape = newShape
      moment = null
      say()
    },
    shown: () => (moment === null ? null : { ...replay, at: moment }),
  }
}
