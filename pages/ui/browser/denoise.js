// The denoising bench: a picture gets noise, an autoencoder removes it, all while the slider is dragged. Classical filters
// run on the server, at every place of the slider at once; their answer comes when the picture stands still. It knows the
// component's HTML (denoise.html) and what `bench` in pages/ui/denoising/bench.py sends.

const benches = new WeakMap() // parentElement -> take(data, ask), because this script runs again with new data

export default function ({ parentElement, data: [data], setTriggerValue }) {
  if (!benches.has(parentElement)) benches.set(parentElement, startDenoising(parentElement.querySelector(".bench")))
  benches.get(parentElement)(data, (question) => setTriggerValue("asked", question))
}

const MEMORY = 50 // how many strokes can be undone
const QUIET = 200 // milliseconds of rest before the server is asked
const READABLE = 80 // milliseconds between two versions of table and words: nobody reads faster, and pictures come first
const GAP = 8 // pixels between two pictures
const FRAME = 3
const TALLEST = 208 // pixels a picture may take
const DARK_GROUND = 0.25 // mean of the border below which pictures are light on dark
const UNLIKE = 0.99 // share of the test pictures that come back better
const CHART_HEIGHT = 300
const SMALLEST_MSE = 1 / (12 * 255 ** 2) // that of rounding to 256 levels, as in aecore/analysis/denoising.py
const ABOVE_THE_BEST = 4 // dB: a picture without noise would have 59 dB, and flatten all that is of interest

