// A line of words that changes several times a second; what stands between ** is bold. It knows only what `live_line` in
// pages/ui/live_line.py sends.

const lines = new WeakMap() // parentElement -> the line, because this script runs again with new data

export default function ({ parentElement, data: [moments, seconds] }) {
  const line = lines.get(parentElement) ?? { root: parentElement.querySelector(".live-line"), parts: [] }
  lines.set(parentElement, line)
  play(line, moments, seconds, (text) => write(line, text))
  return () => stopPlaying(line)
}

function write(line, text) {
  const parts = text.split("**")
  if (parts.length !== line.parts.length) {
    line.parts = parts.map((_, i) => document.createElement(i % 2 ? "strong" : "span"))
    line.root.replaceChildren(...line.parts)
  }
  parts.forEach((part, i) => {
    if (line.parts[i].textContent !== part) line.parts[i].textContent = part
  })
}
