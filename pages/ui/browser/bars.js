// A row of upright bars to be dragged up and down: one slider for each number of a code.
// It knows nothing of what the numbers mean.

// Makes `count` bars in `box`. on.change(index, value) while one is moved, on.restore(index) on a double click,
// on.point(index or null) for the bar under attention. Returns draw(values, marks, range): bars show `values` on a
// scale from -range to range; a thin mark shows where each would be by itself.
function makeBars(box, count, on) {
  let range = 1
  let values = new Float32Array(count)
  const bars = Array.from({ length: count }, (_, index) => {
    const bar = document.createElement("div")
    bar.className = "bar"
    bar.tabIndex = 0
    bar.setAttribute("role", "slider")
    bar.setAttribute("aria-orientation", "vertical")
    bar.setAttribute("aria-label", `Code value ${index + 1} of ${count}`)
    const set = (value) => on.change(index, Math.min(range, Math.max(-range, value)))
    const follow = (event) => {
      const { top, height } = bar.getBoundingClientRect()
      set(range * (1 - (2 * (event.clientY - top)) / height))
    }
    let held = false
    bar.onpointerdown = (event) => {
      if (event.button !== 0) return
      bar.setPointerCapture(event.pointerId)
      held = true
      on.point(index)
      follow(event)
    }
    bar.onpointermove = (event) => held && follow(event)
    bar.onpointerup = bar.onpointercancel = bar.onlostpointercapture = () => (held = false)
    bar.ondblclick = () => on.restore(index)
    bar.onpointerenter = bar.onfocus = () => on.point(index)
    bar.onpointerleave = bar.onblur = () => on.point(null)
    const KEYS = {
      ArrowUp: () => values[index] + range / 20,
      ArrowRight: () => values[index] + range / 20,
      ArrowDown: () => values[index] - range / 20,
      ArrowLeft: () => values[index] - range / 20,
      PageUp: () => values[index] + range / 4,
      PageDown: () => values[index] - range / 4,
      Home: () => -range,
      End: () => range,
    }
    bar.onkeydown = (event) => {
      if (!KEYS[event.key]) return
      event.preventDefault()
      set(KEYS[event.key]())
    }
    bar.append(document.createElement("i"), document.createElement("b"))
    return bar
  })
  box.replaceChildren(...bars)

  const clamp = (value) => Math.min(1, Math.max(-1, value / range))
  return (newValues, marks, newRange) => {
    values = newValues
    range = newRange
    bars.forEach((bar, index) => {
      bar.style.setProperty("--value", clamp(values[index]))
      bar.style.setProperty("--mark", clamp(marks[index]))
      bar.classList.toggle("moved", values[index] !== marks[index])
      bar.setAttribute("aria-valuemin", -range)
      bar.setAttribute("aria-valuemax", range)
      bar.setAttribute("aria-valuenow", range * clamp(values[index])) // a code may lie beyond the scale; the text says so
      bar.setAttribute("aria-valuetext", values[index].toPrecision(3))
    })
  }
}