function startDenoising(root) {
  const find = (selector) => root.querySelector(selector)
  const slider = find(".strength input")
  let data = null
  let ask = null
  let model = null
  let modelDigest = null
  let shape = null
  let pixels = null // the clean picture
  let origin = null // {example} or {own}: where it is from
  let examples = [] // test pictures to choose from
  let own = 0 // counts the pictures a visitor made
  let now = null // {corruption, strength, seed, clip}
  let draws = null // corruption -> field -> values, of data.seed
  let theme = "light"
  let colours = null // of signed values
  let filtered = null // what the best filter makes of the picture, at every place of the slider
  let unlike = null // what there is to say about the clean picture, once known
  let curves = null // {mark} of the chart on show
  let chartOf = "" // what the chart on show was drawn for
  let frame = 0
  let uploads = 0
  let rest = 0
  let reading = 0
  let read = null // writes what there is to read of the frame on show
  const past = []

  // ---- from the server ----
  const take = (newData, newAsk) => {
    ask = newAsk
    const otherModel = data?.denoiser.digest !== newData.denoiser.digest
    const otherPictures = data?.examples.data !== newData.examples.data
    const resized = String(newData.shape) !== String(shape)
    data = newData
    shape = data.shape
    draws = Object.fromEntries(Object.entries(data.draws).map(([name, packed]) => [name, unpackDraws(packed)]))
    filtered = data.answer ? decodeBytes(data.answer.images) : null
    theme = isDark(root) ? "dark" : "light"
    root.style.colorScheme = theme
    colours = divergingColours(data.palette[theme].diverging)
    unlike = null
    if (!now) {
      const { corruption, strength, seed, clip } = data.start
      now = { corruption, strength, seed, clip }
      listNoises()
      listMeasures()
    }
    if (otherPictures) {
      const lost = resized && origin?.own !== undefined
      examples = unpackExamples(data.examples, shape)
      listExamples()
      past.length = 0
      if (resized || origin.own === undefined) putBack(data.start.picture)
      if (lost) say(`This network takes pictures of ${shape[2]}×${shape[1]} pixels: yours was made for another size.`)
    }
    if (otherModel) {
      modelDigest = data.denoiser.digest
      model = null
      const digest = modelDigest
      whenKept(digest, () => digest === modelDigest && root.isConnected, (packed) => {
        model = loadModel(packed)
        unlike = null
        soon()
      })
    }
    chartOf = ""
    show()
  }
  // ---- to the server, once things stand still ----
  const later = () => {
    clearTimeout(rest)
    rest = setTimeout(() => {
      const picture = origin.own === undefined ? origin : { ...origin, pixels: encodeFloats(pixels) }
      writeLink() // first: with the question goes the address
      ask({ ...now, picture })
    }, QUIET)
  }
  // In place of the address, not after it: going back leaves the page and does not undo a turn of the slider.
  const writeLink = () => {
    const link = new URL(location.href)
    const values = { noise: now.corruption, level: now.strength, draw: now.seed, cut: now.clip ? "yes" : "no" }
    for (const [name, value] of Object.entries(values)) link.searchParams.set(name, value)
    if (origin.own === undefined) link.searchParams.set("picture", origin.example + 1)
    else link.searchParams.delete("picture")
    history.replaceState(history.state, "", link)
  }
  const answers = () => {
    const { question } = data.answer ?? {}
    return (
      question &&
      ["corruption", "seed", "clip"].every((key) => question[key] === now[key]) &&
      question.picture.example === origin.example &&
      question.picture.own === origin.own
    )
  }

  // ---- what is on show ----
  const about = () => data.corruptions.find((corruption) => corruption.name === now.corruption)
  const soon = () => {
    if (!frame) frame = requestAnimationFrame(show)
  }
  const show = () => {
    cancelAnimationFrame(frame)
    frame = 0
    if (!data || !pixels) return
    layOut()
    const noisy = corruptPixels(pixels, shape, now.corruption, now.strength, draws[now.corruption], now.clip)
    const scores = { identity: psnr(noisy.map(cutOff), pixels) } // as all estimates are
    paint(find(".clean canvas"), pixels, shape)
    paint(find(".noisy canvas"), noisy, shape)
    find(".noisy output").value = decibels(scores.identity)
    const oldDraw = data.drawn !== now.seed
    find(".noisy").classList.toggle("waiting", oldDraw)
    find(".denoised").classList.toggle("waiting", oldDraw || !model)
    find(".removed").classList.toggle("waiting", oldDraw || !model)
    if (model) {
      const estimate = model.reconstruct(noisy).map(cutOff)
      scores[data.denoiser.key] = psnr(estimate, pixels)
      paint(find(".denoised canvas"), estimate, shape)
      find(".denoised output").value = decibels(scores[data.denoiser.key])
      showRemoved(noisy, estimate)
    }
    const best = showFiltered(scores)
    showControls()
    showCurves()
    curves?.mark(now.strength)
    if (!reading) {
      reading = setTimeout(() => {
        reading = 0
        read()
      }, READABLE)
    }
    read = () => {
      showTable(scores)
      tell(scores, best)
    }
  }
  const showRemoved = (noisy, estimate) => {
    const [channels, height, width] = shape
    const plane = height * width
    const places = new Uint8Array(plane)
    let sum = 0
    for (let i = 0; i < plane; i++) {
      let mean = 0
      for (let c = 0; c < channels; c++) {
        const removed = noisy[c * plane + i] - estimate[c * plane + i]
        sum += removed ** 2
        mean += removed / channels
      }
      places[i] = 127 + Math.round(127 * Math.min(1, Math.max(-1, mean)))
    }
    paintColours(find(".removed canvas"), places, [height, width], colours)
    find(".removed output").value = `RMS ${Math.sqrt(sum / (channels * plane)).toFixed(3)}`
  }
  const showFiltered = (scores) => {
    const known = answers()
    find(".filtered").classList.toggle("waiting", !known)
    if (!known) {
      find(".filtered output").value = data.measured?.[now.corruption] ? "…" : "being tried, see below"
      return null
    }
    const far = data.answer.places.map((place) => Math.abs(place - now.strength))
    const place = far.indexOf(Math.min(...far))
    const length = size(shape)
    paint(find(".filtered canvas"), filtered.subarray(place * length, (place + 1) * length), shape, 255)
    for (const [name, values] of Object.entries(data.answer.psnr)) scores[name] = values[place]
    const best = data.answer.best[place]
    find(".filtered output").value = `${data.titles[best]} ${decibels(scores[best])}`
    return best
  }
  const showControls = () => {
    const { measure, unit, low, high, step } = about()
    find(".corruption").value = now.corruption
    slider.min = low
    slider.max = high
    slider.step = step
    slider.value = now.strength
    find(".strength span").textContent = measure
    find(".strength output").value = `${plain(now.strength)} ${unit}`
    slider.setAttribute("aria-valuetext", `${plain(now.strength)} ${unit}`)
    find(".seed").value = now.seed
    find(".clip input").checked = now.clip
    find(".undo").disabled = past.length === 0
    find(".blank").hidden = pixels.some((value) => value > 0)
    find(".invert").hidden = origin.own === undefined
    find(".examples").childNodes.forEach((button, i) => button.setAttribute("aria-pressed", i === origin.example))
  }

  // ---- measured on test pictures ----
  const measured = () => (now.clip ? data.measured?.[now.corruption] : null) // curves are of clipped noise
  const measureName = () => find(".measure").value
  const unitName = () => (measureName() === "ssim" ? "SSIM" : "dB")
  const digits = () => (measureName() === "ssim" ? 3 : 1)
  const at = (name) => {
    const known = measured()
    return known?.rows[name] ? between(known.strengths, known.rows[name][measureName()], now.strength) : null
  }
  const learnedFirst = (names) => {
    const rank = (name) => (name === data.denoiser.key ? 2 : name === data.denoiser.twin ? 1 : 0)
    return [...names].sort((a, b) => rank(a) - rank(b))
  }
  const showCurves = () => {
    const known = measured()
    find(".measured").hidden = !known
    const width = find(".both svg").clientWidth
    const wanted = JSON.stringify([now.corruption, measureName(), width, theme, data.denoiser.key, data.denoiser.digest])
    if (!known || !width || wanted === chartOf) return
    chartOf = wanted
    const measure = measureName()
    const own = known.rows[data.denoiser.key]?.[measure] ?? []
    const lines = learnedFirst(Object.keys(known.rows)).map((name) => ({
      ...lineStyle(name),
      values: known.rows[name][measure],
    }))
    const top = measure === "ssim" ? 1 : Math.max(...own.map(([, , high]) => high)) + ABOVE_THE_BEST
    const { trained } = data.denoiser
    const span = trained && trained.corruption === now.corruption ? [trained.low, trained.high] : null
    const { title, measure: what, unit } = about()
    curves = drawCurves(
      find(".both svg"),
      { x: known.strengths, lines, top, bottom: measure === "ssim" ? 0 : null, unit: unitName(), label: unit ? `${what}, ${unit}` : what, span },
      [width, CHART_HEIGHT],
    )
    find(".measured .title").textContent = `${title} noise on ${known.images.toLocaleString("en")} test pictures of ${data.dataset}`
    find(".both svg").setAttribute("aria-label", `${data.measures[measure]} of each denoiser against the strength of the noise`)
    find(".unit").textContent = `${unitName()} at this strength`
    const marked = span ? `The violet ${span[0] === span[1] ? "line marks the strength" : "band marks the strengths"} it was trained at. ` : ""
    find(".note").textContent =
      `${marked}Bands: 95 % confidence for another draw of so many pictures; between measured strengths, straight lines. Each filter has the ` +
      "setting that was best on training pictures with this noise at the nearest measured strength. On your picture the best filter is " +
      "chosen with the clean one in sight. A picture without any error counts as 58.9 dB."
  }
  const lineStyle = (name) => {
    const { colour, dash } = data.lines[name]
    return { colour: colour[theme], dash, width: name === data.denoiser.key ? 3 : 1.5 }
  }
  const showTable = (scores) => {
    const known = measured()
    if (!known) return
    const rows = Object.keys(known.rows)
      .map((name) => ({ name, value: at(name)[0] }))
      .sort((a, b) => b.value - a.value)
    find("tbody").replaceChildren(
      ...rows.map(({ name, value }, i) => {
        const row = document.createElement("tr")
        row.classList.toggle("mine", name === data.denoiser.key)
        const { colour, dash } = lineStyle(name)
        const swatch = document.createElement("i")
        swatch.style.borderTop = `3px ${dash ? "dashed" : "solid"} ${colour}`
        const head = document.createElement("th")
        head.append(swatch, data.titles[name])
        row.append(head, cell(value.toFixed(digits()), i === 0), cell(name in scores ? scores[name].toFixed(1) : "–"))
        return row
      }),
    )
  }
  const cell = (words, best = false) => {
    const made = document.createElement("td")
    made.className = "number"
    made.textContent = words
    made.classList.toggle("best", best)
    return made
  }

  // ---- in words, from the numbers ----
  const tell = (scores, best) => {
    find(".winner").textContent = now.clip ? winner() : "Curves and verdict are of clipped noise. Clip it to see them."
    const mine = scores[data.denoiser.key]
    find(".here").textContent =
      best && mine !== undefined
        ? `On this picture: ${compared(mine - scores[best])} the best filter, ${compared(mine - scores.identity)} doing nothing.`
        : ""
    find(".range").textContent = outside()
    unlike ??= unlikeTraining()
    find(".unlike").textContent = unlike?.words ?? ""
    find(".unlike").classList.toggle("warning", unlike?.warn ?? false)
  }
  const compared = (difference) => `${Math.abs(difference).toFixed(1)} dB ${difference >= 0 ? "above" : "below"}`
  const winner = () => {
    const own = at(data.denoiser.key)
    if (!own) return ""
    const others = Object.keys(measured().rows).filter((name) => name !== data.denoiser.key && name !== data.denoiser.twin)
    const rivals = others.map((name) => ({ name, value: at(name) })).sort((a, b) => b.value[0] - a.value[0])
    const [first] = rivals
    const nothing = at("identity")
    const say = (number) => `${number.toFixed(digits())} ${unitName()}`
    if (own[1] > first.value[2]) {
      const over = first.name === "identity" ? "" : `, ${say(own[0] - nothing[0])} above doing nothing`
      return `The autoencoder wins here: ${say(own[0])}, ${say(own[0] - first.value[0])} above ${data.titles[first.name]}${over}.`
    }
    if (own[2] < first.value[1]) {
      return `The autoencoder loses here: ${data.titles[first.name]} has ${say(first.value[0])}, ${say(first.value[0] - own[0])} more.`
    }
    return `No clear winner: the autoencoder has ${say(own[0])}, ${data.titles[first.name]} ${say(first.value[0])}, and their intervals overlap.`
  }
  const outside = () => {
    const { trained } = data.denoiser
    if (!trained) return "This network was trained without noise: it was never asked to remove any."
    if (trained.corruption !== now.corruption) return `It was trained on ${trained.words}, and has never seen this kind of noise.`
    if (trained.clip !== now.clip) return `It was trained on ${trained.words}: clipping is another now.`
    if (now.strength > trained.high + 1e-9) return `This is stronger than all it was trained on (${trained.words}).`
    if (now.strength < trained.low - 1e-9) return `This is weaker than all it was trained on (${trained.words}).`
    return `It was trained on such noise (${trained.words}).`
  }
  const unlikeTraining = () => {
    const known = data.denoiser.typical
    if (!model) return null
    if (!pixels.some((value) => value > 0)) return { words: "", warn: false }
    const error = meanSquaredError(model.reconstruct(pixels), pixels)
    const below = known.filter((typical) => typical < error).length / known.length
    const share = Math.min(99, Math.floor(100 * below))
    if (below < UNLIKE) return { words: `Without noise its error is larger than that of ${share} % of the test pictures.`, warn: false }
    return {
      words: `Unlike the training data: without noise its error is larger than that of ${share} % of the test pictures, so what it draws here is a guess.`,
      warn: true,
    }
  }

  // ---- what a visitor can do ----
  const remember = () => {
    past.push({ pixels: pixels.slice(), origin })
    if (past.length > MEMORY) past.shift()
  }
  const setPicture = (values, from) => {
    pixels = values
    origin = from
    unlike = null
    soon()
    later()
  }
  const pick = (index) => {
    const example = Math.min(index, examples.length - 1)
    pixels = examples[example].slice() // one may draw on it
    origin = { example }
    unlike = null
    hush()
    soon()
  }
  const putBack = (picture) => {
    if (picture.own === undefined) return pick(picture.example)
    own = picture.own
    pixels = decodeFloats(picture.pixels)
    origin = { own }
    unlike = null
    soon()
  }
  const say = (words, trouble = false) => {
    const line = find(".told")
    line.textContent = words
    line.hidden = false
    line.classList.toggle("warning", trouble)
  }
  const hush = () => (find(".told").hidden = true)
  const change = (values) => {
    now = { ...now, ...values }
    soon()
    later()
  }
  const upload = async (file) => {
    if (!file) return
    const [mine, wanted] = [++uploads, shape]
    say(`Reading “${file.name}” …`)
    try {
      let values = await readPicture(file, wanted)
      if (mine !== uploads || wanted !== shape) return // another one, or another network, was faster
      const turn = darkGround() && borderMean(values, shape) > 0.5
      if (turn) values = stretched(inverted(values))
      remember()
      setPicture(values, { own: ++own })
      say(
        `“${file.name}”: its middle, shrunk to ${shape[2]}×${shape[1]} pixels in your browser` +
          (turn ? "; light and dark exchanged and stretched, like the training pictures." : "."),
      )
    } catch (error) {
      if (mine === uploads) say(error.message, true)
    }
  }
  const darkGround = () => {
    const borders = examples.map((values) => borderMean(values, shape))
    return borders.reduce((sum, mean) => sum + mean, 0) / borders.length < DARK_GROUND
  }

  attachPen(find(".clean canvas"), find(".pen"), {
    start: () => {
      remember()
      if (origin.own === undefined) origin = { own: ++own }
    },
    line: (...line) => {
      stroke(pixels, shape, data.pen_width, ...line)
      setPicture(pixels, { own: ++own })
    },
  })
  slider.oninput = () => change({ strength: Number(Number(slider.value).toFixed(6)) })
  find(".corruption").onchange = (event) => {
    const next = data.corruptions.find((corruption) => corruption.name === event.target.value)
    change({ corruption: next.name, strength: next.usual })
  }
  find(".seed").onchange = (event) => {
    const seed = Math.min(data.highest_seed, Math.max(0, Math.round(Number(event.target.value) || 0)))
    change({ seed })
  }
  find(".again").onclick = () => change({ seed: (now.seed + 1) % (data.highest_seed + 1) })
  find(".clip input").onchange = (event) => change({ clip: event.target.checked })
  find(".measure").onchange = () => soon()
  find(".clear").onclick = () => {
    remember()
    hush()
    setPicture(new Float32Array(size(shape)), { own: ++own })
  }
  find(".undo").onclick = () => {
    const before = past.pop()
    if (!before) return
    hush()
    setPicture(before.pixels, before.origin)
  }
  find(".invert").onclick = () => {
    remember()
    setPicture(inverted(pixels), { own: ++own })
  }
  find(".upload input").onchange = (event) => {
    upload(event.target.files[0])
    event.target.value = "" // so that the same file can be taken again
  }
  root.ondragover = (event) => event.preventDefault()
  root.ondrop = (event) => {
    event.preventDefault()
    upload(event.dataTransfer.files[0])
  }

  // ---- parts that depend on the data ----
  const listExamples = () => {
    const choose = (i) => {
      remember()
      pick(i)
      later()
    }
    find(".examples").replaceChildren(...pictureButtons(examples, shape, (i) => `Test picture ${i + 1}`, choose))
    const sides = `${shape[2]} by ${shape[1]} pixels`
    find(".clean canvas").setAttribute(
      "aria-label",
      `Clean picture, ${sides}. Draw with the pointer; or move the pen with the arrow keys and put it down or lift it with space.`,
    )
  }
  const options = (select, entries) => select.replaceChildren(...entries.map(([value, label]) => new Option(label, value)))
  const listNoises = () => options(find(".corruption"), data.corruptions.map(({ name, title }) => [name, title]))
  const listMeasures = () => options(find(".measure"), Object.entries(data.measures))
  const layOut = () => {
    const [, height, width] = shape
    const room = find(".pictures").clientWidth
    const columns = room >= 700 ? 5 : room >= 460 ? 3 : 2
    const zoom = Math.max(1, Math.floor(((room - (columns - 1) * GAP) / columns - 2 * FRAME) / width))
    root.style.setProperty("--zoom", Math.max(1, Math.min(zoom, Math.floor(TALLEST / height))))
    root.style.setProperty("--columns", width)
    root.style.setProperty("--rows", height)
  }
  new ResizeObserver(soon).observe(root)
  return take
}

function psnr(estimate, clean) {
  return -10 * Math.log10(Math.max(meanSquaredError(estimate, clean), SMALLEST_MSE))
}

function decibels(value) {
  return `${value.toFixed(1)} dB`
}

function encodeFloats(values) {
  return btoa(Array.from(new Uint8Array(values.slice().buffer), (byte) => String.fromCharCode(byte)).join(""))
}
