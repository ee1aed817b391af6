// Long work in slices, so that between two of them a frame is drawn.

const SLICE = 8 // milliseconds

// Do work(0) ... work(count - 1), then done(); ends early once alive() is false.
function inSlices(count, work, alive, done = () => {}) {
  let i = 0
  const slice = () => {
    if (!alive()) return
    const until = performance.now() + SLICE
    while (i < count && performance.now() < until) work(i++)
    if (i < count) requestAnimationFrame(slice)
    else done()
  }
  slice()
}
