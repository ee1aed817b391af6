// Pictures on canvases, pixel by pixel.

// Paint `pixels` (C, H, W; C is 1 or 3) on a canvas of W x H pixels, `full` being white; beyond that they are cut off.
function paint(canvas, pixels, [channels, height, width], full = 1) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width
    canvas.height = height
  }
  const context = canvas.getContext("2d")
  const image = context.createImageData(width, height)
  const plane = width * height
  const scale = 255 / full
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = scale * pixels[(channels === 1 ? 0 : c * plane) + i]
    image.data[4 * i + 3] = 255
  }
  context.putImageData(image, 0, 0)
}
