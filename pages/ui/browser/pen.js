// A pen for drawing on a small canvas of w x h pixels, by pointer, touch or keyboard.
// It knows only positions: what a line does to the picture is up to the one who asks for it.

// on.start() before a stroke, on.line(x0, y0, x1, y1) for each piece of it, in pixels of the picture.
// By keyboard the arrow keys move the pen, space puts it down and lifts it again.
function attachPen(canvas, cursor, on) {
  let last = null // where the pointer was, while it is down
  let spot = null // where the keyboard's pen is
  let down = false

  const place = (event) => {
    const box = canvas.getBoundingClientRect()
    return [
      ((event.clientX - box.left) / box.width) * canvas.width,
      ((event.clientY - box.top) / box.height) * canvas.height,
    ]
  }
  const lineTo = (x, y) => {
    on.line(last[0], last[1], x, y)
    last = [x, y]
  }
  canvas.onpointerdown = (event) => {
    if (event.button !== 0) return
    canvas.setPointerCapture(event.pointerId)
    on.start()
    last = place(event)
    lineTo(...last)
  }
  canvas.onpointermove = (event) => {
    if (!last) return
    const events = event.getCoalescedEvents?.() ?? []
    for (const moment of events.length ? events : [event]) lineTo(...place(moment))
  }
  canvas.onpointerup = canvas.onpointercancel = canvas.onlostpointercapture = () => (last = null)

  const showCursor = () => {
    cursor.hidden = !spot
    if (!spot) return
    cursor.style.setProperty("--x", spot[0])
    cursor.style.setProperty("--y", spot[1])
    cursor.classList.toggle("down", down)
  }
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
  canvas.onkeydown = (event) => {
    const step = STEPS[event.key]
    if (!step && event.key !== " ") return
    event.preventDefault()
    const from = spot ?? [Math.floor(canvas.width / 2), Math.floor(canvas.height / 2)]
    spot = from
    if (step) {
      spot = [
        Math.min(canvas.width - 1, Math.max(0, from[0] + step[0])),
        Math.min(canvas.height - 1, Math.max(0, from[1] + step[1])),
      ]
    } else {
      down = !down
      if (down) on.start()
    }
    if (down) on.line(from[0] + 0.5, from[1] + 0.5, spot[0] + 0.5, spot[1] + 0.5)
    showCursor()
  }
  canvas.onblur = () => {
    spot = null
    down = false
    showCursor()
  }
}

// Draw a line with a round, soft pen into `pixels` (C, H, W in [0, 1]); `width` is that of the line in pixels.
function stroke(pixels, [channels, height, width], penWidth, x0, y0, x1, y1) {
  const reach = penWidth // full in the inner quarter of the width, fading to nothing a whole width from the middle
  const lengthSquared = (x1 - x0) ** 2 + (y1 - y0) ** 2
  const top = Math.max(0, Math.floor(Math.min(y0, y1) - reach))
  const bottom = Math.min(height, Math.ceil(Math.max(y0, y1) + reach))
  const left = Math.max(0, Math.floor(Math.min(x0, x1) - reach))
  const right = Math.min(width, Math.ceil(Math.max(x0, x1) + reach))
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const [cx, cy] = [x + 0.5, y + 0.5] // the middle of the pixel
      const along = lengthSquared ? ((cx - x0) * (x1 - x0) + (cy - y0) * (y1 - y0)) / lengthSquared : 0
      const t = Math.min(1, Math.max(0, along))
      const distance = Math.hypot(cx - x0 - t * (x1 - x0), cy - y0 - t * (y1 - y0))
      const ink = Math.min(1, Math.max(0, (reach - distance) / (0.75 * reach)))
      for (let c = 0; c < channels; c++) {
        const at = (c * height + y) * width + x
        if (ink > pixels[at]) pixels[at] = ink
      }
    }
  }
}
