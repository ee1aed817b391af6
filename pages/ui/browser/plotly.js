// Plotly itself, for components that draw with it in the browser: the library's own file as it comes with the Python
// package, compressed. It is unpacked and run once for each visit; who needs it waits for `globalThis.labPlotly`.

export default function ({ data }) {
  if (globalThis.labPlotly) return
  globalThis.labPlotly = unpack(data)
  globalThis.dispatchEvent(new Event("lab-plotly"))
}

async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))
  const address = URL.createObjectURL(new Blob([await new Response(stream).arrayBuffer()], { type: "text/javascript" }))
  const script = document.createElement("script")
  script.src = address
  const run = new Promise((resolve, reject) => {
    script.onload = resolve
    script.onerror = () => reject(new Error("Plotly could not be loaded"))
  })
  document.head.append(script)
  await run
  URL.revokeObjectURL(address)
  return globalThis.Plotly
}
