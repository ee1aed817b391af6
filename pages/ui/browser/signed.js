// Colours of signed values: a scale with 0 in its middle, and whether the page is dark.

// 255 colours between the given ones, the middle one for 0, as [r, g, b].
function divergingColours(anchors) {
  return colourScale(anchors, 255)
}

// `count` colours between the given ones, evenly spaced, as [r, g, b].
function colourScale(anchors, count) {
  const stops = anchors.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)))
  return Array.from({ length: count }, (_, i) => {
    const position = (i / (count - 1)) * (stops.length - 1)
    const below = Math.min(Math.floor(position), stops.length - 2)
    return stops[below].map((value, c) => value + (position - below) * (stops[below + 1][c] - value))
  })
}

// The text is bright where the page is dark.
function isDark(element) {
  const [red, green, blue] = getComputedStyle(element).color.match(/[\d.]+/g).map(Number)
  return red + green + blue > 3 * 128
}
