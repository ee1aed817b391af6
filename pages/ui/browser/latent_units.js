// One unit at a time: for each a slider, and the pictures along its range while the others stay as they are.

const UNITS_AT_FIRST = 8
const TRAVERSAL = 9 // pictures in a row

// Starts the rows in `section` (.unitrows of latent.html). changed() is told when a slider has changed the code.
// Returns {draw(data, code), paint(model, shape)}; the code is changed in place.
function startUnits(section, changed) {
  const find = (selector) => section.querySelector(selector)
  let data = null
  let code = null
  let all = false
  let model = null
  let run = 0
  const units = () => (all ? data.order : data.order.slice(0, UNITS_AT_FIRST))

  const row = (unit) => {
    const made = document.createElement("div")
    made.className = "unitrow"
    const [low, high] = data.ranges[unit]
    const name = document.createElement("span")
    name.className = "number"
    name.textContent = unitName(data, unit)
    const slider = document.createElement("input")
    Object.assign(slider, { type: "range", min: low, max: high, step: (high - low) / 200, value: code[unit] })
    slider.setAttribute("aria-label", `Value of unit ${unit + 1}`)
    const output = document.createElement("output")
    output.className = "number"
    output.value = code[unit].toFixed(2)
    const strip = document.createElement("div")
    strip.className = "strip"
    strip.setAttribute("role", "img")
    strip.setAttribute("aria-label", `What changes with unit ${unit + 1}, from ${low.toFixed(1)} to ${high.toFixed(1)}`)
    strip.append(...Array.from({ length: TRAVERSAL }, () => document.createElement("canvas")))
    slider.oninput = () => {
      code[unit] = Number(slider.value)
      output.value = code[unit].toFixed(2)
      changed()
    }
    made.append(name, slider, output, strip)
    return made
  }
  const draw = (newData, newCode) => {
    data = newData
    code = newCode
    if (section.hidden) return
    find(".more").hidden = all || data.order.length <= UNITS_AT_FIRST
    find(".rows").replaceChildren(...units().map(row))
  }
  const paintAll = (newModel) => {
    model = newModel
    const mine = ++run
    if (section.hidden || !model) return
    const jobs = [...find(".rows").children].flatMap((row, r) => {
      const unit = units()[r]
      const values = evenly(...data.ranges[unit], TRAVERSAL)
      return Array.from(row.querySelectorAll("canvas"), (canvas, i) => [canvas, unit, values[i]])
    })
    const one = (i) => {
      const [canvas, unit, value] = jobs[i]
      const other = code.slice()
      other[unit] = value
      paint(canvas, model.decode(other), data.shape)
    }
    inSlices(jobs.length, one, () => mine === run && section.isConnected)
  }
  find(".zero").onclick = () => {
    code.set(data.mean)
    draw(data, code)
    changed()
  }
  find(".more").onclick = () => {
    all = true
    draw(data, code)
    paintAll(model)
  }
  return { draw, paint: paintAll }
}

function unitName({ amounts }, unit) {
  return `unit ${unit + 1}${amounts ? ` · ${amounts.name} ${amounts.values[unit].toFixed(2)}` : ""}`
}
