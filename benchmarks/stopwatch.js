// A stopwatch inside the page: from something a visitor does to the first painted frame that shows its effect. It is put
// into a page before anything else runs there. It knows no page of the lab, only what to look for.
//
// A goal is {changed: selector}: what is found there looks otherwise than before; or {stage: selector, heading: text}:
// the page of that heading stands there, and what is found has been painted; or {rest: true}: nothing is stale any more.
// Selectors reach into the shadow roots of components.

globalThis.stopwatch ??= (() => {
  const PATIENCE = 60_000 // milliseconds
  const looks = new WeakMap() // canvas -> how often its picture has changed
  const pictures = new WeakMap() // canvas -> the pixels last put on it
  const roots = []

  const { attachShadow } = Element.prototype
  Element.prototype.attachShadow = function (...given) {
    const root = attachShadow.apply(this, given)
    roots.push(root)
    return root
  }
  const drawing = CanvasRenderingContext2D.prototype
  const { putImageData, drawImage } = drawing
  const changed = (canvas) => looks.set(canvas, (looks.get(canvas) ?? 0) + 1)
  drawing.putImageData = function (image, ...given) {
    const last = pictures.get(this.canvas)
    if (last?.length !== image.data.length || image.data.some((value, i) => value !== last[i])) {
      pictures.set(this.canvas, image.data.slice())
      changed(this.canvas)
    }
    return putImageData.call(this, image, ...given)
  }
  drawing.drawImage = function (...given) {
    changed(this.canvas)
    return drawImage.apply(this, given)
  }

  const find = (selector) => {
    const shown = roots.filter((root) => root.host.isConnected)
    return [document, ...shown].flatMap((root) => [...root.querySelectorAll(selector)])
  }
  const look = (element) => (element.matches("canvas") ? looks.get(element) : (element.value ?? element.textContent))
  const signature = (selector) => JSON.stringify(find(selector).map(look))
  const heading = () => document.querySelector("h1")?.textContent.trim()
  const stale = (element) => {
    for (let at = element; at; at = at.getRootNode().host) if (at.closest('[data-stale="true"]')) return true
    return false
  }
  const stands = (element) =>
    element.getBoundingClientRect().width > 0 && (!element.matches("canvas") || looks.has(element)) && !stale(element)
  const reached = (goal, before) => {
    if (goal.changed) return signature(goal.changed) !== before
    if (goal.rest) {
      const app = document.querySelector('[data-testid="stApp"]')
      return app?.dataset.testScriptState === "notRunning" && !document.querySelector('[data-stale="true"]')
    }
    return heading() === goal.heading && (!goal.stage || find(goal.stage).some(stands))
  }

  // The time at which a goal is first seen reached, looked at after each painted frame: a message sent in an animation
  // frame arrives when that frame has been laid out and painted.
  const seen = (goal, before = null) =>
    new Promise((resolve, reject) => {
      const begun = performance.now()
      const { port1, port2 } = new MessageChannel()
      const frame = () => port2.postMessage(null)
      port1.onmessage = () => {
        const now = performance.now()
        if (reached(goal, before)) resolve(now)
        else if (now - begun > PATIENCE) reject(new Error(`in vain for ${PATIENCE} ms: ${JSON.stringify(goal)}`))
        else requestAnimationFrame(frame)
      }
      requestAnimationFrame(frame)
    })

  let results = null
  return {
    // Begin with the next event of a kind; goals are reached one after the other.
    arm(kind, goals) {
      const before = goals.map(({ changed }) => changed && signature(changed))
      const event = new Promise((resolve, reject) => {
        addEventListener(kind, resolve, { capture: true, once: true })
        setTimeout(() => reject(new Error(`no ${kind} within ${PATIENCE} ms`)), PATIENCE)
      })
      const run = async () => {
        const { timeStamp } = await event // when the browser was told by the mouse or the keyboard
        const times = []
        for (const [i, goal] of goals.entries()) times.push((await seen(goal, before[i])) - timeStamp)
        return times
      }
      results = run()
      results.catch(() => {}) // whoever reads is told
    },
    // Begin now, with the document; `read` then gives times since 1970.
    watch(goals) {
      results = Promise.all(goals.map(async (goal) => performance.timeOrigin + (await seen(goal))))
      results.catch(() => {})
    },
    // Milliseconds for each goal.
    read: () => results,
  }
})()
